import http, { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { ProductError } from '../common/errors.js'
import { utf8Pieces } from '../common/utf8-pieces.js'
import type { Multipart } from './multipart.js'

/** What is sent. */
export interface Outgoing {
  method: 'GET' | 'POST'
  headers: Record<string, string>
  body: string | Multipart | null
  signal: AbortSignal
  /** Bytes of the reply that are taken. */
  most: number
  /** What it is for, as messages say it. */
  what: string
  /** Told when all of it is on its way. */
  onSent?: (() => void) | undefined
}

export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

/**
 * Requests to one server, by Node.js' own HTTP: a cycle loads nothing for it. Redirections are not followed.
 */
export class Requests {
  readonly #timeout: number
  readonly #ca: string | undefined
  #agent: http.Agent | undefined

  /** @param timeout milliseconds for connecting, and for silence while data flows @param ca PEM of a trusted authority */
  constructor(timeout: number, ca: string | undefined) {
    this.#timeout = timeout
    this.#ca = ca
  }

  /** Closes the connections. */
  close(): void {
    this.#agent?.destroy()
  }

  /** @throws system errors; ProductError REFUSED when the reply is longer than `most` */
  async send(url: URL, outgoing: Outgoing): Promise<Reply> {
    const { method, body, signal, most, what, onSent = () => undefined } = outgoing
    const { request, Agent } = url.protocol === 'https:' ? await import('node:https') : http
    this.#agent ??= new Agent({ keepAlive: true, ...(this.#ca === undefined ? {} : { ca: this.#ca }) })
    const agent = this.#agent
    const headers = { ...outgoing.headers, ...(isForm(body) ? headersOf(body) : {}) }
    const asked = request(url, { method, headers, agent, signal, timeout: this.#timeout })
    let answered: IncomingMessage | undefined
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      asked.on('response', given => {
        answered = given
        resolve(given)
      })
      asked.on('error', reject)
      asked.on('finish', onSent)
      asked.on('timeout', () => {
        const silent = (code: string) => Object.assign(new Error('the server is silent'), { code })
        const { connecting = true, secureConnecting = false } = (asked.socket ?? {}) as Connecting
        if (answered !== undefined) answered.destroy(silent('BODY_TIMEOUT'))
        else asked.destroy(silent(connecting || secureConnecting ? 'CONNECT_TIMEOUT' : 'HEADERS_TIMEOUT'))
      })
      if (isForm(body)) void sendForm(asked, body)
      else asked.end(body ?? undefined)
    })
    try {
      const reply = await response
      const { statusCode = 0, headers: told } = reply
      return { status: statusCode, headers: told, text: await limitedText(what, reply, most) }
    } finally {
      // A server that has answered wants no more of it; the next attempt would go beside this one.
      if (!asked.writableFinished) asked.destroy()
    }
  }
}

function isForm(body: Outgoing['body']): body is Multipart {
  return typeof body === 'object' && body !== null
}

function headersOf({ type, parts }: Multipart): Record<string, string> {
  const bytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  return { 'content-type': type, 'content-length': String(bytes) }
}

/** A megabyte at a time, as fast as they go. What fails is told by the request itself. */
async function sendForm(asked: ClientRequest, { parts }: Multipart): Promise<void> {
  for (const part of parts) {
    for (const bytes of utf8Pieces(part)) {
      await new Promise(gone => asked.write(bytes, gone))
      if (asked.destroyed) return
    }
  }
  asked.end()
}

/** A socket as far as its beginning tells: `secureConnecting` is one of TLS before its handshake is done. */
interface Connecting {
  connecting?: boolean
  secureConnecting?: boolean
}

/** A reply's text. @throws ProductError REFUSED when it is longer than `most` bytes */
export async function limitedText(what: string, body: AsyncIterable<unknown>, most: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > most) throw new ProductError('REFUSED', `${what}: the reply is longer than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
