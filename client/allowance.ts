/** So many at once, and one more in so many milliseconds. */
export interface Rate {
  burst: number
  refill: number
}

/** Counts what a peer may make this host do. */
export class Allowance {
  #left: number
  #last = performance.now()

  constructor(private readonly rate: Rate) {
    this.#left = rate.burst
  }

  /** Takes one if it may be had. @returns 0, or the milliseconds until one may */
  take(): number {
    const now = performance.now()
    this.#left = Math.min(this.rate.burst, this.#left + (now - this.#last) / this.rate.refill)
    this.#last = now
    if (this.#left < 1) return (1 - this.#left) * this.rate.refill
    this.#left--
    return 0
  }
}
