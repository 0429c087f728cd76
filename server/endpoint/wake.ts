import { isDeepStrictEqual } from 'node:util'
import type { WebSocket } from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { ProductError } from '../../common/errors.js'
import { WAKE_TEXT, WakeMark, WakeReply } from '../../common/live-messages.js'
import type { ClientEntry } from '../../common/shapes.js'
import type { CheckedClient } from './authenticate.js'
import { waitingFor } from './waiting.js'
import { WaitingPoll } from './waiting-poll.js'

/** Where connections of hosts that wait are kept, and told to come. */
export interface WaitingHosts {
  readonly full: boolean
  add(
    line: WebSocket | WaitingPoll,
    host: { about: undefined; key: string; until: number; stillGood: () => Promise<boolean> }
  ): void
}

/** RFC 6455 §7.4.1: something unexpected hinders the server. */
const FAILED = 1011
/** Milliseconds a poll waits at most: proxies give up after 60 seconds. */
const POLL_MS = 50_000

const Failure = Type.Object({ success: Type.Literal(false), message: Type.String() })
const PollQuery = Type.Object({ seen: Type.Optional(WakeMark) }, { additionalProperties: false })

/**
 * How hosts that wait are told, and told only, to come and ask update.php: GET <base>/api/v1/wake is a WebSocket, and
 * …/wake/poll a request that is answered when there is something. Both end when anything of the host's entry in the
 * client list changes.
 */
export function wakeRoutes(app: FastifyInstance, waiting: WaitingHosts): void {
  const room = (request: FastifyRequest): CheckedClient => {
    if (waiting.full) throw new ProductError('BUSY_LIVE')
    if (request.basicEntry === undefined) throw new ProductError('AUTH_USER')
    return request.basicEntry
  }
  const keep = (line: WebSocket | WaitingPoll, entry: CheckedClient, until: number) => {
    const stillGood = async () => isDeepStrictEqual(await entryOf(app, entry.username), entry)
    waiting.add(line, { about: undefined, key: entry.username, until, stillGood })
  }
  app.route({
    method: 'GET',
    url: '/wake',
    config: { takesSockets: true },
    schema: { response: { '4xx': Failure, '5xx': Failure } },
    onRequest: app.basicAuth,
    preHandler: (request, _reply, done) => {
      if (request.ws) room(request)
      done()
    },
    handler: () => {
      throw new ProductError('UPGRADE')
    },
    wsHandler: async (socket, request) => {
      const entry = room(request)
      const server = entry.username
      keep(socket, entry, Infinity)
      try {
        // What changed while nobody waited. Looked at last: a change meanwhile is told of twice rather than never.
        const waits = (await waitingFor(app, server)) !== undefined
        if (waits && socket.readyState === socket.OPEN) socket.send(WAKE_TEXT)
      } catch (error) {
        request.log.error({ event: 'wake_failed', server, err: error }, 'a host that waits was sent away')
        socket.close(FAILED, 'the server could not look what waits')
      }
    }
  })
  app.get<{ Querystring: Static<typeof PollQuery> }>(
    '/wake/poll',
    {
      onRequest: app.basicAuth,
      schema: {
        querystring: PollQuery,
        response: { 200: WakeReply, 204: Type.Null(), '4xx': Failure, '5xx': Failure }
      }
    },
    async (request, reply) => {
      const entry = room(request)
      const poll = new WaitingPoll()
      keep(poll, entry, app.clock() + POLL_MS)
      reply.raw.on('close', () => poll.close())
      reply.header('cache-control', 'no-store')
      try {
        // Looked at last, as above. What the host was told of before is no news, though it may wait still: else a host
        // that can't do it would come over and over.
        const mark = await waitingFor(app, entry.username)
        if (mark !== undefined && mark !== request.query.seen) poll.send(WAKE_TEXT)
        await poll.answer
      } finally {
        poll.close()
      }
      if ((await poll.answer) === undefined) return reply.code(204).send()
      // Before the host comes to ask: it is then given all that this mark stands for.
      const seen = await waitingFor(app, entry.username)
      return { type: 'wake' as const, ...(seen === undefined ? {} : { seen }) }
    }
  )
}

/** A host's entry in the client list now. */
async function entryOf(app: FastifyInstance, server: string): Promise<ClientEntry | undefined> {
  const { clients } = await app.store.clients.list()
  return clients.find(({ username }) => username === server)
}
