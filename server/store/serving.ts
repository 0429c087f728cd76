import { randomUUID } from 'node:crypto'
import { mkdir, rmdir, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ProductError, systemCode } from '../../common/errors.js'
import { namesIn, versionOf } from '../../common/json-file.js'

/** How often a server shows that it lives, and after how much silence it counts as dead; milliseconds. */
export interface ServingTimes {
  touch: number
  stale: number
}

const TIMES: ServingTimes = { touch: 5_000, stale: 20_000 }
/** No host's name begins with a dot; what ends with .lock is part of no backup. */
const MARK = /^\.serving-(.+)-\d+-[0-9a-f]{8}\.lock$/

/**
 * Marks in the archive of the servers that run on it, on this machine or on others: what replaces the archive is not
 * done under them. Whether one lives is seen by its being touched, as with locks: clocks and process numbers of
 * different machines and containers don't matter, and the mark of a killed server blocks nobody.
 */
export class ServingMarks {
  readonly #silent = new Map<string, { version: string; since: number }>()

  constructor(
    private readonly archive: string,
    private readonly times: ServingTimes = TIMES
  ) {}

  /** Marks the archive for this process. A mark that goes, as on a full disk, comes again. @returns takes it away */
  async hold(): Promise<() => Promise<void>> {
    const name = hostname().replaceAll(/[^A-Za-z0-9.-]/g, '_')
    const path = join(this.archive, `.serving-${name}-${process.pid}-${randomUUID().slice(0, 8)}.lock`)
    let running = touch(path)
    await running
    const timer = setInterval(() => {
      running = running.then(() => touch(path))
    }, this.times.touch)
    timer.unref()
    return async () => {
      clearInterval(timer)
      await running
      await rmdir(path).catch(() => undefined)
    }
  }

  /**
   * Looks whether a server runs: a living one is seen within `touch`, a killed one's mark is believed after `stale`.
   * @param waiting told that there are marks, so that it takes a while @returns the machine it runs on
   */
  async alive(waiting: (seconds: number) => void = () => undefined): Promise<string | undefined> {
    const marks = await this.#marks()
    if (marks.length > 0) waiting(Math.ceil(this.times.stale / 1000))
    const before = await Promise.all(marks.map(versionOf))
    const end = performance.now() + this.times.stale
    while (performance.now() < end) {
      const now = await Promise.all(marks.map(versionOf))
      if (now.every(version => version === '')) return undefined
      const touched = marks.find((_path, at) => now[at] !== '' && now[at] !== before[at])
      if (touched !== undefined) return MARK.exec(touched.slice(this.archive.length + 1))?.[1]
      await delay(Math.min(200, this.times.touch / 4))
    }
    return undefined
  }

  /** Refuses to go on while a server runs. @throws ProductError CONFLICT */
  async refuseAlive(waiting?: (seconds: number) => void): Promise<void> {
    const machine = await this.alive(waiting)
    if (machine === undefined) return
    throw new ProductError('CONFLICT', `a server runs on ${this.archive} (on ${machine}); stop it first`)
  }

  /** Removes marks that have not been touched for long, seen from one call to the next. */
  async removeDead(): Promise<void> {
    const marks = await this.#marks()
    for (const path of [...this.#silent.keys()].filter(path => !marks.includes(path)))
      this.#silent.delete(path)
    for (const path of marks) {
      const version = await versionOf(path)
      const known = this.#silent.get(path)
      if (known?.version !== version) this.#silent.set(path, { version, since: performance.now() })
      else if (performance.now() - known.since >= this.times.stale) await rmdir(path).catch(() => undefined)
    }
  }

  async #marks(): Promise<string[]> {
    return (await namesIn(this.archive)).filter(name => MARK.test(name)).map(name => join(this.archive, name))
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date()
  await utimes(path, now, now)
    .catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return mkdir(path, 0o750)
    })
    // A server need not stop for it: the next time it may be possible.
    .catch(() => undefined)
}
