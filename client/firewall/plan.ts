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
  const remove = new Set<Address>()
  const remaining = new AddressSet()
  for (const block of inForce.own) {
    if (target.has(block)) remaining.add(block)
    else remove.add(block)
  }
  for (const block of inForce.alike) {
    if (target.has(block) || !ended.has(block)) remaining.add(block)
    else remove.add(block)
  }
  for (const block of inForce.behind ?? []) {
    if (ended.has(block) && !target.has(block)) remove.add(block)
  }
  const add = [...target].filter(block => remaining.covering(block) === undefined)
  return { add, remove: [...remove] }
}

/** Tells for an address or network whether one block in force covers all of it. */
export function inForceCheck(inForce: InForce): (item: Address) => boolean {
  const blocks = new AddressSet(inForce.own)
  for (const block of inForce.alike) blocks.add(block)
  return item => blocks.covering(item) !== undefined
}
