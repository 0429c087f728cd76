import type { FastifyReply, FastifyRequest } from 'fastify'
import { FailedAttempts, peerKey } from '../../common/attempts.js'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { authFailed } from '../metrics.js'
import type { AuditActor } from '../store/audit-row.js'
import type { ApiKey } from '../store/kinds.js'
import { requireUser, sessionOf, userActor } from './access.js'
import { refuseOtherOrigins, requireCsrfToken } from './same-origin.js'
import type { Sessions } from './sessions.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** The key a program has shown; set by `requireKeyOrUser`. */
    apiKey: ApiKey | undefined
  }
}

/** Wrong keys, per address. */
const WRONG_KEYS = 20
const WINDOW_MS = 60_000
const LONGEST = 200

/** What somebody may do: a viewer reads, an admin does everything. */
export type Right = ApiKey['role']
const RIGHTS: Record<Right, number> = { read: 0, write: 1, admin: 2 }

/**
 * A hook that lets programs with a key (`Authorization: Bearer`) and logged-in users pass, before the body is read.
 * A key is no cookie: no other site's page can send it, so it needs no CSRF token.
 * @throws ProductError KEY_FAILED, AUTH_RATE, LOGIN_NEEDED, CSRF
 */
export function requireKeyOrUser(
  sessions: Sessions,
  clock: Clock
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const attempts = new FailedAttempts(clock, WRONG_KEYS, WINDOW_MS)
  const user = requireUser(sessions)
  return async (request, reply) => {
    const secret = shownKey(request)
    if (secret === undefined) {
      await user(request, reply)
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        refuseOtherOrigins(request)
        requireCsrfToken(request)
      }
      return
    }
    const peer = peerKey(request.ip)
    attempts.check(peer)
    request.apiKey = secret.length > LONGEST ? undefined : await request.server.store.keys.find(secret)
    if (request.apiKey === undefined) {
      attempts.failed(peer)
      // Never the text itself: it may be another service's key.
      authFailed(request, 'key', '')
      throw new ProductError('KEY_FAILED')
    }
  }
}

/** The key that a request shows, right or wrong: such a request is judged by it and by nothing else. */
export function shownKey(request: FastifyRequest): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

/** Refuses who may do less than `right`, and a key that counts for another host. @throws ProductError ROLE */
export function requireRight(request: FastifyRequest, right: Right, server?: string): void {
  if (RIGHTS[rightOf(request)] < RIGHTS[right]) throw new ProductError('ROLE')
  const bound = request.apiKey?.server
  if (bound !== undefined && server !== undefined && server !== bound) throw new ProductError('ROLE')
}

/** The one host a program's key counts for; undefined when it counts for all, and for users. */
export function boundTo(request: FastifyRequest): string | undefined {
  return request.apiKey?.server
}

/** Who asks, for the audit trail. */
export function keyOrUserActor(request: FastifyRequest): AuditActor {
  const { apiKey } = request
  return apiKey === undefined ? userActor(request) : { kind: 'key', name: apiKey.name, from: request.ip }
}

function rightOf(request: FastifyRequest): Right {
  if (request.apiKey !== undefined) return request.apiKey.role
  return sessionOf(request).role === 'admin' ? 'admin' : 'read'
}
