import { ProductError } from '../../common/errors.js'

/** Bytes of uploads that are in memory at one time; what is larger than all of it gets all of it. */
export class MemoryRoom {
  #free: number
  readonly #waiting = new Set<{ bytes: number; enter: () => void }>()

  /** @param longest milliseconds that anyone waits for room */
  constructor(
    private readonly all: number,
    private readonly longest: number
  ) {
    this.#free = all
  }

  /**
   * Runs `work` once there is room, in the order in which it was asked for.
   * @throws ProductError BUSY_UPLOADS when there was no room for too long; what `work` throws
   */
  async use<T>(wanted: number, work: () => Promise<T>): Promise<T> {
    const bytes = Math.min(wanted, this.all)
    if (this.#waiting.size > 0 || bytes > this.#free) await this.#roomFor(bytes)
    else this.#free -= bytes
    try {
      return await work()
    } finally {
      this.#free += bytes
      this.#letIn()
    }
  }

  #roomFor(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = {
        bytes,
        enter: () => {
          clearTimeout(tooLong)
          resolve()
        }
      }
      const tooLong = setTimeout(() => {
        this.#waiting.delete(turn)
        reject(new ProductError('BUSY_UPLOADS'))
        // Whoever stood behind it may be small enough.
        this.#letIn()
      }, this.longest)
      this.#waiting.add(turn)
    })
  }

  #letIn(): void {
    for (const next of this.#waiting) {
      if (next.bytes > this.#free) return
      this.#waiting.delete(next)
      this.#free -= next.bytes
      next.enter()
    }
  }
}
