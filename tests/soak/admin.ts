import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { Outcome } from '../../server/api/block-apply.js'
import { PASSWORD } from './installation.js'
import { Violation } from './violation.js'

/** What became of a request: its reply, or none. */
export type Answer = { lost: true; reason: string } | Told

interface Told {
  lost: false
  status: number
  message: string
  /** Of blocks and unblocks. */
  results: { server: string; jail: string; ip: string; outcome: Outcome }[]
  /** Of changes of the whitelist. */
  outcomes: { ip: string; outcome: string }[]
  lifted: { server: string; list: string; ip: string }[]
  failed: string[]
}

const NOTHING: Told = {
  lost: false,
  status: 0,
  message: '',
  results: [],
  outcomes: [],
  lifted: [],
  failed: []
}

interface Session {
  headers: { cookie: string; 'x-csrf-token': string }
}

/** Log-ins that may fail in a row. */
const LOG_INS = 200

/** One admin's session, with whichever server it is asked to talk to: sessions are good for all of them. */
export class Admin {
  readonly #agent = new Agent({ headersTimeout: 200_000, bodyTimeout: 200_000, connect: { timeout: 5_000 } })
  #session: Promise<Session> | undefined

  constructor(readonly name: string) {}

  /**
   * Sends a change to a route of the API. Logs in before it where that is needed, however long that takes.
   * @param server gives one that listens
   */
  async ask(server: () => Promise<string>, path: string, body: object): Promise<Answer> {
    this.#session ??= this.#logIn(server)
    const session = this.#session
    const { headers } = await session
    try {
      const reply = await this.#post(`${await server()}/api/${path}`, body, headers)
      if (reply.status === 401 && this.#session === session) this.#session = undefined
      const told = JSON.parse(reply.text) as Partial<Told>
      return { ...NOTHING, ...told, lost: false, status: reply.status }
    } catch (error) {
      return { lost: true, reason: String(error) }
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #logIn(server: () => Promise<string>): Promise<Session> {
    for (let tries = 1; ; tries++) {
      try {
        const url = `${await server()}/api/login`
        const reply = await this.#post(url, { username: this.name, password: PASSWORD }, {})
        const told = JSON.parse(reply.text) as { csrf?: string; message?: string }
        if (reply.status !== 200 || told.csrf === undefined)
          throw new Error(`${reply.status} ${told.message}`)
        return { headers: { cookie: reply.cookie, 'x-csrf-token': told.csrf } }
      } catch (error) {
        // A server that died, a full disk, a users file that is just being edited: it will pass.
        if (tries === LOG_INS) throw new Violation(`${this.name} can't log in: ${String(error)}`)
        await delay(250)
      }
    }
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
