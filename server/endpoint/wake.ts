import { isDeepStrictEqual } from 'node:util'
import type { WebSocket } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { ProductError } from '../../common/errors.js'
import { WAKE_TEXT } from '../../common/live-messages.js'
import type { ServerName } from '../../common/names.js'
import type { ClientEntry } from '../../common/shapes.js'

/** Where connections of hosts that wait are kept, and told to come. */
export interface WaitingHosts {
  readonly full: boolean
  add(
    socket: WebSocket,
    host: { about: undefined; key: string; until: number; stillGood: () => Promise<boolean> }
  ): void
}

/** RFC 6455 §7.4.1: something unexpected hinders the server. */
const FAILED = 1011

const Failure = Type.Object({ success: Type.Literal(false), message: Type.String() })

/**
 * GET <base>/api/v1/wake: a WebSocket on which a host is told, and told only, to come and ask update.php. It ends when
 * anything of the host's entry in the client list changes.
 */
export function wakeRoute(app: FastifyInstance, waiting: WaitingHosts): void {
  app.route({
    method: 'GET',
    url: '/wake',
    config: { takesSockets: true },
    schema: { response: { '4xx': Failure, '5xx': Failure } },
    onRequest: app.basicAuth,
    preHandler: (request, _reply, done) => {
      if (request.ws && waiting.full) throw new ProductError('BUSY_LIVE')
      done()
    },
    handler: () => {
      throw new ProductError('UPGRADE')
    },
    wsHandler: async (socket, request) => {
      const entry = request.basicEntry
      if (entry === undefined) throw new ProductError('AUTH_USER')
      const { username: server } = entry
      const stillGood = async () => isDeepStrictEqual(await entryOf(app, server), entry)
      waiting.add(socket, { about: undefined, key: server, until: Infinity, stillGood })
      try {
        // What changed while nobody waited. Looked at last: a change meanwhile is told of twice rather than never.
        if ((await mustCome(app, server)) && socket.readyState === socket.OPEN) socket.send(WAKE_TEXT)
      } catch (error) {
        request.log.error({ event: 'wake_failed', server, err: error }, 'a host that waits was sent away')
        socket.close(FAILED, 'the server could not look what waits')
      }
    }
  })
}

/**
 * Whether anything waits for a host: a list to fetch, or one that was handed out and never synced back; a command;
 * another whitelist than it last told of.
 */
async function mustCome(app: FastifyInstance, server: ServerName): Promise<boolean> {
  const { updates, commands, whitelist, hosts } = app.store
  if ((await updates.of(server)).size > 0) return true
  if ((await commands.list(server)).some(({ state }) => state === 'pending')) return true
  const told = (await hosts.read(server)).whitelist
  // A host that has never told of one takes none.
  return told !== undefined && told.hash !== (await whitelist.hash(server))
}

/** A host's entry in the client list now. */
async function entryOf(app: FastifyInstance, server: ServerName): Promise<ClientEntry | undefined> {
  const { clients } = await app.store.clients.list()
  return clients.find(({ username }) => username === server)
}
