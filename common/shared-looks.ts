/**
 * Looks at the same thing, shared by those who ask at the same moment. Whoever asks gets a look that began after asking:
 * it sees all that was there by then. While one look is under way, all who ask share the next one.
 */
export class SharedLooks<T> {
  readonly #running = new Map<string, Promise<T>>()
  readonly #next = new Map<string, Promise<T>>()

  /** @param look must change nothing that a caller of its own would have to know of @throws what `look` throws */
  async at(key: string, look: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running === undefined) return this.#begin(key, look)
    const next = this.#next.get(key)
    if (next !== undefined) return next
    const begin = () => {
      this.#next.delete(key)
      return this.#begin(key, look)
    }
    const later = running.then(begin, begin)
    this.#next.set(key, later)
    return later
  }

  #begin(key: string, look: () => Promise<T>): Promise<T> {
    // A look that throws before its first wait ends like any other.
    const begun = Promise.resolve().then(look)
    const over = () => {
      if (this.#running.get(key) === begun) this.#running.delete(key)
    }
    this.#running.set(key, begun)
    begun.then(over, over)
    return begun
  }
}
