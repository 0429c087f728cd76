import { copyMade, fromCopy, isCopy } from './copy.js'

/** What came of one address in one list. */
export interface Told {
  server: string
  jail: string
  ip: string
  outcome:
    'blocked' | 'already-blocked' | 'unblocked' | 'already-unblocked' | 'not-blocked' | 'refused' | 'failed'
  message: string
  /** With `refused`. */
  why?: { code: string; hit: string; note: string }
  /** What keeps an address blocked there all the same. */
  still?: { ip: string; jail: string }
}

/** What came of a block or an unblock. */
export interface Changed {
  success: boolean
  message: string
  results: Told[]
}

/** What the server refused; the message is meant for people. */
export class Refusal extends Error {
  /** @param status HTTP status; 0 when nothing answered */
  constructor(
    readonly status: number,
    message: string,
    readonly results: Told[] = [],
    /** The server's name for what went wrong, and what it says beyond that; empty where it has none. */
    readonly code = '',
    readonly detail = ''
  ) {
    super(message)
  }
}

/** A reply and its version, by which the next one is told apart. */
export interface Answer<T> {
  value: T
  etag: string | null
}

/**
 * Reads from the API. Paths are relative to the page: the base path does not matter.
 * @param options `byItself` for what nobody asked for: it does not prolong the session; `known` is the version
 *   that is there already
 * @returns undefined when the known version is still the present one
 * @throws Refusal
 */
export async function get<T>(
  path: string,
  { byItself = false, known = null }: { byItself?: boolean; known?: string | null } = {}
): Promise<Answer<T> | undefined> {
  if (isCopy) return inCopy<T>(path, known)
  const headers: Record<string, string> = {}
  if (byItself) headers['x-by-itself'] = '1'
  if (known !== null) headers['if-none-match'] = known
  return answer<T>(fetch(`api/${path}`, { headers }))
}

/** A copy stays as it is: what was read once is known. */
async function inCopy<T>(path: string, known: string | null): Promise<Answer<T> | undefined> {
  const value = await fromCopy(path).catch(() => {
    throw new Refusal(0, '')
  })
  if (value === undefined) throw new Refusal(404, 'This is not part of the copy.')
  return known === copyMade.value && known !== '' ? undefined : { value: value as T, etag: copyMade.value }
}

/** Sends a change. @param csrf the session's token; none for the log-in @throws Refusal */
export async function post<T>(path: string, body: object, csrf?: string): Promise<T> {
  const headers = {
    'content-type': 'application/json',
    ...(csrf === undefined ? {} : { 'x-csrf-token': csrf })
  }
  const reply = await answer<T>(fetch(`api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
  if (reply === undefined) throw new Refusal(0, '')
  return reply.value
}

async function answer<T>(request: Promise<Response>): Promise<Answer<T> | undefined> {
  const response = await request.catch(() => {
    throw new Refusal(0, '')
  })
  if (response.status === 304) return undefined
  const reply = (await response.json().catch(() => ({}))) as Partial<Changed>
  if (response.ok) return { value: reply as T, etag: response.headers.get('etag') }
  const { headers } = response
  throw new Refusal(
    response.status,
    reply.message ?? `HTTP ${response.status}`,
    reply.results,
    headers.get('x-error-code') ?? '',
    decodeURIComponent(headers.get('x-error-detail') ?? '')
  )
}

/** A query as text; what is undefined or empty is left out. */
export function query(values: Record<string, string | undefined>): string {
  const pairs = Object.entries(values).filter((pair): pair is [string, string] => (pair[1] ?? '') !== '')
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`
}
