import { networkInterfaces } from 'node:os'
import { AddressSet, address, LOOPBACK, parseAddress, type Address } from '../../common/address.js'
import { printable, type ListName, type ServerName } from '../../common/names.js'
import type { AuditActor } from './audit-row.js'
import type { EntryChange } from './entry-changes.js'
import type { HostStore } from './hosts.js'
import type { WhitelistEntry, WhitelistStore } from './whitelist.js'

export const REFUSALS = [
  'too-wide',
  'loopback',
  'nobody',
  'this-server',
  'host',
  'asking',
  'whitelist'
] as const
/** Why an address must not be blocked. */
export interface Refused {
  code: (typeof REFUSALS)[number]
  /** What the address meets; itself where it is that, and the widest prefix, `/8`, where it is too wide. */
  hit: string
  /** What the whitelist says of it; may come from anybody. */
  note: string
  /** All of it in English. */
  words: string
}

/** Says why an address must not be blocked, or undefined when it may be. */
export type Refusal = (ip: Address) => Refused | undefined

// RFC 1122 "this network" and RFC 4291 unspecified: no packet comes from there, and /0 is everyone.
const NOBODY = new AddressSet([address('0.0.0.0'), address('::')])
const LOOPS = new AddressSet(LOOPBACK)
/** Milliseconds: to ask for the network interfaces takes longer than all other refusals together. */
const OWN_FOR = 1000

/** Nobody locks themselves out (sync-contract.md §5.6): what the server refuses to block. */
export class BlockGuard {
  constructor(
    private readonly hosts: HostStore,
    private readonly whitelist: WhitelistStore,
    private readonly widest: { 4: number; 6: number }
  ) {}

  /** The refusals for one host. @param asking the admin's own address, if known */
  async forHost(server: ServerName, asking: string | undefined): Promise<Refusal> {
    const [host, whitelist] = await Promise.all([this.hosts.read(server), this.whitelist.of(server)])
    const guarded: [Refused['code'], AddressSet, (note: string) => string][] = [
      ['loopback', LOOPS, () => 'a loopback address'],
      ['nobody', NOBODY, () => 'not the address of anybody'],
      ['this-server', this.#own(), () => "this server's own address"],
      ['host', setOf([...(host.addresses ?? []), host.peer ?? '']), () => `${server}'s own address`],
      ['asking', setOf([asking ?? '']), () => 'the address you are connected from'],
      [
        'whitelist',
        setOf(whitelist.map(entry => entry.ip)),
        note => (note === '' ? 'on the whitelist' : `on the whitelist (${note})`)
      ]
    ]
    return ip => {
      const bits = Number(ip.split('/')[1] ?? 128)
      const widest = ip.includes(':') ? this.widest[6] : this.widest[4]
      if (bits < widest) {
        const words = `${ip} is wider than /${widest}, the widest network that may be blocked`
        return { code: 'too-wide', hit: `/${widest}`, note: '', words }
      }
      for (const [code, set, why] of guarded) {
        const hit = set.overlapping(ip)
        if (hit === undefined) continue
        const note = code === 'whitelist' ? noteOf(hit, whitelist) : ''
        const words = hit === ip ? `${ip} is ${why(note)}` : `${ip} meets ${hit}: ${why(note)}`
        return { code, hit, note, words }
      }
      return undefined
    }
  }

  #owned = { until: 0, set: new AddressSet([]) }

  #own(): AddressSet {
    const now = performance.now()
    if (now >= this.#owned.until) this.#owned = { until: now + OWN_FOR, set: setOf(ownAddresses()) }
    return this.#owned.set
  }

  /**
   * Looks again once blocks are written, and lifts those whose address came onto the whitelist since `forHost`: an
   * entry is written before lists are searched for its blocks, and a block before this looks for entries, so that of
   * two that come at the same moment one sees the other.
   * @returns the refusals of what was lifted
   */
  async recheck(
    server: ServerName,
    list: ListName,
    changes: readonly EntryChange[],
    actor: AuditActor
  ): Promise<Map<Address, Refused>> {
    const blocked = changes.flatMap(({ ip, want }) => (want === 'block' ? ip : []))
    const hits = await this.whitelist.liftAgain(server, list, blocked, actor)
    if (hits.length === 0) return new Map()
    const refusal = await this.forHost(server, undefined)
    return new Map(hits.flatMap(ip => [refusal(ip)].flatMap(why => (why === undefined ? [] : [[ip, why]]))))
  }
}

function noteOf(hit: Address, entries: readonly WhitelistEntry[]): string {
  return printable(entries.find(one => parseAddress(one.ip) === hit)?.description ?? '', 80)
}

/** The addresses of this machine's network interfaces. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(item => item.address))
}

function setOf(texts: readonly string[]): AddressSet {
  return new AddressSet(texts.flatMap(text => parseAddress(text.split('%')[0] ?? '') ?? []))
}
