import { setTimeout as delay } from 'node:timers/promises'
import type { Static } from 'typebox'
import { Agent, request } from 'undici'
import { ProductError } from '../common/errors.js'
import { WakeReply } from '../common/live-messages.js'
import { shapeCheck } from '../common/shapes.js'
import { Allowance, type Rate } from './allowance.js'
import { basicHeaders } from './basic.js'
import { limitedText } from './http.js'
import { parsed, reasonOf } from './server-link.js'
import type { Ended, WakeAccess } from './wake-socket.js'

/** Milliseconds; the rate is that of polls. */
export interface PollTimes extends Rate {
  /** A server that lets a poll wait longer than this is gone. */
  silence: number
  /** A poll that ends with nothing sooner than this was not let wait. */
  soon: number
  /** Polls go on this long, then a WebSocket is tried again. */
  socketAgain: number
}

const isWakeReply = shapeCheck(WakeReply)
const MOST_BYTES = 1024

/** Waits by requests that the server answers when there is something to fetch, one after another. */
export class WakePolls {
  /** What waited when the server last said so: it tells at once of anything else, as of what came between two polls. */
  #seen: string | undefined

  constructor(
    private readonly access: WakeAccess,
    private readonly times: PollTimes
  ) {}

  /**
   * Polls until one fails, `signal` ends it, or it is time to try a WebSocket again.
   * @param opened told when the first poll has come to an answer
   * @returns how it failed; undefined when it did not
   */
  async hold(opened: () => void): Promise<Ended | undefined> {
    const { ca, timeout, signal } = this.access
    const agent = new Agent({
      connect: { timeout, ...(ca === undefined ? {} : { ca }) },
      headersTimeout: this.times.silence,
      bodyTimeout: timeout
    })
    const allowance = new Allowance(this.times)
    const until = performance.now() + this.times.socketAgain
    let since = NaN
    const ended = (end: Omit<Ended, 'heldMs'>) => {
      return { ...end, heldMs: Number.isNaN(since) ? 0 : performance.now() - since }
    }
    try {
      while (!signal.aborted && performance.now() < until) {
        // A server must not drive the host from poll to poll.
        for (let ms = allowance.take(); ms > 0; ms = allowance.take()) await delay(ms, undefined, { signal })
        const failure = await this.#poll(agent)
        if (failure !== undefined) return ended(failure)
        if (Number.isNaN(since)) opened()
        since = Number.isNaN(since) ? performance.now() : since
      }
      return undefined
    } catch (error) {
      return ended({ reason: error instanceof ProductError ? error.message : reasonOf(error) })
    } finally {
      await agent.destroy()
    }
  }

  /** One poll. @returns what was wrong with the answer, if anything was */
  async #poll(agent: Agent): Promise<Omit<Ended, 'heldMs'> | undefined> {
    const { url, wake, signal } = this.access
    const begun = performance.now()
    const mark = this.#seen === undefined ? '' : `?seen=${this.#seen}`
    const response = await request(`${url}/poll${mark}`, {
      dispatcher: agent,
      signal,
      headers: { ...basicHeaders(this.access), accept: 'application/json' }
    })
    const status = response.statusCode
    const reply = { text: await limitedText('waiting', response.body, MOST_BYTES) }
    if (status === 204) {
      const waited = performance.now() - begun >= this.times.soon
      return waited ? undefined : { reason: 'the server let no poll wait' }
    }
    if (status !== 200) return { status, reason: `HTTP ${status}` }
    const told = parsed(reply, isWakeReply) as Static<typeof WakeReply> | undefined
    if (told === undefined) return { status, reason: 'the reply is none of this product' }
    this.#seen = told.seen
    wake()
    return undefined
  }
}
