import { isoTime, LAST_MOMENT, timeOf, type Clock } from '../../common/clock.js'
import type { JsonFiles } from '../../common/json-file.js'
import type { ListName, ServerName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import type { Paths } from './folders.js'
import { KINDS, type GoneEntries, type HandOvers } from './kinds.js'
import { keyOf } from './merge.js'

/** What is on record of one list's hand-overs; times in milliseconds. */
export interface HandOver {
  /** When the last one was, ISO 8601; undefined when none is on record. */
  at: string | undefined
  /** Later than every change that was part of the last one; undefined when none is on record. */
  latest: number | undefined
}

/** Longer than any request can be under way: 120 s to come in, then waits for locks. */
const REMEMBER_GONE_MS = 15 * 60_000
const WEEK_MS = 7 * 24 * 3_600_000

/**
 * archive/<server>/handover.json, and gone.json beside it: what is long is not written with each hand-over. Everything
 * here is called while holding the list's own lock.
 */
export class HandOverStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly clock: Clock
  ) {}

  /** What is on record of a list. */
  async of(server: ServerName, list: ListName): Promise<HandOver> {
    const record = await this.#record(server, list)
    const latest = timeOf(record?.latest)
    return {
      at: record?.at === '' ? undefined : record?.at,
      latest: Number.isNaN(latest) ? undefined : latest
    }
  }

  /** Records that a list is handed out as it is now. */
  async record(server: ServerName, list: ListName, entries: readonly BlocklistEntry[]): Promise<void> {
    const now = this.clock()
    // A client may have written stamps by a clock that runs ahead; they were part of this hand-over all the same.
    let latest = now
    const longAgo = isoTime(now - WEEK_MS)
    for (const { lastModified } of entries) {
      // Whatever the offset: what is spelled as a day of more than a week ago is over. Most of a long list is.
      if (lastModified == null || lastModified < longAgo) continue
      const stamp = timeOf(lastModified)
      if (stamp > latest) latest = Math.min(stamp, LAST_MOMENT - 1)
    }
    await this.#change(server, list, known => ({
      at: isoTime(now),
      // What was handed out before and may still come back knows of nothing later than it.
      latest: known.out === true ? known.latest : isoTime(latest),
      out: true
    }))
    // No list waits for what is merely tidying.
    await this.#forgetGone(server).catch(() => undefined)
  }

  /** Records that what was handed out has come back. */
  async handedBack(server: ServerName, list: ListName): Promise<void> {
    if ((await this.#record(server, list))?.out !== true) return
    await this.#change(server, list, known => ({ ...known, out: false }))
  }

  /** Entries a list has lost lately: `keyOf` → their last `lastModified`, in milliseconds. */
  async gone(server: ServerName, list: ListName): Promise<ReadonlyMap<string, number>> {
    const { value } = await this.files.read(this.paths.gone(server), KINDS.gone)
    const lost = Object.entries((Object.hasOwn(value, list) ? value[list] : undefined) ?? {})
    const recent = lost.filter(([, { at }]) => this.#isRecent(at))
    return new Map(recent.map(([key, { lastModified }]) => [key, timeOf(lastModified)]))
  }

  /** Remembers for a while which entries a list loses by a change; nothing is written when it loses none. */
  async noteGone(
    server: ServerName,
    list: ListName,
    before: readonly BlocklistEntry[],
    after: readonly BlocklistEntry[]
  ): Promise<void> {
    const stay = new Set(after.map(keyOf))
    const lost = before.filter(entry => !stay.has(keyOf(entry)))
    if (lost.length === 0) return
    const at = isoTime(this.clock())
    const more = Object.fromEntries(
      lost.map(entry => [keyOf(entry), { lastModified: entry.lastModified ?? at, at }])
    )
    await this.#changeGone(server, known => ({ ...known, [list]: { ...known[list], ...more } }))
  }

  /** Forgets, of all lists, what went long ago: one that nothing happens to any more would keep it for ever. */
  async #forgetGone(server: ServerName): Promise<void> {
    const path = this.paths.gone(server)
    const version = await this.files.version(path)
    let known = this.#times.get(path)
    if (known?.version !== version) {
      const read = await this.files.read(path, KINDS.gone)
      known = this.#noteTimes(path, read.version, read.value)
    }
    if (known.times.some(at => !this.#isRecent(at))) await this.#changeGone(server, gone => gone)
  }

  /**
   * When entries went, by file: few times, however many went. Each hand-over asks for them, and by then what the lists
   * themselves need has pushed a long file out of memory.
   */
  readonly #times = new Map<string, { version: string; times: readonly string[] }>()

  #noteTimes(path: string, version: string, gone: GoneEntries) {
    const known = { version, times: timesOf(gone) }
    this.#times.set(path, known)
    return known
  }

  async #changeGone(server: ServerName, change: (recent: GoneEntries) => GoneEntries): Promise<void> {
    const path = this.paths.gone(server)
    await this.files.change(path, KINDS.gone, ({ value }) => {
      const recent = Object.entries(value).map(([name, lost]) => {
        const kept = Object.entries(lost).filter(([, { at }]) => this.#isRecent(at))
        return [name, Object.fromEntries(kept)] as const
      })
      const next = change(Object.fromEntries(recent.filter(([, lost]) => Object.keys(lost).length > 0)))
      const written = (version: string) => Promise.resolve(void this.#noteTimes(path, version, next))
      return { value: next, written, result: undefined }
    })
  }

  #isRecent(at: string): boolean {
    return Math.abs(this.clock() - timeOf(at)) < REMEMBER_GONE_MS
  }

  async #record(server: ServerName, list: ListName): Promise<HandOvers[string] | undefined> {
    const { value } = await this.files.read(this.paths.handOvers(server), KINDS.handOvers)
    return Object.hasOwn(value, list) ? value[list] : undefined
  }

  async #change(
    server: ServerName,
    list: ListName,
    change: (known: HandOvers[string]) => HandOvers[string]
  ): Promise<void> {
    await this.files.change(this.paths.handOvers(server), KINDS.handOvers, ({ value }) => {
      const known = Object.hasOwn(value, list) ? value[list] : undefined
      return { value: { ...value, [list]: change(known ?? { at: '', latest: '' }) }, result: undefined }
    })
  }
}

/** The different times at which entries went. */
function timesOf(gone: GoneEntries): string[] {
  const times = new Set<string>()
  for (const lost of Object.values(gone)) for (const { at } of Object.values(lost)) times.add(at)
  return [...times]
}
