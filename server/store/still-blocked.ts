import { AddressSet, parseAddress, type Address } from '../../common/address.js'
import { jailOfList, type ServerName } from '../../common/names.js'
import { asksForBlock } from '../../common/shapes.js'
import type { BlocklistStore } from './blocklists.js'

/** A block that an address is under. */
export interface StillBlocked {
  /** The address itself, or a network around it. */
  ip: Address
  jail: string
}

/**
 * What keeps addresses of a host blocked that were taken off a list: a network around them, or another jail's list.
 * @param now milliseconds
 * @returns one block of each address that is under any
 */
export async function stillBlocked(
  lists: Pick<BlocklistStore, 'names' | 'read'>,
  server: ServerName,
  ips: readonly Address[],
  now: number
): Promise<Map<Address, StillBlocked>> {
  const wanted = new Set<string>(ips)
  const jails = new Map<Address, string>()
  for (const list of await lists.names(server)) {
    // What a corrupt list blocks nobody can tell.
    const { value } = await lists.read(server, list).catch(() => ({ value: [] }))
    for (const entry of value) {
      // A single address covers none but itself; lists may be long, and most of their entries are single.
      if (!wanted.has(entry.ip) && !entry.ip.includes('/')) continue
      const ip = asksForBlock(entry, now) ? parseAddress(entry.ip) : undefined
      if (ip !== undefined && !jails.has(ip)) jails.set(ip, jailOfList(list))
    }
  }
  const set = new AddressSet([...jails.keys()])
  const found = new Map<Address, StillBlocked>()
  for (const ip of ips) {
    const around = set.covering(ip)
    if (around !== undefined) found.set(ip, { ip: around, jail: jails.get(around) ?? '' })
  }
  return found
}

/** The same in words. */
export function stillBlockedWords({ ip, jail }: StillBlocked): string {
  return `stays blocked there by ${ip} in ${jail}`
}
