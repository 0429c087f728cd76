import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import { authFailure } from '../../common/attempts.js'
import { address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { eventsFileOfDay, printable, type ServerName } from '../../common/names.js'
import { BanEvent } from '../../common/shapes.js'
import type { ClientAuthenticator } from './authenticate.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** The host whose callback secret was right. */
    callbackHost: ServerName | undefined
  }
}

/** One event of one host; anybody may send this much. */
const CALLBACK_BYTES = 64 * 1024
/** Characters of the host's log lines that are passed on. */
const MOST_LOGS = 4000

const Body = Type.Object({
  serverId: Type.String(),
  ip: Type.String({ minLength: 1, maxLength: 64 }),
  jail: Type.String({ minLength: 1, maxLength: 256 }),
  hostname: Type.Optional(Type.String({ maxLength: 255 })),
  failures: Type.Optional(Type.Integer({ minimum: 0 })),
  logs: Type.Optional(Type.String()),
  /** (+) When, by the host's own clock: as its log has it. */
  time: Type.Optional(BanEvent.properties.timestamp)
})
const Failure = Type.Object({ success: Type.Literal(false), message: Type.String() })
const REPLIES = {
  200: Type.Object({ success: Type.Literal(true), message: Type.String() }),
  '4xx': Failure,
  '5xx': Failure
}

/**
 * POST <base>/api/ban and <base>/api/unban: fail2ban on a host tells of an event at the moment it happens, with the
 * host's secret in X-Callback-Secret. 401 without it, 400 for a bad body, else 200 once the event is stored.
 */
export default function callbacks(
  app: FastifyInstance,
  { authenticator }: { authenticator: ClientAuthenticator },
  done: () => void
): void {
  app.removeContentTypeParser(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'])
  app.decorateRequest('callbackHost', undefined)
  const typed = app.withTypeProvider<TypeBoxTypeProvider>()
  for (const [name, action] of [
    ['ban', 'Ban'],
    ['unban', 'Unban']
  ] as const) {
    typed.post(
      `/${name}`,
      {
        bodyLimit: CALLBACK_BYTES,
        onRequest: (request, _reply, passed) => {
          // Before the body is read.
          if (secretOf(request) === '') throw new ProductError('CALLBACK')
          passed()
        },
        // Ahead of the body's check: who has no secret is told nothing of it.
        preValidation: request => authenticate(authenticator, request),
        schema: { body: Body, response: REPLIES }
      },
      async ({ body, callbackHost }) => {
        if (callbackHost === undefined) throw new ProductError('CALLBACK')
        const timestamp = body.time ?? localTime(app.clock())
        // A day that the calendar doesn't have is refused here.
        eventsFileOfDay(timestamp.slice(0, 10))
        const event = { timestamp, action, ip: address(body.ip), jail: body.jail }
        const { hostname, failures, logs } = body
        const isNew = await app.store.events.addCallback(callbackHost, event, {
          ...(hostname === undefined ? {} : { hostname: printable(hostname, 255) }),
          ...(failures === undefined ? {} : { failures }),
          ...(logs === undefined ? {} : { logs: logs.slice(0, MOST_LOGS) })
        })
        return { success: true as const, message: isNew ? 'Event stored.' : 'The event was known already.' }
      }
    )
  }
  done()
}

async function authenticate(authenticator: ClientAuthenticator, request: FastifyRequest): Promise<void> {
  const { body } = request
  const serverId = typeof body === 'object' && body !== null && 'serverId' in body ? body.serverId : undefined
  // Nobody's secret can be looked at: the body's check refuses it, whoever sent it.
  if (typeof serverId !== 'string') return
  try {
    request.callbackHost = await authenticator.checkCallback(serverId, secretOf(request), request.ip)
  } catch (error) {
    if (error instanceof ProductError && (error.status === 401 || error.status === 429)) {
      request.log.warn(authFailure('callback', request.ip, serverId), 'authentication failed')
    }
    throw error
  }
}

function secretOf(request: FastifyRequest): string {
  const given = request.headers['x-callback-secret']
  return typeof given === 'string' ? given : ''
}

/** The server's local time as fail2ban writes it: for callbacks that don't say the host's. */
function localTime(now: number): string {
  const date = new Date(now)
  return new Date(now - date.getTimezoneOffset() * 60_000)
    .toISOString()
    .slice(0, 23)
    .replace('T', ' ')
    .replace('.', ',')
}
