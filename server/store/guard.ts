import { networkInterfaces } from 'node:os'
import { AddressSet, address, parseAddress, type Address } from '../../common/address.js'
import { timeOf, type Clock } from '../../common/clock.js'
import type { JsonFiles } from '../../common/json-file.js'
import type { ServerName } from '../../common/names.js'
import type { Paths } from './folders.js'
import type { HostStore } from './hosts.js'
import { KINDS } from './kinds.js'

/** Says why an address must not be blocked, in words, or undefined when it may be. */
export type Refusal = (ip: Address) => string | undefined

const LOOPBACK = [address('127.0.0.0/8'), address('::1')]
// RFC 1122 "this network" and RFC 4291 unspecified: no packet comes from there, and /0 is everyone.
const NOBODY = [address('0.0.0.0'), address('::')]

/** Nobody locks themselves out (sync-contract.md §5.6): what the server refuses to block. */
export class BlockGuard {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly hosts: HostStore,
    private readonly clock: Clock,
    private readonly widest: { 4: number; 6: number }
  ) {}

  /** The refusals for one host. @param asking the admin's own address, if known */
  async forHost(server: ServerName, asking: string | undefined): Promise<Refusal> {
    const host = await this.hosts.read(server)
    const guarded: [AddressSet, string][] = [
      [new AddressSet(LOOPBACK), 'a loopback address'],
      [new AddressSet(NOBODY), 'not the address of anybody'],
      [setOf(ownAddresses()), "this server's own address"],
      [setOf([...(host.addresses ?? []), host.peer ?? '']), `${server}'s own address`],
      [setOf([asking ?? '']), 'the address you are connected from'],
      [await this.#whitelist(server), 'on the whitelist']
    ]
    return ip => {
      const bits = Number(ip.split('/')[1] ?? 128)
      const widest = ip.includes(':') ? this.widest[6] : this.widest[4]
      if (bits < widest) return `${ip} is wider than /${widest}, the widest network that may be blocked`
      for (const [set, why] of guarded) {
        const hit = set.overlapping(ip)
        if (hit !== undefined) return hit === ip ? `${ip} is ${why}` : `${ip} meets ${hit}: ${why}`
      }
      return undefined
    }
  }

  async #whitelist(server: ServerName): Promise<AddressSet> {
    const { value } = await this.files.read(this.paths.whitelist(), KINDS.whitelist)
    const now = this.clock()
    const valid = value.filter(entry => {
      const forHere = entry.servers == null || entry.servers.length === 0 || entry.servers.includes(server)
      return forHere && !(timeOf(entry.expires) <= now)
    })
    return setOf(valid.map(entry => entry.ip))
  }
}

/** The addresses of this machine's network interfaces. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(item => item.address))
}

function setOf(texts: readonly string[]): AddressSet {
  return new AddressSet(texts.flatMap(text => parseAddress(text.split('%')[0] ?? '') ?? []))
}
