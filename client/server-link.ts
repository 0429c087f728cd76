import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import * as Type from 'typebox'
import { ProductError, messageOf, systemCode } from '../common/errors.js'
import { parseJson } from '../common/json-file.js'
import { CHANGES_HEADER, CHANGES_TYPE } from '../common/list-changes.js'
import { isListName, printable, type ListName } from '../common/names.js'
import { LIMITS, shapeCheck, type ShapeCheck } from '../common/shapes.js'
import { basicHeaders } from './basic.js'
import type { ReceivedCommand } from './commands/carry-out.js'
import { Requests, type Reply } from './http.js'
import { multipart, type Multipart } from './multipart.js'

/** Where and as whom this host talks to its server. */
export interface LinkOptions {
  urls: { index: string; update: string; download: string; syncback: string }
  /** Where the server's API for machines lies, such as `https://reports.example/api/v1`. */
  apiUrl?: string | undefined
  username: string
  password: string
  uuid: string
  /** PEM file of the authority that signed the server's certificate; the system's authorities when absent. */
  caFile?: string | undefined
  /** Milliseconds for connecting, and for silence while data flows. */
  timeout: number
  /**
   * Milliseconds for all requests together, from the first one on; 20 timeouts by default. A server that sends a
   * byte now and then must not keep the host from its firewall.
   */
  total?: number
  /** Told of each attempt that failed and will be repeated. */
  onRetry?: (what: string, reason: string) => void
  /** Milliseconds before attempt 2, 3, …; jitter is added. */
  pauses?: readonly number[]
  /** Once aborted, nothing is waited for any more: requests fail as if the network were gone. */
  signal?: AbortSignal | undefined
}

/** What update.php offers. */
export interface Offered {
  updates: ListName[]
  /** Lists the server lost; absent from a server that doesn't compare what the host holds with what it has. */
  restore?: ListName[]
  /** SHA-256 (hex) of the whitelist as it is for this host; absent from a server that has none. */
  whitelist?: string
  /** What this host is to do; absent from a server that gives no commands. */
  commands?: ReceivedCommand[]
}

/** What download.php delivers: a list's text, or (`changes`) the changes that make it of the copy the host has. */
export interface Downloaded {
  text: string
  changes: boolean
  /** Whether syncback.php takes changes in place of a whole list. */
  takesChanges: boolean
}

/** A file to be sent. */
export interface OutgoingFile {
  name: string
  text: string
}

/** What came of a sync-back. */
export interface SyncedBack {
  files: string[]
  refused: { file: string; message: string }[]
  /** Lists of which changes were sent that the server can't make: it wants them whole. */
  whole: string[]
}

const PAUSES = [500, 1500, 4000]
const REPEATABLE = new Set([408, 429, 502, 503, 504])
/** What Node.js says of a certificate whose signer it doesn't know. */
const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE'
])
/** What it says of one that is out of date or of another server. */
const OTHER_CERTIFICATE = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'ERR_TLS_CERT_ALTNAME_INVALID'
])
const REPLY_BYTES = 4 * 1024 * 1024

const UpdateReply = shapeCheck(
  Type.Object({
    success: Type.Literal(true),
    updates: Type.Array(Type.String(), { maxItems: 10_000 }),
    restore: Type.Optional(Type.Array(Type.String(), { maxItems: 10_000 })),
    whitelist: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    commands: Type.Optional(
      Type.Array(
        Type.Object({
          id: Type.String({ maxLength: 120 }),
          type: Type.String({ maxLength: 64 }),
          params: Type.Record(Type.String(), Type.Unknown())
        }),
        { maxItems: 100 }
      )
    )
  })
)
const FileErrors = Type.Array(Type.Object({ file: Type.String(), message: Type.String() }))
const SyncBackReply = shapeCheck(
  Type.Object({
    success: Type.Boolean(),
    files: Type.Optional(Type.Array(Type.String())),
    whole: Type.Optional(Type.Array(Type.String())),
    errors: Type.Optional(FileErrors)
  })
)
const AnyReply = shapeCheck(Type.Object({ success: Type.Boolean() }))
const Told = shapeCheck(Type.Object({ message: Type.String() }))

/**
 * The four endpoints as this host calls them (sync-contract.md §2, §3). TLS certificates are always checked.
 * Network errors and 408, 429, 502 to 504 are repeated after growing pauses: every request may be repeated.
 */
export class ServerLink {
  readonly #options: LinkOptions
  readonly #requests: Requests
  #deadline: AbortSignal | undefined

