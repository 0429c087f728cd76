import { Agent, request } from 'undici'
import type { Outcome } from '../../server/api/block-apply.js'
import { PASSWORD } from './installation.js'

/** What became of a request: its reply, or none. */
export type Answer =
  | { lost: true; reason: string }
  | {
      lost: false
      status: number
      message: string
      results: { server: string; jail: string; ip: string; outcome: Outcome }[]
    }

/** One admin's session, with whichever server it is asked to talk to: sessions are good for all of them. */
export class Admin {
  readonly #agent = new Agent({ headersTimeout: 200_000, bodyTimeout: 200_000, connect: { timeout: 5_000 } })
  #session: { cookie: string; 'x-csrf-token': string } | undefined

  constructor(readonly name: string) {}

  /** Sends a block or unblock. Logs in before it where that is needed. */
  async ask(server: string, what: 'block' | 'unblock', body: object): Promise<Answer> {
    try {
      this.#session ??= await this.#logIn(server)
    } catch (error) {
      // Nothing was asked for yet.
      return { lost: false, status: 0, message: String(error), results: [] }
    }
    try {
      const reply = await this.#post(`${server}/api/${what}`, body, this.#session)
      if (reply.status === 401) this.#session = undefined
      const told = JSON.parse(reply.text) as Partial<Extract<Answer, { lost: false }>>
      return { lost: false, status: reply.status, message: told.message ?? '', results: told.results ?? [] }
    } catch (error) {
      return { lost: true, reason: String(error) }
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #logIn(server: string): Promise<{ cookie: string; 'x-csrf-token': string }> {
    const reply = await this.#post(`${server}/api/login`, { username: this.name, password: PASSWORD }, {})
    const told = JSON.parse(reply.text) as { csrf?: string }
    if (reply.status !== 200 || told.csrf === undefined) throw new Error(`log-in: ${reply.status}`)
    return { cookie: reply.cookie, 'x-csrf-token': told.csrf }
  }

  async #post(
    url: string,
    body: object,
    headers: Record<string, string>
  ): Promise<{ status: number; text: string; cookie: string }> {
    const reply = await request(url, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { ...headers, 'content-type': 'application/json' },
      dispatcher: this.#agent,
      // A connection that was kept may be gone by now, and nobody could tell whether the request went through.
      reset: true
    })
    const [set = ''] = [reply.headers['set-cookie']].flat()
    return { status: reply.statusCode, text: await reply.body.text(), cookie: set.split(';', 1)[0] ?? '' }
  }
}
