import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { authFailure } from '../../common/attempts.js'
import { isoTime } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import type { UserEntry } from '../../common/shapes.js'
import { sessionOf, setSessionCookie } from './access.js'
import { LoginCheck, LONGEST_PASSWORD } from './login.js'
import { FAILURES } from './reply-shapes.js'
import { refuseOtherOrigins } from './same-origin.js'
import type { Session, Sessions } from './sessions.js'
import { whereFrom } from './where-from.js'

/** Anybody may send this much. */
const LOGIN_BYTES = 16 * 1024

const Login = Type.Object(
  { username: Type.String({ maxLength: 256 }), password: Type.String({ maxLength: LONGEST_PASSWORD }) },
  { additionalProperties: false }
)
const SessionReply = Type.Object({
  success: Type.Literal(true),
  user: Type.String(),
  role: Type.Union([Type.Literal('admin'), Type.Literal('viewer')]),
  csrf: Type.String(),
  expires: Type.Object({ idle: Type.String(), absolute: Type.String() })
})

/** POST /api/login: the one route that nobody needs to be logged in for. */
export function loginRoute(scope: FastifyInstance, sessions: Sessions): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const login = new LoginCheck(app.store, app.clock)
  app.post(
    '/login',
    {
      bodyLimit: LOGIN_BYTES,
      onRequest: (request, _reply, done) => {
        refuseOtherOrigins(request)
        done()
      },
      schema: { body: Login, response: { 200: SessionReply, ...FAILURES } }
    },
    async (request, reply) => {
      const { username, password } = request.body
      const user = await login.check(username, password, request.ip).catch((error: unknown): UserEntry => {
        if (error instanceof ProductError && (error.status === 401 || error.status === 429)) {
          request.log.warn(authFailure('login', request.ip, username), 'authentication failed')
        }
        throw error
      })
      const { session, cookie } = await sessions.open(user, whereFrom(request, app.config.sessionBinding))
      setSessionCookie(request, reply, cookie)
      request.log.info({ event: 'login', user: user.username, peer: request.ip }, 'logged in')
      return replyOf(session)
    }
  )
}

/** GET /api/session and POST /api/logout. */
export function sessionRoutes(scope: FastifyInstance, sessions: Sessions): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  app.get('/session', { schema: { response: { 200: SessionReply, ...FAILURES } } }, request =>
    replyOf(sessionOf(request))
  )
  const Told = Type.Object({ success: Type.Literal(true), message: Type.String() })
  app.post('/logout', { schema: { response: { 200: Told, ...FAILURES } } }, async (request, reply) => {
    await sessions.end(sessionOf(request))
    app.live.recheck('browsers')
    setSessionCookie(request, reply, undefined)
    request.log.info({ event: 'logout', user: sessionOf(request).user, peer: request.ip }, 'logged out')
    return { success: true as const, message: 'You are logged out.' }
  })
}

function replyOf({ user, role, csrf, ends }: Session): Static<typeof SessionReply> {
  const expires = { idle: isoTime(ends.idle), absolute: isoTime(ends.absolute) }
  return { success: true, user, role, csrf, expires }
}