  /** @throws ProductError CONFIG when the authority file can't be read */
  constructor(options: LinkOptions) {
    this.#options = options
    this.#requests = new Requests(
      options.timeout,
      options.caFile === undefined ? undefined : readAuthority(options.caFile)
    )
  }

  /** Sends a day's events or a list to index.php. @throws ProductError NETWORK, REFUSED */
  async upload(file: OutgoingFile): Promise<void> {
    await this.#json(
      'uploading ' + file.name,
      this.#options.urls.index,
      () => this.#form('file', [file]),
      AnyReply
    )
  }

  /**
   * Asks update.php what to fetch.
   * @param told fields beyond the concept; old servers pass over them
   * @param onSent told when the question is on its way, at each attempt
   * @throws ProductError NETWORK, REFUSED
   */
  async ask(told: Record<string, string>, onSent?: () => void): Promise<Offered> {
    const body = () => new URLSearchParams({ ...this.#credentials(), ...told }).toString()
    const how = { ...FORM, onSent }
    const reply = (await this.#json(
      'asking for updates',
      this.#options.urls.update,
      body,
      UpdateReply,
      how
    )) as {
      updates: string[]
      restore?: string[]
      whitelist?: string
      commands?: ReceivedCommand[]
    }
    const { restore, whitelist, commands } = reply
    return {
      updates: reply.updates.filter(isListName),
      ...(restore === undefined ? {} : { restore: restore.filter(isListName) }),
      ...(whitelist === undefined ? {} : { whitelist }),
      ...(commands === undefined ? {} : { commands })
    }
  }

  /**
   * Fetches the whitelist (`GET /api/v1/whitelist/plain`); undefined when it is the text whose SHA-256 is `hash`.
   * @throws ProductError NETWORK, REFUSED
   */
  async whitelist(hash: string): Promise<string | undefined> {
    const what = 'asking for the whitelist'
    const headers = { ...basicHeaders(this.#options), accept: 'text/plain', 'if-none-match': `"${hash}"` }
    const reply = await this.#repeat(what, this.#api('whitelist/plain'), () => null, REPLY_BYTES, {
      method: 'GET',
      headers
    })
    if (reply.status === 304) return undefined
    if (reply.status !== 200) throw refused(what, reply)
    return reply.text
  }

  /** Tells the server what came of what it wanted (`POST /api/v1/report`). @throws ProductError NETWORK, REFUSED */
  async report(report: object): Promise<void> {
    const what = 'reporting'
    const reply = await this.#repeat(what, this.#api('report'), () => JSON.stringify(report), REPLY_BYTES, {
      method: 'POST',
      headers: {
        ...basicHeaders(this.#options),
        accept: 'application/json',
        'content-type': 'application/json'
      }
    })
    if (reply.status !== 200) throw refused(what, reply)
  }

  /**
   * Fetches a list from download.php; undefined when the server has no copy for us (any more).
   * @param base SHA-256 (hex) of the copy the host has, for a server that tells changes; empty when it has none.
   *   Without it the list comes whole.
   */
  async download(list: ListName, base?: string): Promise<Downloaded | undefined> {
    const url = new URL(this.#options.urls.download)
    url.searchParams.set('file', list)
    const told = base === undefined ? {} : { base }
    const body = () => new URLSearchParams({ ...this.#credentials(), ...told }).toString()
    const reply = await this.#repeat('downloading ' + list, url.href, body, LIMITS.uploadBytes)
    if (reply.status === 404) return undefined
    if (reply.status !== 200) throw refused('downloading ' + list, reply)
    return {
      text: reply.text,
      changes: base !== undefined && reply.headers['content-type']?.startsWith(CHANGES_TYPE) === true,
      takesChanges: reply.headers[CHANGES_HEADER] === 'taken'
    }
  }

  /** Sends lists to syncback.php. @throws ProductError NETWORK, REFUSED when no list was taken */
  async syncBack(files: readonly OutgoingFile[]): Promise<SyncedBack> {
    const what = 'syncing back'
    const reply = await this.#repeat(
      what,
      this.#options.urls.syncback,
      () => this.#form('file[]', files),
      REPLY_BYTES
    )
    const told = parsed(reply, SyncBackReply) as
      { success: boolean; files?: string[]; whole?: string[]; errors?: SyncedBack['refused'] } | undefined
    const errors = (told?.errors ?? []).map(({ file, message }) => ({
      file: printable(file),
      message: printable(message, 300)
    }))
    if (reply.status !== 200 && errors.length === 0) throw refused(what, reply)
    if (reply.status === 200 && told?.success !== true) throw refused(what, reply)
    const named = (names: string[] = []) => (reply.status === 200 ? names.filter(isListName) : [])
    return { files: named(told?.files), whole: named(told?.whole), refused: errors }
  }

  /** Asks the server for no more than an answer. @throws ProductError NETWORK */
  async reach(): Promise<Reply> {
    return this.#repeat('asking', this.#options.urls.update, () => null, REPLY_BYTES, {
      method: 'GET',
      headers: {}
    })
  }

  /** Closes idle connections. */
  close(): void {
    this.#requests.close()
  }

  #credentials(): Record<string, string> {
    const { username, password, uuid } = this.#options
    return { username, password, uuid }
  }

  #api(path: string): string {
    const { apiUrl } = this.#options
    if (apiUrl === undefined) {
      throw new ProductError('CONFIG', 'update_url does not end in /endpoint/update.php; give server instead')
    }
    return `${apiUrl}/${path}`
  }

  #form(field: string, files: readonly OutgoingFile[]): Multipart {
    return multipart(this.#credentials(), field, files)
  }

  async #json(what: string, url: string, body: () => Body, check: ShapeCheck, how?: How): Promise<unknown> {
    const reply = await this.#repeat(what, url, body, REPLY_BYTES, how)
    const value = parsed(reply, check)
    if (reply.status !== 200 || value === undefined) throw refused(what, reply)
    return value
  }

  async #repeat(
    what: string,
    url: string,
    body: () => Body | null,
    most: number,
    how: How = FORM
  ): Promise<Reply> {
    const { pauses = PAUSES, signal } = this.#options
    for (let attempt = 0; ; attempt++) {
      const pause = pauses[attempt]
      let reason: string
      try {
        const reply = await this.#once(what, url, body(), most, how)
        if (!REPEATABLE.has(reply.status) || pause === undefined) return reply
        reason = `the server answered ${reply.status}`
      } catch (error) {
        if (error instanceof ProductError) throw error
        const stopped = signal?.aborted === true
        reason = stopped ? 'told to stop' : reasonOf(error)
        // The next attempt would be shown the same certificate.
        const over = stopped || this.#deadline?.aborted === true || isUntrusted(error)
        if (pause === undefined || over)
          throw new ProductError(
            'NETWORK',
            `${what} at ${new URL(url).origin}: ${reason}${schemeHint(url, error)}`,
            error
          )
      }
      this.#options.onRetry?.(what, reason)
      // An abort ends the pause; the next attempt then fails at once.
      await delay(pause * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
    }
  }

  async #once(what: string, url: string, body: Body | null, most: number, how: How): Promise<Reply> {
    const form = typeof body === 'string' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
    this.#deadline ??= AbortSignal.timeout(this.#options.total ?? this.#options.timeout * 20)
    const told = this.#options.signal
    return this.#requests.send(new URL(url), {
      what,
      method: how.method,
      body,
      most,
      onSent: how.onSent,
      signal: AbortSignal.any([this.#deadline, ...(told === undefined ? [] : [told])]),
      headers: { ...form, ...how.headers }
    })
  }
}

