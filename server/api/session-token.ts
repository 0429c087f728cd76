import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { shapeCheck, type UserEntry } from '../../common/shapes.js'

const MINUTE = 60_000
/** How long a session lives (product.md R7) and how often its cookie is written anew; milliseconds. */
export const SESSION_TIMES = {
  idle: 30 * MINUTE,
  absolute: 120 * MINUTE,
  /** After this a new id takes the place of the old one … */
  renewal: 15 * MINUTE,
  /** … which counts for this much longer, for the requests that are under way with it. */
  grace: 30_000,
  /** `seenAt` in the cookie is at most this much behind. */
  touch: MINUTE
} as const

const Token = Type.Object({
  login: Type.String(),
  id: Type.String(),
  user: Type.String(),
  loggedInAt: Type.Number(),
  renewedAt: Type.Number(),
  seenAt: Type.Number(),
  stamp: Type.String(),
  from: Type.String()
})
/**
 * What the session cookie carries; nothing is kept on the server. `login` stays for the whole session and ends
 * with the log-out, `id` changes with every renewal. Times are milliseconds. `stamp` is `stampOf` the user, `from` is
 * `fromOf` where the session began.
 */
export type SessionToken = Static<typeof Token>
const check = shapeCheck(Token)

const LONGEST_COOKIE = 2048

/** A new session: fresh ids whatever the browser held before. */
export function newToken(key: Buffer, user: UserEntry, from: string, now: number): SessionToken {
  return {
    login: randomBytes(18).toString('base64url'),
    id: randomBytes(18).toString('base64url'),
    user: user.username,
    loggedInAt: now,
    renewedAt: now,
    seenAt: now,
    stamp: stampOf(key, user),
    from: fromOf(key, from)
  }
}

/** The cookie's text: content and signature. */
export function signToken(key: Buffer, token: SessionToken): string {
  const content = Buffer.from(JSON.stringify(token)).toString('base64url')
  return `${content}.${keyed(key, 'cookie', content)}`
}

/** The token of a cookie that this key has signed, or undefined for any other text. */
export function readToken(key: Buffer, text: string): SessionToken | undefined {
  const [content = '', signature = ''] = text.length > LONGEST_COOKIE ? [] : text.split('.', 2)
  if (!sameText(signature, keyed(key, 'cookie', content))) return undefined
  const token: unknown = JSON.parse(Buffer.from(content, 'base64url').toString())
  // A cookie of another version of this product may be signed as well.
  return check(token) === undefined ? (token as SessionToken) : undefined
}

/** When the session ends if nothing more is heard, and when it ends in any case; milliseconds. */
export function endsOf(token: SessionToken): { idle: number; absolute: number } {
  const absolute = token.loggedInAt + SESSION_TIMES.absolute
  return { idle: Math.min(token.seenAt + SESSION_TIMES.idle, absolute), absolute }
}

/** True while neither limit has passed. */
export function isAlive(token: SessionToken, now: number): boolean {
  return now < endsOf(token).idle
}

/** True when a new id is due. */
export function needsRenewal(token: SessionToken, now: number): boolean {
  return now - token.renewedAt >= SESSION_TIMES.renewal
}

/**
 * The token with a new id. The new id follows from the old one, so that parallel requests of one page, answered
 * by several processes, all get the same; without the key it can't be foreseen.
 */
export function renewed(key: Buffer, token: SessionToken, now: number): SessionToken {
  return { ...token, id: keyed(key, 'renewal', token.id).slice(0, 24), renewedAt: now, seenAt: now }
}

/**
 * Changes with the user's password, role or name: a session made before such a change, or whose user is gone,
 * is over at once.
 */
export function stampOf(key: Buffer, user: UserEntry): string {
  return keyed(key, 'stamp', JSON.stringify([user.username, user.password, user.role])).slice(0, 24)
}

/** Tells where a session began (where-from.ts) without telling it to who reads the cookie. */
export function fromOf(key: Buffer, from: string): string {
  return keyed(key, 'from', from).slice(0, 24)
}

/** What a page must send with every change; the same until the log-out, so that renewals disturb no open page. */
export function csrfOf(key: Buffer, token: SessionToken): string {
  return keyed(key, 'csrf', token.login)
}

/** Compares secrets in a time that tells nothing of them but their length. */
export function sameText(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** HMAC-SHA-256; `purpose` keeps a text made for one use from counting for another. */
function keyed(key: Buffer, purpose: string, text: string): string {
  return createHmac('sha256', key).update(`${purpose}\0${text}`).digest('base64url')
}
