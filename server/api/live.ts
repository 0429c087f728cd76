import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { ProductError } from '../../common/errors.js'
import { requireUserOfSocket, sessionOf } from './access.js'
import { FAILURES } from './reply-shapes.js'
import { refuseOtherOrigins } from './same-origin.js'
import type { Sessions } from './sessions.js'

const Query = Type.Object(
  { console: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) },
  { additionalProperties: false }
)

/**
 * GET /api/ws: a WebSocket that tells what changes (common/live-messages.ts). `?console=true` adds the server's log,
 * for admins. It is closed with 4401 when its session ends; the browser may come again with a newer cookie.
 */
export function liveRoute(app: FastifyInstance, sessions: Sessions): void {
  app.route<{ Querystring: Static<typeof Query> }>({
    method: 'GET',
    url: '/ws',
    config: { takesSockets: true },
    schema: { querystring: Query, response: FAILURES },
    onRequest: [
      (request, _reply, done) => {
        refuseOtherOrigins(request)
        done()
      },
      requireUserOfSocket(sessions)
    ],
    preHandler: (request, _reply, done) => {
      if (request.query.console === 'true' && sessionOf(request).role !== 'admin') {
        throw new ProductError('ROLE')
      }
      if (request.ws && app.live.browsers.full) throw new ProductError('BUSY_LIVE')
      done()
    },
    handler: () => {
      throw new ProductError('UPGRADE')
    },
    wsHandler: (socket, request) => {
      const session = sessionOf(request)
      app.live.browsers.add(socket, {
        about: { role: session.role, console: request.query.console === 'true' },
        key: session.user,
        until: session.ends.idle,
        stillGood: () => sessions.goesOn(session)
      })
    }
  })
}
