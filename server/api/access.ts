import type { FastifyReply, FastifyRequest } from 'fastify'
import { ProductError } from '../../common/errors.js'
import type { AuditActor } from '../store/audit-row.js'
import type { Session, Sessions } from './sessions.js'
import { whereFrom } from './where-from.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is logged in; set by `requireUser`. */
    session: Session | undefined
  }
}

const COOKIE = 'f2br_session'
/** A page that looks for news by itself says so: that is no use of the session, which ends all the same. */
const BY_ITSELF = 'x-by-itself'

/**
 * A hook that lets only logged-in users pass, before the body is read. Replaces the cookie when that is due.
 * @throws ProductError LOGIN_NEEDED
 */
export function requireUser(
  sessions: Sessions
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const from = whereFrom(request, request.server.config.sessionBinding)
    const used = request.headers[BY_ITSELF] === undefined
    const elsewhere = (user: string) => tellElsewhere(request, user)
    const found = await sessions.check(request.cookies[COOKIE], from, elsewhere, used)
    if (found === undefined) throw new ProductError('LOGIN_NEEDED')
    request.session = found.session
    if (found.cookie !== undefined) setSessionCookie(request, reply, found.cookie)
  }
}

/**
 * As `requireUser`, for a request that becomes a WebSocket: no reply carries a new cookie, so none is made.
 * @throws ProductError LOGIN_NEEDED
 */
export function requireUserOfSocket(sessions: Sessions): (request: FastifyRequest) => Promise<void> {
  return async request => {
    const from = whereFrom(request, request.server.config.sessionBinding)
    request.session = await sessions.look(request.cookies[COOKIE], from, user => tellElsewhere(request, user))
    if (request.session === undefined) throw new ProductError('LOGIN_NEEDED')
  }
}

function tellElsewhere(request: FastifyRequest, user: string): void {
  request.log.warn(
    { event: 'session_elsewhere', user, peer: request.ip },
    'a session was used from elsewhere than where it began; it was refused'
  )
}

/** A hook that lets only admins pass. To be run after `requireUser`. @throws ProductError ROLE */
export function requireAdmin(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  if (sessionOf(request).role !== 'admin') throw new ProductError('ROLE')
  done()
}

/** The session `requireUser` has found. @throws ProductError LOGIN_NEEDED where it has not been run */
export function sessionOf(request: FastifyRequest): Session {
  if (request.session === undefined) throw new ProductError('LOGIN_NEEDED')
  return request.session
}

/** Who is logged in, for the audit trail. @throws ProductError LOGIN_NEEDED */
export function userActor(request: FastifyRequest): AuditActor {
  return { kind: 'user', name: sessionOf(request).user, from: request.ip }
}

/** Sets the session cookie (it goes with the browser's window), or deletes it when there is no text. */
export function setSessionCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  text: string | undefined
): void {
  reply.setCookie(COOKIE, text ?? '', {
    path: request.server.config.basePath,
    httpOnly: true,
    sameSite: 'strict',
    secure: request.protocol === 'https',
    ...(text === undefined ? { expires: new Date(0) } : {})
  })
}
