import { AddressSet, familyOf, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import type { Firewall } from './types.js'

/** IPv4 and IPv6 as every firewall tool keeps them: apart. */
export const FAMILIES = [4, 6] as const
export type Family = (typeof FAMILIES)[number]

/** One thing for each family. */
export type PerFamily<T> = Record<Family, T>

/** Sorts addresses by family. */
export function byFamily(items: Iterable<Address>): PerFamily<Address[]> {
  const sorted: PerFamily<Address[]> = { 4: [], 6: [] }
  for (const item of items) sorted[familyOf(item)].push(item)
  return sorted
}

/** Hits of one block, for tools that let a rebuilt entry go on counting. */
export interface Hits {
  readonly packets: number
  readonly bytes: number
}

export const NO_HITS: Hits = { packets: 0, bytes: 0 }

/**
 * The content after a change: what is held without `remove`, and `add`. Where the two overlap, which happens only
 * when the caller saw another state than is found here, the wider network stays: nothing is opened by that.
 */
export function afterChange(
  held: ReadonlyMap<Address, Hits>,
  add: readonly Address[],
  remove: readonly Address[]
): Map<Address, Hits> {
  const gone = new Set(remove)
  const all = new AddressSet()
  for (const block of held.keys()) if (!gone.has(block)) all.add(block)
  for (const block of add) all.add(block)
  return new Map([...all.outermost()].map(block => [block, held.get(block) ?? NO_HITS]))
}

/** Refuses a batch with blocks that the firewall cannot hold. @throws ProductError FIREWALL naming them */
export function refuseImpossible(firewall: Firewall, add: readonly Address[]): void {
  const named = add.flatMap(block => {
    const reason = firewall.cannot?.(block)
    return reason === undefined ? [] : [`${block}: ${reason}`]
  })
  if (named.length === 0) return
  const rest = named.length > 5 ? `; and ${named.length - 5} more` : ''
  throw new ProductError('FIREWALL', `nothing changed: ${named.slice(0, 5).join('; ')}${rest}`)
}
