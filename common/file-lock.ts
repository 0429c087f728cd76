import {
  closeSync,
  fstatSync,
  mkdir,
  openSync,
  rmdir as rmdirLater,
  statSync,
  utimes,
  type Stats
} from 'node:fs'
import { rmdir, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import lockfile from 'proper-lockfile'
import { ProductError, systemCode } from './errors.js'

/** A lock in hand. */
export interface HeldLock {
  /** @throws ProductError LOCK_LOST when another process has the lock by now: stop before writing */
  check(): Promise<void>
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
 * @param since when the wait began, as `performance.now()` tells it
 * @throws ProductError LOCK_TIMEOUT when it is still taken after `times.wait`
 */
export async function withFileLock<T>(
  path: string,
  work: (lock: HeldLock) => Promise<T>,
  times: LockTimes = LOCK_TIMES,
  since = performance.now()
): Promise<T> {
  let lost: Error | undefined
  const release = await acquire(path, times, since, error => (lost = error))
  let own: number
  try {
    own = openSync(lockOf(path), 'r')
  } catch (error) {
    await release().catch(() => undefined)
    throw lockFailure(path, error)
  }
  // Held open, its inode can't become another's.
  const inode = fstatSync(own, { bigint: true }).ino
  const isOurs = () => lost === undefined && inodeAt(lockOf(path)) === inode
  try {
    return await work({
      check: () =>
        isOurs() ? Promise.resolve() : Promise.reject(new ProductError('LOCK_LOST', undefined, lost))
    })
  } finally {
    // A lost lock is someone else's by now: it must not be removed.
    const ours = isOurs()
    // Before it goes: whoever closes it last may have to wait for the disk.
    closeSync(own)
    if (ours) await release().catch(() => undefined)
  }
}

/** The inode that is there at this moment; undefined when there is none. */
function inodeAt(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
  } catch {
    return undefined
  }
}

/**
 * What proper-lockfile does to the disk. It looks at a lock at once; making and removing one stays in a thread, for that
 * may wait for the disk.
 */
const LOCK_FS = { mkdir, rmdir: rmdirLater, utimes, stat: lookAt }

function lookAt(path: string, done: (error: unknown, info?: Stats) => void): void {
  let info: Stats
  try {
    info = statSync(path)
  } catch (error) {
    return done(error)
  }
  done(null, info)
}

async function acquire(
  path: string,
  times: LockTimes,
  since: number,
  onLost: (error: Error) => void
): Promise<() => Promise<void>> {
  const silence = new Silence(path)
  for (let pause = 2; ; pause = Math.min(pause * 2, 100)) {
    try {
      return await lockfile.lock(path, {
        realpath: false,
        fs: LOCK_FS,
        // Its own way to tell a dead holder compares the lock's time with this process's clock. Clocks are set, and
        // differ between machines: a live lock would count as dead, a dead one as alive for hours.
        stale: Number.MAX_SAFE_INTEGER,
        update: times.stale / 4,
        onCompromised: onLost
      })
    } catch (error) {
      const code = systemCode(error)
      if (code !== 'ELOCKED') throw lockFailure(path, error)
      const freed = (await silence.lasts(times.stale)) && (await removed(lockOf(path)))
      if (freed) continue
      if (performance.now() - since >= times.wait) throw new ProductError('LOCK_TIMEOUT', undefined, error)
    }
    await delay(pause * (0.5 + Math.random()))
  }
}

/** Removes a dead holder's lock. @returns false when it can't be removed, as on a read-only disk */
async function removed(lock: string): Promise<boolean> {
  return rmdir(lock).then(
    () => true,
    (error: unknown) => systemCode(error) === 'ENOENT'
  )
}

/** Watches a lock that another holds: a living holder touches it, whatever its clock says. */
class Silence {
  readonly #lock: string
  #seen = ''
  #since = 0

  constructor(path: string) {
    this.#lock = lockOf(path)
  }

  /** True when the lock has been the same, untouched, for that many milliseconds. */
  async lasts(milliseconds: number): Promise<boolean> {
    const present = await stat(this.#lock, { bigint: true }).catch(() => undefined)
    const seen = present === undefined ? '' : `${present.ino}:${present.mtimeNs}:${present.ctimeNs}`
    if (seen === '' || seen !== this.#seen) {
      this.#seen = seen
      this.#since = performance.now()
    }
    return performance.now() - this.#since >= milliseconds
  }
}

function lockOf(path: string): string {
  return `${path}.lock`
}

function lockFailure(path: string, error: unknown): ProductError {
  const reason = systemCode(error) ?? 'unknown error'
  return new ProductError('DISK', `no lock beside ${path} (${reason}); check space and permissions`, error)
}
