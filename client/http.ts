import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { Agent as FormAgent, FormData } from 'undici'
import { ProductError } from '../common/errors.js'

/** What is sent. A form is sent as multipart/form-data. */
export interface Outgoing {
  method: 'GET' | 'POST'
  headers: Record<string, string>
  body: string | FormData | null
  signal: AbortSignal
  /** Bytes of the reply that are taken. */
  most: number
  /** What it is for, as messages say it. */
  what: string
  /** Told when all of it is on its way; not of a form. */
  onSent?: (() => void) | undefined
}

export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

/**
 * Requests to one server. Redirections are not followed. Forms go by undici, which is loaded when the first one is sent:
 * loading it costs more than a whole cycle with nothing to send, and that is what most of them are.
 */
export class Requests {
  readonly #timeout: number
  readonly #ca: string | undefined
  #plain: http.Agent | undefined
  #forms: FormAgent | undefined

  /** @param timeout milliseconds for connecting, and for silence while data flows @param ca PEM of a trusted authority */
  constructor(timeout: number, ca: string | undefined) {
    this.#timeout = timeout
    this.#ca = ca
  }

  /** @throws system errors; ProductError REFUSED when the reply is longer than `most` */
  async send(url: URL, outgoing: Outgoing): Promise<Reply> {
    return typeof outgoing.body === 'object' && outgoing.body !== null
      ? this.#sendForm(url, outgoing, outgoing.body)
      : this.#sendText(url, outgoing, outgoing.body)
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    this.#plain?.destroy()
    await this.#forms?.destroy()
  }

  async #sendText(
    url: URL,
    { method, headers, signal, most, what, onSent = () => undefined }: Outgoing,
    body: string | null
  ): Promise<Reply> {
    const { request, Agent } = url.protocol === 'https:' ? await import('node:https') : http
    this.#plain ??= new Agent({ keepAlive: true, ...(this.#ca === undefined ? {} : { ca: this.#ca }) })
    const agent = this.#plain
    let answered: IncomingMessage | undefined
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = request(url, { method, headers, agent, signal, timeout: this.#timeout }, given => {
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
      asked.end(body ?? undefined)
    })
    const { statusCode = 0, headers: told } = response
    return { status: statusCode, headers: told, text: await limitedText(what, response, most) }
  }

  async #sendForm(
    url: URL,
    { method, headers, signal, most, what }: Outgoing,
    body: FormData
  ): Promise<Reply> {
    const { Agent, request } = await import('undici')
    this.#forms ??= new Agent({
      connect: { timeout: this.#timeout, ...(this.#ca === undefined ? {} : { ca: this.#ca }) },
      headersTimeout: this.#timeout,
      bodyTimeout: this.#timeout,
      keepAliveTimeout: 4_000
    })
    const response = await request(url, { method, headers, body, signal, dispatcher: this.#forms })
    const { statusCode, headers: told } = response
    return { status: statusCode, headers: told, text: await limitedText(what, response.body, most) }
  }
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
