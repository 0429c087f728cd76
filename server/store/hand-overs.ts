import { isoTime, LAST_MOMENT, timeOf, type Clock } from '../../common/clock.js'
import type { JsonFiles } from '../../common/json-file.js'
import type { ListName, ServerName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import type { Paths } from './folders.js'
import { KINDS, type HandOvers } from './kinds.js'
import { keyOf } from './merge.js'

/** What is on record of one list's hand-overs; times in milliseconds. */
export interface HandOver {
  /** When the last one was, ISO 8601; undefined when none is on record. */
  at: string | undefined
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
    const record = await this.#record(server, list)
    const latest = timeOf(record?.latest)
    const gone = Object.entries(this.#recent(record)).map(([key, { lastModified }]) => {
      return [key, timeOf(lastModified)] as const
    })
    return {
      at: record?.at === '' ? undefined : record?.at,
      latest: Number.isNaN(latest) ? undefined : latest,
      gone: new Map(gone)
    }
  }

  /** Records that a list is handed out as it is now. */
  async record(server: ServerName, list: ListName, entries: readonly BlocklistEntry[]): Promise<void> {
    const now = this.clock()
    // A client may have written stamps by a clock that runs ahead; they were part of this hand-over all the same.
    let latest = now
    for (const entry of entries) {
      const stamp = timeOf(entry.lastModified)
      if (stamp > latest) latest = Math.min(stamp, LAST_MOMENT - 1)
    }
    await this.#change(server, list, known => ({
      at: isoTime(now),
      // What was handed out before and may still come back knows of nothing later than it.
      latest: known.out === true ? known.latest : isoTime(latest),
      out: true
    }))
  }

  /** Records that what was handed out has come back. */
  async handedBack(server: ServerName, list: ListName): Promise<void> {
    if ((await this.#record(server, list))?.out !== true) return
    await this.#change(server, list, () => ({ out: false }))
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
    await this.#change(server, list, known => ({ gone: { ...known.gone, ...more } }))
  }

  async #record(server: ServerName, list: ListName): Promise<HandOvers[string] | undefined> {
    const { value } = await this.files.read(this.paths.handOvers(server), KINDS.handOvers)
    return Object.hasOwn(value, list) ? value[list] : undefined
  }

  #recent(record: HandOvers[string] | undefined): Gone {
    const now = this.clock()
    const gone = Object.entries(record?.gone ?? {})
    return Object.fromEntries(gone.filter(([, { at }]) => Math.abs(now - timeOf(at)) < REMEMBER_GONE_MS))
  }

  async #change(
    server: ServerName,
    list: ListName,
    change: (known: HandOvers[string]) => Partial<HandOvers[string]>
  ): Promise<void> {
    await this.files.change(this.paths.handOvers(server), KINDS.handOvers, ({ value }) => {
      const record = Object.hasOwn(value, list) ? value[list] : undefined
      const known = { at: '', latest: '', ...record, gone: this.#recent(record) }
      const next = { ...known, ...change(known) }
      // Of all lists: one that nothing happens to any more would keep what it lost for ever.
      const others = Object.entries(value).map(([name, one]) => {
        return [name, withGone(one, this.#recent(one))] as const
      })
      return {
        value: { ...Object.fromEntries(others), [list]: withGone(next, next.gone) },
        result: undefined
      }
    })
  }
}

function withGone(record: HandOvers[string], gone: Gone): HandOvers[string] {
  const rest = { ...record }
  delete rest.gone
  return Object.keys(gone).length === 0 ? rest : { ...rest, gone }
}
