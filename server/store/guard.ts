import { networkInterfaces } from 'node:os'
import { AddressSet, address, parseAddress, type Address } from '../../common/address.js'
import { printable, type ServerName } from '../../common/names.js'
import type { HostStore } from './hosts.js'
import type { WhitelistEntry, WhitelistStore } from './whitelist.js'

/** Says why an address must not be blocked, in words, or undefined when it may be. */
export type Refusal = (ip: Address) => string | undefined

const LOOPBACK = [address('127.0.0.0/8'), address('::1')]
// RFC 1122 "this network" and RFC 4291 unspecified: no packet comes from there, and /0 is everyone.
const NOBODY = [address('0.0.0.0'), address('::')]

/** Nobody locks themselves out (sync-contract.md §5.6): what the server refuses to block. */
export class BlockGuard {
  constructor(
    private readonly hosts: HostStore,
    private readonly whitelist: WhitelistStore,
    private readonly widest: { 4: number; 6: number }
  ) {}

  /** The refusals for one host. @param asking the admin's own address, if known */
  async forHost(server: ServerName, asking: string | undefined): Promise<Refusal> {
    const host = await this.hosts.read(server)
    const whitelist = await this.whitelist.of(server)
    const guarded: [AddressSet, (hit: Address) => string][] = [
      [new AddressSet(LOOPBACK), () => 'a loopback address'],
      [new AddressSet(NOBODY), () => 'not the address of anybody'],
      [setOf(ownAddresses()), () => "this server's own address"],
      [setOf([...(host.addresses ?? []), host.peer ?? '']), () => `${server}'s own address`],
      [setOf([asking ?? '']), () => 'the address you are connected from'],
      [setOf(whitelist.map(entry => entry.ip)), hit => onWhitelist(hit, whitelist)]
    ]
    return ip => {
      const bits = Number(ip.split('/')[1] ?? 128)
      const widest = ip.includes(':') ? this.widest[6] : this.widest[4]
      if (bits < widest) return `${ip} is wider than /${widest}, the widest network that may be blocked`
      for (const [set, why] of guarded) {
        const hit = set.overlapping(ip)
        if (hit !== undefined) return hit === ip ? `${ip} is ${why(hit)}` : `${ip} meets ${hit}: ${why(hit)}`
      }
      return undefined
    }
  }
}

function onWhitelist(hit: Address, entries: readonly WhitelistEntry[]): string {
  const entry = entries.find(one => parseAddress(one.ip) === hit)
  const why = printable(entry?.description ?? '', 80)
  return why === '' ? 'on the whitelist' : `on the whitelist (${why})`
}

/** The addresses of this machine's network interfaces. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(item => item.address))
}

function setOf(texts: readonly string[]): AddressSet {
  return new AddressSet(texts.flatMap(text => parseAddress(text.split('%')[0] ?? '') ?? []))
}
