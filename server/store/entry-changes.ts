import { parseAddress, type Address } from '../../common/address.js'
import { isoTime, LAST_MOMENT, timeOf } from '../../common/clock.js'
import type { RowChanges } from '../../common/list-text.js'
import { asksForBlock, type BlocklistEntry } from '../../common/shapes.js'

/** What an admin asks of one address in one list. */
export interface EntryChange {
  ip: Address
  want: 'block' | 'unblock'
  /** Where the wish came from, such as `action_ban-ip` or `manual`. */
  source: string
  reason?: string
  /** ISO 8601 or null for no end. */
  expires?: string | null
  tags?: string[]
}

/** What came of one change; `already-…` and `not-blocked` changed nothing. */
export type ChangeOutcome = 'blocked' | 'already-blocked' | 'unblocked' | 'already-unblocked' | 'not-blocked'

/**
 * Applies changes to a list (sync-contract.md §4.1), each address once.
 * @param after every stamp is later than this (milliseconds): the last hand-over, so that a change after it
 *   shows as one whatever the clocks do
 * @param places of the list; they stay those of the list as it was
 * @returns the new list, or the very same array when nothing changed; what makes it of the old one; and one outcome per
 *   change
 */
export function changeEntries(
  list: BlocklistEntry[],
  jail: string,
  changes: readonly EntryChange[],
  now: number,
  after: number,
  places = placesOf(list)
): { list: BlocklistEntry[]; rows: RowChanges<BlocklistEntry>; outcomes: ChangeOutcome[] } {
  const next = [...list]
  const changed = new Set<number>()
  const fresh = new Map<Address, number[]>()
  const outcomes = changes.map(change => {
    const found = places.get(change.ip) ?? fresh.get(change.ip) ?? []
    const outcome = outcomeOf(
      change,
      found.map(at => next[at]),
      now
    )
    if (outcome !== 'blocked' && outcome !== 'unblocked') return outcome
    if (found.length === 0) {
      fresh.set(change.ip, [next.length])
      changed.add(next.length)
      next.push(newEntry(change, jail, Math.max(now, after + 1)))
    }
    for (const at of found) {
      const entry = next[at]
      if (entry === undefined) continue
      changed.add(at)
      next[at] = changedEntry(entry, change, now, after)
    }
    return outcome
  })
  const set = [...changed].sort((a, b) => a - b).map(at => [at, next[at] as BlocklistEntry] as const)
  return { list: set.length > 0 ? next : list, rows: { set, gone: [] }, outcomes }
}

/** Where each address stands in a list; an old list may name one twice. */
export type EntryPlaces = Map<Address, number[]>

export function placesOf(list: readonly BlocklistEntry[]): EntryPlaces {
  const places: EntryPlaces = new Map()
  list.forEach((entry, at) => addPlace(places, entry, at))
  return places
}

/** Makes the places of a list those of what `changeEntries` made of it. */
export function followChanges(places: EntryPlaces, length: number, rows: RowChanges<BlocklistEntry>): void {
  for (const [at, entry] of rows.set) if (at >= length) addPlace(places, entry, at)
}

function addPlace(places: EntryPlaces, entry: BlocklistEntry, at: number): void {
  const ip = parseAddress(entry.ip)
  if (ip === undefined) return
  const known = places.get(ip)
  if (known === undefined) places.set(ip, [at])
  else known.push(at)
}

function outcomeOf(change: EntryChange, found: (BlocklistEntry | undefined)[], now: number): ChangeOutcome {
  const active = found.some(entry => entry !== undefined && asksForBlock(entry, now))
  if (change.want === 'block') return active ? 'already-blocked' : 'blocked'
  if (active || found.some(entry => entry !== undefined && entry.active !== false)) return 'unblocked'
  return found.length > 0 ? 'already-unblocked' : 'not-blocked'
}

function newEntry(change: EntryChange, jail: string, stamp: number): BlocklistEntry {
  return {
    ip: change.ip,
    jail,
    source: change.source,
    timestamp: isoTime(stamp),
    expires: change.expires ?? null,
    reason: change.reason ?? '',
    active: true,
    lastModified: isoTime(stamp),
    tags: change.tags ?? [],
    pending: true
  }
}

function changedEntry(
  entry: BlocklistEntry,
  change: EntryChange,
  now: number,
  after: number
): BlocklistEntry {
  const lastModified = isoTime(laterStamp(entry, now, after))
  if (change.want === 'unblock') return { ...entry, active: false, lastModified, pending: true }
  return {
    ...entry,
    source: change.source,
    timestamp: isoTime(now),
    expires: change.expires ?? null,
    reason: change.reason ?? '',
    active: true,
    lastModified,
    tags: change.tags ?? [],
    pending: true
  }
}

/** A stamp later than the entry's own and than `after`, whatever the clock says. */
function laterStamp(entry: BlocklistEntry, now: number, after: number): number {
  const own = timeOf(entry.lastModified)
  return Math.min(LAST_MOMENT, Math.max(now, after + 1, Number.isNaN(own) ? 0 : own + 1))
}

/**
 * Turns entries whose end has passed into asked-for unblocks, so that clients that know nothing of `expires`
 * lift them too (sync-contract.md §5.7). @returns the same array when there are none
 */
export function expireEntries(list: BlocklistEntry[], now: number, after: number): BlocklistEntry[] {
  if (!list.some(entry => entry.active !== false && !asksForBlock(entry, now))) return list
  return list.map(entry =>
    entry.active === false || asksForBlock(entry, now)
      ? entry
      : { ...entry, active: false, lastModified: isoTime(laterStamp(entry, now, after)), pending: true }
  )
}
