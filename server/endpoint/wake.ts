import type { WebSocket } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { ProductError } from '../../common/errors.js'
import { WAKE_TEXT } from '../../common/live-messages.js'
import type { ServerName } from '../../common/names.js'

/** Where connections of hosts that wait are kept, and told to come. */
export interface WaitingHosts {
  readonly full: boolean
  add(
    socket: WebSocket,
    host: { about: undefined; key: string; until: number; stillGood: () => Promise<boolean> }
  ): void
}

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
      const server = request.basicClient
      if (server === undefined) throw new ProductError('AUTH_USER')
      const entry = entryOf(app, server)
      const stillGood = async () =>
        (await entry) !== undefined && (await entryOf(app, server)) === (await entry)
      waiting.add(socket, { about: undefined, key: server, until: Infinity, stillGood })
      // What changed while nobody waited. Looked at last: a change meanwhile is told of twice rather than never.
      const updates = await app.store.updates.of(server)
      if ([...updates.values()].includes(true) && socket.readyState === socket.OPEN) socket.send(WAKE_TEXT)
    }
  })
}

/** A host's entry in the client list, as text to be compared. */
async function entryOf(app: FastifyInstance, server: ServerName): Promise<string | undefined> {
  const { clients } = await app.store.clients.list()
  const entry = clients.find(({ username }) => username === server)
  return entry === undefined ? undefined : JSON.stringify(entry)
}
