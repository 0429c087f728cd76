import { isoTime, timeOf, type Clock } from '../../common/clock.js'
import type { JsonFiles } from '../../common/json-file.js'
import type { ListName, ServerName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import type { Paths } from './folders.js'
import { KINDS, type HandOvers } from './kinds.js'
import { keyOf } from './merge.js'

/** What is on record of one list's hand-overs; times in milliseconds. */
export interface HandOver {
  /** Later than every change that was part of the last one; undefined when none is on record. */
  latest: number | undefined
  /** Entries the list has lost lately, `keyOf` → their last `lastModified`. */
  gone: ReadonlyMap<string, number>
}

type Gone = NonNullable<HandOvers[string]['gone']>

/** Longer than any request can be under way: 120 s to come in, then waits for locks. */
const REMEMBER_GONE_MS = 15 * 60_000

/** archive/<server>/handover.json. Everything here is called while holding the list's own lock. */
export class HandOverStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly clock: Clock
  ) {}

  /** What is on record of a list. */
  async of(server: ServerName, list: ListName): Promise<HandOver> {
    const { value } = await this.files.read(this.paths.handOvers(server), KINDS.handOvers)
    const record = Object.hasOwn(value, list) ? value[list] : undefined
    const latest = timeOf(record?.latest)
    const gone = Object.entries(record?.gone ?? {}).map(([key, { lastModified }]) => {
      return [key, timeOf(lastModified)] as const
    })
    return { latest: Number.isNaN(latest) ? undefined : latest, gone: new Map(gone) }
  }

  /** Records that a list is handed out as it is now. */
  async record(server: ServerName, list: ListName, entries: readonly BlocklistEntry[]): Promise<void> {
    const now = this.clock()
    // A client may have written stamps by a clock that runs ahead; they were part of this hand-over all the same.
    let latest = now
    for (const entry of entries) {
      const stamp = timeOf(entry.lastModified)
      if (stamp > latest) latest = stamp
    }
    await this.#change(server, list, gone => ({ at: isoTime(now), latest: isoTime(latest), ...gone }))
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
    const more: Gone = Object.fromEntries(
      lost.map(entry => [keyOf(entry), { lastModified: entry.lastModified ?? at, at }])
    )
    await this.#change(server, list, ({ gone }, record) => ({
      at: record?.at ?? at,
      latest: record?.latest ?? '',
      gone: { ...gone, ...more }
    }))
  }

  async #change(
    server: ServerName,
    list: ListName,
    next: (still: { gone?: Gone }, record: HandOvers[string] | undefined) => HandOvers[string]
  ): Promise<void> {
    const now = this.clock()
    await this.files.change(this.paths.handOvers(server), KINDS.handOvers, ({ value }) => {
      const record = Object.hasOwn(value, list) ? value[list] : undefined
      const recent = Object.entries(record?.gone ?? {}).filter(
        ([, { at }]) => Math.abs(now - timeOf(at)) < REMEMBER_GONE_MS
      )
      const still = recent.length === 0 ? {} : { gone: Object.fromEntries(recent) }
      return { value: { ...value, [list]: next(still, record) }, result: undefined }
    })
  }
}
