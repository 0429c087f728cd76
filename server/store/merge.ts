import { parseAddress } from '../../common/address.js'
import { timeOf } from '../../common/clock.js'
import type { RowChanges } from '../../common/list-text.js'
import { asksForBlock, type BlocklistEntry } from '../../common/shapes.js'
import type { EntryPlaces } from './entry-changes.js'

/**
 * The outcome of a merge: `kept` of the server's entries (or of what it has let go) outlived the client's version; 0
 * means the client's, exactly.
 */
export interface Merge {
  list: BlocklistEntry[]
  kept: number
}

/**
 * The sync-back (sync-contract.md §5.1): the client's version entry by entry, but a server entry stays, pending,
 * when it changed after the hand-over. It did when its `lastModified` is newer than the client's copy of it, or
 * later than the hand-over itself (a client may write `lastModified` by its own clock), or when it asks for a
 * block and the client's version doesn't have it.
 * @param handedOutAt milliseconds; Infinity when no hand-over is on record
 * @param gone entries the server's list has lost lately, `keyOf` → their last `lastModified` in milliseconds. A
 *   request of an earlier cycle that comes late (or twice) still has them: it must not bring a lifted block back.
 */
export function mergeSyncBack(
  server: readonly BlocklistEntry[],
  client: BlocklistEntry[],
  handedOutAt: number,
  now: number,
  gone: ReadonlyMap<string, number> = new Map()
): Merge {
  if (server.length === 0 && gone.size === 0) return { list: client, kept: 0 }
  const { firsts, more } = placesOf(client)
  const list: (BlocklistEntry | undefined)[] = [...client]
  let kept = 0
  if (gone.size > 0) {
    const present = new Set(server.map(keyOf))
    for (const [at, entry] of client.entries()) {
      const key = keyOf(entry)
      const stamp = gone.get(key)
      if (stamp === undefined || present.has(key) || timeOf(entry.lastModified) > stamp) continue
      kept++
      list[at] = undefined
    }
  }
  for (const entry of server) {
    const key = keyOf(entry)
    const first = firsts.get(key)
    const others = more.get(key)
    const changed =
      first === undefined
        ? asksForBlock(entry, now)
        : timeOf(entry.lastModified) > handedOutAt || isNewer(entry, others?.newest ?? client[first])
    if (!changed) continue
    kept++
    const stays = { ...entry, pending: true }
    if (first === undefined) list.push(stays)
    else list[first] = stays
    for (const at of others?.places.splice(0) ?? []) list[at] = undefined
  }
  return { list: kept === 0 ? client : list.filter(entry => entry !== undefined), kept }
}

/**
 * A blocklist sent to index.php (sync-contract.md §3): what the upload says is not pending becomes so, what was
 * inactive and pending and is absent from it is gone. Entries that changed since the client's copy stay pending.
 * @returns the same array when nothing changes
 */
export function confirmEntries(
  server: BlocklistEntry[],
  upload: readonly BlocklistEntry[]
): BlocklistEntry[] {
  const told = new Map(upload.map(entry => [keyOf(entry), entry]))
  const list = server.flatMap(entry => {
    const copy = told.get(keyOf(entry))
    if (entry.pending !== true) return [entry]
    if (copy === undefined) {
      return entry.active !== false ? [entry] : []
    }
    const sameWish = (copy.active !== false) === (entry.active !== false)
    if (copy.pending !== false || !sameWish || isNewer(entry, copy)) return [entry]
    return [{ ...entry, pending: false }]
  })
  return list.length === server.length && list.every((entry, at) => entry === server[at]) ? server : list
}

/** Entries of a list before and after a change; those that are the same in both may be left out of both. */
export interface Sides {
  before: readonly BlocklistEntry[]
  after: BlocklistEntry[]
}

/**
 * Both sides of the rows that a version touches which was made of the very list that is there: a merge of them tells what
 * one of the whole lists would, as all other entries are the same on both sides. (One that changed behind an earlier
 * hand-over that never came back is part of that version: its host has it, and nothing is left to fetch.)
 * @param places of the list
 * @returns undefined when only the whole lists tell: a row becomes another address's, or the list holds an address twice,
 *   or what is none
 */
export function touchedSides(
  list: readonly BlocklistEntry[],
  { set, gone }: RowChanges<BlocklistEntry>,
  places: EntryPlaces
): Sides | undefined {
  if (places.size !== list.length) return undefined
  const before = [...set.map(([place]) => place), ...gone].map(place => list[place])
  const after = set.map(([, entry]) => entry)
  const same = after.every((entry, at) => keyOf(entry) === (before[at] && keyOf(before[at])))
  return same ? { before: before.filter(entry => entry !== undefined), after } : undefined
}

interface Copies {
  /** Where the address stands again, its first place left out. */
  places: number[]
  newest: BlocklistEntry
}

/**
 * Where each address stands first, and those that stand there again: apart, as an array for each of a long list costs
 * more than the list; and looked at once, as a hostile host may name one address by the hundred thousand.
 */
function placesOf(list: readonly BlocklistEntry[]): {
  firsts: Map<string, number>
  more: Map<string, Copies>
} {
  const firsts = new Map<string, number>()
  const more = new Map<string, Copies>()
  list.forEach((entry, at) => {
    const key = keyOf(entry)
    const first = list[firsts.get(key) ?? -1]
    if (first === undefined) {
      firsts.set(key, at)
      return
    }
    const copies = more.get(key) ?? { places: [], newest: first }
    more.set(key, copies)
    copies.places.push(at)
    if (isNewer(entry, copies.newest)) copies.newest = entry
  })
  return { firsts, more }
}

/** What tells entries apart: the address as the parser prints it. */
export function keyOf(entry: BlocklistEntry): string {
  return parseAddress(entry.ip) ?? entry.ip
}

function isNewer(entry: BlocklistEntry, copy: BlocklistEntry | undefined): boolean {
  const own = timeOf(entry.lastModified)
  const theirs = timeOf(copy?.lastModified)
  if (Number.isNaN(own)) return false
  return Number.isNaN(theirs) || own > theirs
}
