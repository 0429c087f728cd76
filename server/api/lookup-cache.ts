import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { RateLimited, type Facts } from './lookup-services.js'

const KEPT_MS = 24 * 3_600_000
const MOST = 10_000

interface Asked {
  facts: Promise<Facts>
  /** Milliseconds when the service was asked. */
  at: number
}

/** Remembers what services said, asks about an address once at a time, and lets a service be that asked for it. */
export class LookupCache {
  readonly #answers = new Map<string, Asked>()
  readonly #pausedUntil = new Map<string, number>()

  constructor(private readonly clock: Clock) {}

  /** @throws ProductError LOOKUP, in words */
  async of(service: string, ip: string, ask: () => Promise<Facts>): Promise<{ facts: Facts; at: number }> {
    const key = `${service} ${ip}`
    const now = this.clock()
    const known = this.#answers.get(key)
    if (known !== undefined && now - known.at < KEPT_MS) return this.#settled(service, key, known)
    const paused = (this.#pausedUntil.get(service) ?? 0) - now
    if (paused > 0) throw limited(service, paused)
    const asked = { facts: ask(), at: now }
    this.#answers.set(key, asked)
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= MOST) break
      this.#answers.delete(oldest)
    }
    return this.#settled(service, key, asked)
  }

  async #settled(service: string, key: string, { facts, at }: Asked): Promise<{ facts: Facts; at: number }> {
    try {
      return { facts: await facts, at }
    } catch (error) {
      if (this.#answers.get(key)?.facts === facts) this.#answers.delete(key)
      if (!(error instanceof RateLimited)) throw error
      this.#pausedUntil.set(service, at + error.waitMs)
      throw limited(service, error.waitMs)
    }
  }
}

function limited(service: string, waitMs: number): ProductError {
  const minutes = Math.ceil(waitMs / 60_000)
  return new ProductError('LOOKUP', `${service} takes no more questions for now; try again in ${minutes} min`)
}
