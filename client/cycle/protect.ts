import { networkInterfaces } from 'node:os'
import { AddressSet, address, LOOPBACK, parseAddress, type Address } from '../../common/address.js'
import type { Guard } from './wanted.js'

/** The addresses of this host's network interfaces, zones cut off. */
export function ownAddresses(): Address[] {
  const texts = Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(item => item.address))
  return texts.flatMap(text => parseAddress(text.split('%')[0] ?? '') ?? [])
}

/** Puts together what this host never blocks (sync-contract.md §5.6). */
export function guardOf(
  own: readonly Address[],
  server: readonly Address[],
  neverBlock: readonly Address[],
  widest: { 4: number; 6: number },
  whitelist: readonly Address[] = []
): Guard {
  return {
    protect: [
      { addresses: new AddressSet(LOOPBACK), reason: 'a loopback address' },
      {
        addresses: new AddressSet([address('0.0.0.0'), address('::')]),
        reason: 'not the address of anybody'
      },
      { addresses: new AddressSet(own), reason: "this host's own address" },
      { addresses: new AddressSet(server), reason: 'the address of the Fail2Ban-Report server' },
      { addresses: new AddressSet(neverBlock), reason: 'on the list of addresses never to block' },
      { addresses: new AddressSet(whitelist), reason: "on the server's whitelist" }
    ],
    widest
  }
}
