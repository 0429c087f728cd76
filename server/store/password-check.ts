import { createHmac, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { verify } from '@node-rs/bcrypt'
import { ProductError } from '../../common/errors.js'
import { BCRYPT_COST } from './clients.js'

/** Node.js has four threads for bcrypt and for files: at least one stays free for files. */
const AT_ONCE = Math.min(3, Math.max(2, availableParallelism()))
/** A fleet of 1,000 hosts that come at once after a restart may wait; a flood may not. */
const MOST_WAITING = 2000

/**
 * bcrypt for all of a server, a few at once: guesses by the thousand neither keep the threads from the files nor
 * pile up in memory.
 */
export class PasswordCheck {
  #running = 0
  readonly #key = randomBytes(32)
  readonly #waiting: (() => void)[] = []

  /**
   * @param allowed runs when it is this one's turn, before any work: throws when it has become pointless
   * @returns false also for a hash that is none
   * @throws ProductError BUSY_LOGIN when too many wait already; what `allowed` throws
   */
  async matches(password: string, hash: string, allowed: () => void = () => undefined): Promise<boolean> {
    if (this.#running < AT_ONCE) this.#running++
    else {
      if (this.#waiting.length >= MOST_WAITING) throw new ProductError('BUSY_LOGIN')
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
    try {
      allowed()
      return await verify(password, hash).catch(() => false)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }

  /**
   * A hash that no password has, at the cost of one of the stored ones: an unknown name takes as long as a known
   * one, and always the same time, also where old hashes are cheaper than new ones.
   */
  nobodysHash(known: readonly { password: string }[], name: string): string {
    const costs = known.flatMap(one => /^\$2[abxy]\$(\d\d)\$/.exec(one.password)?.[1] ?? [])
    const at = createHmac('sha256', this.#key).update(name).digest().readUInt32BE() % (costs.length || 1)
    return `$2b$${costs[at] ?? String(BCRYPT_COST)}$${'.'.repeat(53)}`
  }
}
