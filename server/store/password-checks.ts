import { verify } from '@node-rs/bcrypt'
import { ProductError } from '../../common/errors.js'

/** bcrypt runs on libuv's four threads, which files need too: two are left for them. */
const AT_ONCE = 2
const MOST_WAITING = 500

/** Checks passwords against bcrypt hashes, a few at a time: a flood of wrong ones must not stop the server. */
export class PasswordChecks {
  #running = 0
  readonly #waiting: (() => void)[] = []

  /**
   * @returns false also for a text that is no bcrypt hash
   * @throws ProductError AUTH_BUSY when too many wait already
   */
  async matches(password: string, hash: string): Promise<boolean> {
    if (this.#running >= AT_ONCE) {
      if (this.#waiting.length >= MOST_WAITING) throw new ProductError('AUTH_BUSY')
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else {
      this.#running++
    }
    try {
      return await verify(password, hash).catch(() => false)
    } finally {
      // The place is handed on, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
