import { stat, utimes } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import lockfile from 'proper-lockfile'
import { ProductError, systemCode } from './errors.js'

/** A lock in hand. */
export interface HeldLock {
  /** @throws ProductError LOCK_LOST when another process may hold the lock by now: stop before writing */
  check(): void
}

/** How long to wait for a lock, and after how much silence its holder counts as dead; milliseconds. */
export interface LockTimes {
  wait: number
  stale: number
}

/**
 * A dead holder's lock is taken over after `stale`; `wait` is longer, so that a waiting request outlives one
 * dead holder and then ends in an error instead of a hang. A holder refreshes its lock four times as often.
 */
export const LOCK_TIMES: LockTimes = { wait: 15_000, stale: 10_000 }

/**
 * Runs `work` while holding the directory lock `<path>.lock` (proper-lockfile: holds between processes and,
 * on a shared POSIX file system, between machines). The folder must exist, the file need not.
 * @throws ProductError LOCK_TIMEOUT when it is still taken after `times.wait`
 */
export async function withFileLock<T>(
  path: string,
  work: (lock: HeldLock) => Promise<T>,
  times: LockTimes = LOCK_TIMES
): Promise<T> {
  let lost: Error | undefined
  const release = await acquire(path, times, error => (lost = error))
  try {
    return await work({
      check: () => {
        if (lost !== undefined) throw new ProductError('LOCK_LOST', undefined, lost)
      }
    })
  } finally {
    // A lost lock is someone else's by now: releasing it fails, and must.
    if (lost === undefined) await release().catch(() => undefined)
  }
}

async function acquire(
  path: string,
  times: LockTimes,
  onLost: (error: Error) => void
): Promise<() => Promise<void>> {
  const deadline = performance.now() + times.wait
  const future = new FutureLock(`${path}.lock`, times.stale)
  for (let pause = 2; ; pause = Math.min(pause * 2, 100)) {
    try {
      return await lockfile.lock(path, {
        realpath: false,
        stale: times.stale,
        update: times.stale / 4,
        onCompromised: onLost
      })
    } catch (error) {
      const code = systemCode(error)
      if (code !== 'ELOCKED') throw lockFailure(path, error)
      if (performance.now() >= deadline) throw new ProductError('LOCK_TIMEOUT', undefined, error)
      await future.look()
    }
    await delay(pause * (0.5 + Math.random()))
  }
}

/**
 * A lock whose time lies in the future: its holder's clock runs ahead, or was set back after the holder died. It is
 * never stale by its time, so it is watched: a living holder refreshes it.
 */
class FutureLock {
  #time = NaN
  #since = 0

  constructor(
    private readonly lock: string,
    private readonly stale: number
  ) {}

  /** Looks at the lock; one that stood still for `stale` is given an old time, so that it can be taken over. */
  async look(): Promise<void> {
    const time = (await stat(this.lock).catch(() => undefined))?.mtimeMs ?? NaN
    if (!(time > Date.now())) return
    if (time !== this.#time) {
      this.#time = time
      this.#since = performance.now()
    } else if (performance.now() - this.#since >= this.stale) {
      // If it was taken over just now, its new holder sees the strange time and stops before it writes.
      await utimes(this.lock, 0, 0).catch(() => undefined)
    }
  }
}

function lockFailure(path: string, error: unknown): ProductError {
  const reason = systemCode(error) ?? 'unknown error'
  return new ProductError('DISK', `no lock beside ${path} (${reason}); check space and permissions`, error)
}
