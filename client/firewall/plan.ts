import type { Address } from '../../common/address.js'
import { AddressSet } from '../../common/address.js'
import type { InForce } from './types.js'

/** What has to change in the firewall. */
export interface Plan {
  add: Address[]
  remove: Address[]
}

/**
 * The difference between what the lists ask for and what is in force, in both directions, within what this
 * product owns (sync-contract.md §5.5). Of addresses that lie in one another only the outermost is held.
 * @param ended addresses some list asks to be let in: for these a block by other hands of the same meaning goes too
 */
export function planFirewall(wanted: AddressSet, inForce: InForce, ended: AddressSet): Plan {
  const hold = wanted.outermost()
  const alike = new AddressSet(inForce.alike)
  const add: Address[] = []
  for (const item of hold) if (!inForce.own.has(item) && alike.covering(item) === undefined) add.push(item)
  const remove: Address[] = []
  for (const item of inForce.own) if (!hold.has(item)) remove.push(item)
  for (const item of inForce.alike) {
    if (!inForce.own.has(item) && ended.has(item) && wanted.covering(item) === undefined) remove.push(item)
  }
  return { add, remove }
}

/** Tells whether all of an address is blocked by what was read back. */
export function inForceCheck(inForce: InForce): (item: Address) => boolean {
  const all = new AddressSet(inForce.own)
  for (const item of inForce.alike) all.add(item)
  return item => all.covering(item) !== undefined
}
