import { setImmediate } from 'node:timers/promises'

/**
 * Looks at the same thing, shared by those who ask at the same moment. Whoever asks gets a look that began after asking:
 * it sees all that was there by then. It begins when all who are here have asked and the look under way has ended.
 */
export class SharedLooks<T> {
  readonly #running = new Map<string, Promise<unknown>>()
  readonly #next = new Map<string, Promise<T>>()

  /** @param look must change nothing that a caller of its own would have to know of @throws what `look` throws */
  at(key: string, look: () => T | Promise<T>): Promise<T> {
    const next = this.#next.get(key)
    if (next !== undefined) return next
    const begun = this.#soon(key, look)
    this.#next.set(key, begun)
    return begun
  }

  async #soon(key: string, look: () => T | Promise<T>): Promise<T> {
    await this.#running.get(key)
    // Once this turn of the event loop is through, and with it what has just come in.
    await setImmediate()
    this.#next.delete(key)
    // A look that throws before its first wait ends like any other.
    const begun = Promise.resolve().then(look)
    const over = begun.catch(() => undefined)
    this.#running.set(key, over)
    try {
      return await begun
    } finally {
      if (this.#running.get(key) === over) this.#running.delete(key)
    }
  }
}
