import type { FastifyRequest } from 'fastify'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { sessionOf } from './access.js'
import { sameText } from './session-token.js'

/**
 * Refuses a change that another site's page has sent, as far as the browser tells: `Sec-Fetch-Site` and `Origin`
 * count when they are there (programs send neither).
 * @throws ProductError CSRF
 */
export function refuseOtherOrigins(request: FastifyRequest): void {
  const { origin, 'sec-fetch-site': site } = request.headers
  const own = originOf(`${request.protocol}://${request.host}`)
  const sameSite = site === undefined || site === 'same-origin'
  const sameOrigin = origin === undefined || (own !== undefined && originOf(origin) === own)
  if (sameSite && sameOrigin) return
  // Behind a proxy that is not trusted, the own origin is not what the browser sees: the log shows both.
  request.log.warn(
    { event: 'foreign_origin', origin: printable(origin ?? ''), own, site: printable(site ?? '') },
    'a change from another origin was refused; behind a proxy, check --trust-proxy'
  )
  throw new ProductError('CSRF')
}

/** Refuses a change without the session's own token. To be run after `requireUser`. @throws ProductError CSRF */
export function requireCsrfToken(request: FastifyRequest): void {
  const given = request.headers['x-csrf-token']
  if (typeof given === 'string' && sameText(given, sessionOf(request).csrf)) return
  throw new ProductError('CSRF')
}

function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { origin } = new URL(text)
  return origin === 'null' ? undefined : origin
}