/** What is sent; made anew for each attempt. */
type Body = string | Multipart

interface How {
  method: 'GET' | 'POST'
  headers: Record<string, string>
  onSent?: (() => void) | undefined
}

/** As the four endpoints are asked; the content type follows from the body. */
const FORM: How = { method: 'POST', headers: { accept: 'application/json' } }

/** The certificate of the authority in a file. @throws ProductError CONFIG */
export function readAuthority(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ProductError(
      'CONFIG',
      `ca_file ${path} can't be read (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  }
}

/** A reply's JSON; undefined when it is none of that shape. */
export function parsed(reply: Pick<Reply, 'text'>, check: ShapeCheck): unknown {
  try {
    return parseJson(reply.text, check)
  } catch {
    return undefined
  }
}

/** What mends a refusal, by its status and what the server says (sync-contract.md §2). */
function hintFor(status: number, said: string): string {
  if (status === 404) return ' (is the base path in the URL right?)'
  if (status !== 403) return ''
  if (said.includes('ip mismatch')) {
    return ' (on the server, "fail2ban-report client edit HOST --ip" sets which addresses this host may come from)'
  }
  return ' (compare with "fail2ban-report client list" on the server; "client edit --renew-password" makes a new password)'
}

function refused(what: string, reply: Reply): ProductError {
  const told = parsed(reply, Told) as { message: string } | undefined
  const said = told === undefined ? 'no JSON reply; is the URL right?' : printable(told.message, 300)
  return new ProductError('REFUSED', `${what}: ${reply.status} ${said}${hintFor(reply.status, said)}`)
}

/** Whether the server's certificate is one that this host does not trust. */
function isUntrusted(error: unknown): boolean {
  const code = systemCode(error) ?? ''
  return UNKNOWN_AUTHORITY.has(code) || OTHER_CERTIFICATE.has(code)
}

/** What is said to a port that speaks HTTPS in plain HTTP, or the other way round, ends in codes that don't say so. */
function schemeHint(url: string, error: unknown): string {
  const code = systemCode(error) ?? ''
  if (url.startsWith('http:')) return /^(ECONNRESET|HPE_)/.test(code) ? '; is it a server of https://?' : ''
  return /^(EPROTO|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/.test(code)
    ? '; is it a server of http://?'
    : ''
}

/** Why a request came to nothing, in a few words for the log. */
export function reasonOf(error: unknown): string {
  const cause: unknown = error instanceof AggregateError ? error.errors[0] : error
  const code = systemCode(cause)
  if (code === undefined) return messageOf(cause)
  return UNKNOWN_AUTHORITY.has(code) ? `${code}; name the authority's certificate with --ca-file` : code
}
