/** What the whitelist may say of one of its entries. */
export interface Listed {
  /** Hosts that it holds for; none when it is not there. */
  hosts: ReadonlySet<string>
}

/** One entry that admins put on the whitelist and take off again. */
export interface Target {
  /** An address or a network. */
  readonly entry: string
  /** The run's addresses within it. No two targets share one. */
  readonly ips: readonly string[]
  /** What was acknowledged last. */
  known: Listed
  /** What was wished when the reply was lost: nothing more is wished of it until that is clear. */
  maybe: Listed | undefined
  /** A request about it is under way. */
  busy: boolean
  /** Grows with every request's beginning. */
  turns: number
}

const NOWHERE: Listed = { hosts: new Set() }

/** What admins were told of the whitelist. */
export class Whitelisting {
  readonly targets: Target[]
  readonly #byIp = new Map<string, Target>()

  constructor(entries: readonly { entry: string; ips: readonly string[] }[]) {
    this.targets = entries.map(one => ({ ...one, known: NOWHERE, maybe: undefined, busy: false, turns: 0 }))
    for (const target of this.targets) for (const ip of target.ips) this.#byIp.set(ip, target)
  }

  /** True when the reply of a request about this address' entry was lost. */
  isUnclear(ip: string): boolean {
    return this.#byIp.get(ip)?.maybe !== undefined
  }

  /** Changes whenever a request about an address' entry begins; undefined while one is under way. */
  turnOf(ip: string): number | undefined {
    const target = this.#byIp.get(ip)
    return target?.busy === true ? undefined : (target?.turns ?? 0)
  }

  /** Whether an address may not be blocked on a host, as far as admins were told. */
  covers(host: string, ip: string): boolean {
    return this.#byIp.get(ip)?.known.hosts.has(host) === true
  }

  /**
   * Takes what the file says for known, once everything is at rest.
   * @param found entry → hosts that it holds for
   * @returns what was acknowledged and isn't there, in words
   */
  settle(found: ReadonlyMap<string, ReadonlySet<string>>): string[] {
    return this.targets.flatMap(target => {
      const there: Listed = { hosts: found.get(target.entry) ?? new Set() }
      const may = [target.known, ...(target.maybe === undefined ? [] : [target.maybe])]
      const told = may.map(namesOf).join(' or ')
      const right = may.some(one => namesOf(one) === namesOf(there))
      target.known = there
      target.maybe = undefined
      return right ? [] : [`the whitelist has ${target.entry} for ${namesOf(there)}; it was told: ${told}`]
    })
  }
}

function namesOf({ hosts }: Listed): string {
  return hosts.size === 0 ? 'nobody' : [...hosts].sort().join('+')
}

/** What is put on the whitelist: some single addresses and two networks. */
export function targetsOf(ips: readonly string[]): { entry: string; ips: string[] }[] {
  const networks = [
    { entry: '203.0.113.96/28', ips: ips.filter(ip => within(ip, '203.0.113.', 10, 96, 111)) },
    { entry: '2001:db8::40/122', ips: ips.filter(ip => within(ip, '2001:db8::', 16, 0x40, 0x7f)) }
  ]
  const taken = new Set(networks.flatMap(network => network.ips))
  const singles = ips.filter((ip, at) => at % 3 === 0 && !taken.has(ip)).map(ip => ({ entry: ip, ips: [ip] }))
  return [...networks, ...singles]
}

function within(ip: string, head: string, base: number, from: number, to: number): boolean {
  const last = ip.startsWith(head) ? Number.parseInt(ip.slice(head.length), base) : -1
  return last >= from && last <= to
}
