import { AddressSet, parseAddress, prefixOf, familyOf, type Address } from '../../common/address.js'
import { printable, type ListName } from '../../common/names.js'
import { asksForBlock, type BlocklistEntry } from '../../common/shapes.js'

/** What all of a host's lists together ask of its firewall. */
export interface Wanted {
  /** Addresses to be blocked. */
  block: AddressSet
  /** Those of them that a list asks for anew: no cycle has seen them in force yet. */
  fresh: Set<Address>
  /** Addresses some list asks to be let in again; another list may still want them blocked. */
  ended: AddressSet
  /** Entries that are not applied, and why; one line each. */
  skipped: { list: ListName; ip: string; reason: string }[]
}

/** What is never blocked on this host (sync-contract.md §5.6). */
export interface Guard {
  protect: readonly { addresses: AddressSet; reason: string }[]
  /** Widest networks that may be blocked, prefix lengths. */
  widest: { 4: number; 6: number }
  /** Why it may not be whole: then nothing more is blocked, and what is stays. */
  unsure?: string | undefined
}

/** Sums up what the lists ask for at `now`, leaving out what would lock somebody out. */
export function wantedOf(lists: ReadonlyMap<ListName, BlocklistEntry[]>, guard: Guard, now: number): Wanted {
  const wanted: Wanted = { block: new AddressSet(), fresh: new Set(), ended: new AddressSet(), skipped: [] }
  // Nearly every address meets nothing of it: one look instead of one for each reason.
  const kept = new AddressSet(guard.protect.flatMap(({ addresses }) => [...addresses]))
  const isFree = (ip: Address) =>
    prefixOf(ip) >= guard.widest[familyOf(ip)] && kept.overlapping(ip) === undefined
  for (const [list, entries] of lists) {
    for (const entry of entries) {
      const ip = parseAddress(entry.ip)
      const asks = asksForBlock(entry, now)
      if (ip === undefined) {
        if (asks) wanted.skipped.push({ list, ip: printable(entry.ip, 64), reason: 'not an address' })
      } else if (!asks) {
        // An inactive entry nobody waits for is history: it asks for nothing any more.
        if (entry.active !== false || entry.pending === true) wanted.ended.add(ip)
      } else {
        const reason = isFree(ip) ? undefined : refusalOf(ip, guard)
        if (reason === undefined) {
          wanted.block.add(ip)
          if (entry.pending === true) wanted.fresh.add(ip)
        } else wanted.skipped.push({ list, ip, reason })
      }
    }
  }
  return wanted
}

/** Why an address or network is never blocked on this host; undefined when it may be. */
export function refusalOf(ip: Address, guard: Guard): string | undefined {
  const widest = guard.widest[familyOf(ip)]
  if (prefixOf(ip) < widest) return `wider than /${widest}, the widest network this host lets itself block`
  for (const { addresses, reason } of guard.protect) {
    const hit = addresses.overlapping(ip)
    if (hit !== undefined) return hit === ip ? reason : `meets ${hit}: ${reason}`
  }
  return undefined
}
