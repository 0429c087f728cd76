import { parseAddress, type Address } from '../../common/address.js'
import { asksForBlock, type BlocklistEntry } from '../../common/shapes.js'
import { withPending } from './known-rows.js'

/** What a list looks like once the firewall has been read back. */
export interface Settled {
  /** The very same array when nothing changed. */
  list: BlocklistEntry[]
  /** Blocks that were asked for and are not in force: they stay pending. */
  notInForce: string[]
  /** Addresses that were to be let in and are blocked all the same: they stay pending. */
  notLetIn: Address[]
}

/**
 * Writes what the firewall shows into a list (sync-contract.md §4.2, §5.5): a block in force is no longer
 * pending, one that is not is; an unblock that was asked for goes once the address is no longer held for this
 * list's sake. Inactive entries nobody waits for stay as they are: old lists keep them as history.
 * @param inForce tells whether the firewall blocks all of an address
 * @param wantedElsewhere tells whether some list still asks for the block
 */
export function settle(
  list: BlocklistEntry[],
  inForce: (ip: Address) => boolean,
  wantedElsewhere: (ip: Address) => boolean,
  now: number
): Settled {
  const notInForce: string[] = []
  const notLetIn: Address[] = []
  // Made where the list first changes: most of a long one stays as it is, and most often all of it.
  let next: BlocklistEntry[] | undefined
  for (const [at, entry] of list.entries()) {
    const ip = parseAddress(entry.ip)
    let settled: BlocklistEntry | undefined = entry
    if (asksForBlock(entry, now)) {
      const pending = ip === undefined || !inForce(ip)
      if (pending) notInForce.push(entry.ip)
      if ((entry.pending === true) !== pending) settled = withPending(entry, pending)
    } else if (entry.active === false && entry.pending === true) {
      if (ip !== undefined && inForce(ip) && !wantedElsewhere(ip)) notLetIn.push(ip)
      else settled = undefined
    }
    if (settled !== entry) next ??= list.slice(0, at)
    if (settled !== undefined) next?.push(settled)
  }
  return { list: next ?? list, notInForce, notLetIn }
}
