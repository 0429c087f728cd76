import { AddressSet, type Address } from '../../common/address.js'
import type { InForce } from './types.js'

/** What has to change so that the firewall blocks what is wanted. */
export interface Plan {
  add: Address[]
  remove: Address[]
}

/**
 * Compares what is wanted with what is in force. Blocks of other hands count as in force, and go only when they
 * themselves are in `ended`.
 * @param wanted addresses to be blocked; members that a wider member covers need no block of their own
 * @param ended addresses whose end a list asks for
 */
export function planFirewall(wanted: AddressSet, inForce: InForce, ended: AddressSet): Plan {
  const target = wanted.outermost()
  const { own } = inForce
  const absent = [...target].filter(block => !own.has(block))
  const remove = new Set<Address>()
  // Most often each of them is wanted: nobody has to look them all up again.
  if (own.size > target.size - absent.length) {
    for (const block of own) if (!target.has(block)) remove.add(block)
  }
  const others = new AddressSet()
  for (const block of inForce.alike) {
    if (target.has(block) || !ended.has(block)) others.add(block)
    else remove.add(block)
  }
  for (const block of inForce.behind ?? []) {
    if (ended.has(block) && !target.has(block)) remove.add(block)
  }
  // Own blocks that stay are members of the target, of which none covers another.
  const add = absent.filter(block => others.covering(block) === undefined)
  return { add, remove: [...remove] }
}

/** Tells for an address or network whether one block in force covers all of it. */
export function inForceCheck({ own, alike }: InForce): (item: Address) => boolean {
  const networks = new AddressSet(own.networks)
  for (const block of alike) if (block.includes('/')) networks.add(block)
  return item => own.has(item) || alike.has(item) || networks.covering(item) !== undefined
}
