/** Bytes of uploads that are in memory at one time; what is larger than all of it gets all of it. */
export class MemoryRoom {
  #free: number
  readonly #waiting: { bytes: number; enter: () => void }[] = []

  constructor(private readonly all: number) {
    this.#free = all
  }

  /** Runs `work` once there is room, in the order in which it was asked for. @throws what `work` throws */
  async use<T>(wanted: number, work: () => Promise<T>): Promise<T> {
    const bytes = Math.min(wanted, this.all)
    if (this.#waiting.length > 0 || bytes > this.#free) {
      await new Promise<void>(enter => this.#waiting.push({ bytes, enter }))
    } else this.#free -= bytes
    try {
      return await work()
    } finally {
      this.#free += bytes
      for (
        let [next] = this.#waiting;
        next !== undefined && next.bytes <= this.#free;
        [next] = this.#waiting
      ) {
        this.#waiting.shift()
        this.#free -= next.bytes
        next.enter()
      }
    }
  }
}
