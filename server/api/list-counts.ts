import { timeOf, type Clock } from '../../common/clock.js'
import type { ListName, ServerName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import type { BlocklistStore } from '../store/blocklists.js'
import { entryState, type EntryState } from '../store/entry-state.js'

/** How many entries of a list are in each state. */
export type Counts = Record<EntryState, number>

interface Counted {
  version: string
  counts: Counts
  /** When the pending entry that waits longest began to, as it says itself. */
  pendingSince: string | undefined
  /** Milliseconds when the next entry expires: the counts hold until then. */
  until: number
}

/** Counts the entries of lists; a list that has not changed is neither read nor counted again. */
export class ListCounts {
  readonly #counted = new Map<string, Counted>()

  constructor(
    private readonly lists: BlocklistStore,
    private readonly clock: Clock
  ) {}

  /** The counts of one list; all are zero when there is none. */
  async of(server: ServerName, list: ListName): Promise<Readonly<Pick<Counted, 'counts' | 'pendingSince'>>> {
    const key = `${server}/${list}`
    const known = this.#counted.get(key)
    const present = await this.lists.version(server, list)
    if (known?.version === present && this.clock() < known.until) return known
    const { value, version } = await this.lists.read(server, list)
    const now = this.clock()
    const counts = countStates(value, now)
    const counted = { version, counts, pendingSince: oldestPending(value), until: nextEnd(value, now) }
    this.#counted.set(key, counted)
    return counted
  }
}

/** Counts entries by state. @param now milliseconds */
export function countStates(entries: readonly BlocklistEntry[], now: number): Counts {
  const counts: Counts = { active: 0, pendingBlock: 0, pendingUnblock: 0, expired: 0, inactive: 0 }
  for (const entry of entries) counts[entryState(entry, now)]++
  return counts
}

function oldestPending(entries: readonly BlocklistEntry[]): string | undefined {
  let [oldest, text]: [number, string | undefined] = [Infinity, undefined]
  for (const { pending, lastModified } of entries) {
    if (pending !== true) continue
    const time = timeOf(lastModified)
    if (time < oldest) [oldest, text] = [time, lastModified ?? undefined]
  }
  return text
}

function nextEnd(entries: readonly BlocklistEntry[], now: number): number {
  let next = Infinity
  for (const { expires } of entries) {
    if (expires == null) continue
    const end = timeOf(expires)
    if (end > now && end < next) next = end
  }
  return next
}
