import { stat } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { AddressSet, familyOf, parseAddress, prefixOf, type Address } from '../../common/address.js'
import { isoTime, timeOf, type Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { type JsonFiles } from '../../common/json-file.js'
import type { ListName, ServerName } from '../../common/names.js'
import { sha256 } from '../../common/sha256.js'
import type { AuditStore } from './audit.js'
import type { AuditActor, AuditDraft } from './audit-row.js'
import type { BlocklistStore, Protection } from './blocklists.js'
import type { Paths } from './folders.js'
import type { HostStore } from './hosts.js'
import { KINDS, type Whitelist } from './kinds.js'
import type { LiveNotes } from './live-notes.js'

export type WhitelistEntry = Whitelist[number]

/** An address or network that is never to be blocked: on the servers named, or on all. */
interface SettledWish {
  ip: Address
  description: string
  /** ISO 8601, or null for no end. */
  expires: string | null
  /** Empty for every server. */
  servers: readonly string[]
}

/** What is undefined stays as it is where there is an entry; a new one has no description, no end, and holds everywhere. */
export interface WhitelistWish {
  ip: Address
  description: string | undefined
  expires: string | null | undefined
  servers: readonly ServerName[] | undefined
}

/** What came of one wish, and what it overlaps with. */
export interface WhitelistOutcome {
  ip: Address
  outcome: 'added' | 'changed' | 'already-there' | 'removed' | 'not-there'
  /** Other entries around it or within it. */
  overlaps: Address[]
}

/** A block that was ended because the whitelist now holds its address. */
export interface Lifted {
  server: ServerName
  list: ListName
  ip: Address
}

/** What a host is given: text, one entry per line, and its SHA-256 (hex). */
export interface PlainWhitelist {
  text: string
  hash: string
}

/** What holds for a server, and what was worked out of it. */
interface Held {
  entries: readonly WhitelistEntry[]
  /** When the last of those that hold no more has ended, in milliseconds; 0 for none. */
  ended: number
  /** Changes whenever the entries do. */
  key: string
  set?: AddressSet
  plain?: PlainWhitelist
}

/** What is known of one version of the file between two moments: of each server that an entry names, and ('') all else. */
interface Known {
  version: string
  from: number
  until: number
  named: ReadonlySet<string>
  of: Map<string, Held>
}

/** Wider ones would switch blocking off for a large part of the Internet; fc00::/7 is all private IPv6. */
const WIDEST = { 4: 8, 6: 7 } as const
const MOST_ENTRIES = 20_000

/** archive/whitelist.json: what is never blocked. Every host's lists are kept in line with it. */
export class WhitelistStore {
  #known: Known = { version: '-', from: 0, until: 0, named: new Set(), of: new Map() }
  #endsTold: number

  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly lists: BlocklistStore,
    private readonly hosts: HostStore,
    private readonly clock: Clock,
    private readonly audit: AuditStore,
    private readonly live: LiveNotes
  ) {
    this.#endsTold = clock()
  }

  /** All entries as they stand in the file, expired ones too. @throws ProductError FILE_CORRUPT */
  async read(): Promise<{ entries: readonly WhitelistEntry[]; version: string }> {
    const { value, version } = await this.files.read(this.paths.whitelist(), KINDS.whitelist)
    return { entries: value, version }
  }

  /** What holds for one server now. @throws ProductError FILE_CORRUPT */
  async of(server: ServerName): Promise<readonly WhitelistEntry[]> {
    return (await this.#held(server)).entries
  }

  /**
   * Adds entries, one per address: an entry of the same address is replaced. Blocks of these addresses, and blocks
   * of networks around them, are lifted wherever they hold; then the hosts are told. Not before: a host that asks
   * lifts by itself, and neither the reply nor the audit trail would say who made it.
   * @param actor who adds them @returns one outcome per wish, the blocks that were lifted, and the lists that
   *   could not be changed now: their hosts' next asking does it
   * @throws ProductError BAD_INPUT for a network that is too wide, CONFLICT for too many entries
   */
  async add(
    wishes: readonly WhitelistWish[],
    actor: AuditActor
  ): Promise<{ outcomes: WhitelistOutcome[]; lifted: Lifted[]; failed: string[] }> {
    const wide = wishes.find(({ ip }) => prefixOf(ip) < WIDEST[familyOf(ip)])
    if (wide !== undefined) {
      throw new ProductError(
        'BAD_INPUT',
        `${wide.ip} is wider than /${WIDEST[familyOf(wide.ip)]}, the widest network for the whitelist`
      )
    }
    let settled: readonly SettledWish[] = []
    const { outcomes, changed } = await this.#change(actor, entries => {
      settled = settle(wishes, entries)
      return this.#added(entries, settled, actor.name)
    })
    const lifted: Lifted[] = []
    const failed: string[] = []
    const forAll = settled.some(({ servers }) => servers.length === 0)
    const named = new Set(settled.flatMap(({ servers }) => servers))
    for (const server of (await this.hosts.names()).filter(name => forAll || named.has(name))) {
      const protect = this.#protectionBy(settled, server)
      for (const list of await this.lists.names(server)) {
        // The entries are in the file already: what can't be lifted now is lifted when its host next asks.
        const ips = await this.lists.lift(server, list, protect, actor).catch(() => undefined)
        if (ips === undefined) failed.push(`${server}: ${list}`)
        else lifted.push(...ips.map(ip => ({ server, list, ip })))
      }
      // Many hosts with long lists: others have their turn in between.
      await setImmediate()
    }
    await this.#tell(changed, new Set(lifted.map(({ server }) => server)))
    return { outcomes, lifted, failed }
  }

  /** Removes entries: their addresses may be blocked again. @returns one outcome per address */
  async remove(ips: readonly Address[], actor: AuditActor): Promise<WhitelistOutcome[]> {
    const wanted = new Set<string>(ips)
    const { outcomes, changed } = await this.#change(actor, entries => {
      const kept = entries.filter(entry => !wanted.has(addressOf(entry) ?? ''))
      const there = new Set(entries.map(addressOf))
      const outcomes = [...new Set(ips)].map(ip => ({
        ip,
        outcome: there.has(ip) ? ('removed' as const) : ('not-there' as const),
        overlaps: []
      }))
      return { entries: kept, outcomes }
    })
    await this.#tell(changed)
    return outcomes
  }

  /** Tells browsers and hosts of entries that have ended since the last call: nobody else comes by at that moment. */
  async tellEnded(): Promise<void> {
    const [from, now] = [this.#endsTold, this.clock()]
    const { entries } = await this.read()
    this.#endsTold = now
    await this.#tell(entries.filter(entry => holds(entry, from) && !holds(entry, now)))
  }

  /** What holds for a server now, to be kept out of its lists; undefined when nothing does. */
  async protection(server: ServerName): Promise<Protection | undefined> {
    const held = await this.#held(server)
    if (held.entries.length === 0) return undefined
    return {
      set: () => (held.set ??= new AddressSet(held.entries.flatMap(entry => addressOf(entry) ?? []))),
      key: held.key,
      again: () => this.protection(server)
    }
  }

  /** Lifts those of the addresses just blocked in a list that the whitelist holds by now. @returns them */
  async liftAgain(
    server: ServerName,
    list: ListName,
    blocked: readonly Address[],
    actor: AuditActor
  ): Promise<Address[]> {
    const protect = blocked.length === 0 ? undefined : await this.protection(server)
    if (protect === undefined) return []
    const hits = blocked.filter(ip => protect.set().overlapping(ip) !== undefined)
    if (hits.length > 0) await this.lists.lift(server, list, protect, actor)
    return hits
  }

  /** What wishes that were just fulfilled keep out of a server's lists: a look at nothing but them. */
  #protectionBy(wishes: readonly SettledWish[], server: ServerName): Protection {
    const now = this.clock()
    const ips = wishes.flatMap(wish => (holds(wish, now) && concerns(wish, server) ? wish.ip : []))
    const set = new AddressSet(ips)
    return { set: () => set, key: undefined, again: () => this.protection(server) }
  }

  /** The SHA-256 (hex) of what a host pulls. */
  async hash(server: ServerName): Promise<string> {
    return (await this.plain(server)).hash
  }

  /**
   * What a host pulls: two comment lines, then what holds for it, sorted, each once. Asked by every host's every poll
   * and for every host at once: worked out once for all hosts that no entry names.
   */
  async plain(server: ServerName): Promise<PlainWhitelist> {
    const held = await this.#held(server)
    if (held.plain !== undefined) return held.plain
    const last = Math.max(await this.#written(), held.ended)
    const changed = last === 0 ? 'never' : isoTime(last)
    const ips = [...new Set(held.entries.flatMap(entry => addressOf(entry) ?? []))].sort()
    const head = [
      '# Managed by Fail2Ban-Report; changes made here are overwritten.',
      `# Last change: ${changed}`
    ]
    const text = [...head, ...ips].map(line => line + '\n').join('')
    held.plain = { text, hash: sha256(text) }
    return held.plain
  }

  /** What holds for a server: looked at anew when the file changed or an entry ended. */
  async #held(server: ServerName): Promise<Held> {
    const { entries, version } = await this.read()
    const now = this.clock()
    if (version !== this.#known.version || now < this.#known.from || now >= this.#known.until) {
      const ends = entries.map(entry => timeOf(entry.expires)).filter(end => end > now)
      const named = new Set(entries.flatMap(entry => entry.servers ?? []))
      const until = ends.reduce((least, end) => Math.min(least, end), Infinity)
      this.#known = { version, from: now, until, named, of: new Map() }
    }
    const { named, of, from } = this.#known
    const name = named.has(server) ? server : ''
    const known = of.get(name)
    if (known !== undefined) return known
    const own = entries.filter(entry => concerns(entry, server))
    const holding = own.filter(entry => holds(entry, from))
    // An end that came is a change too.
    const ended = own.filter(entry => !holds(entry, from)).map(entry => timeOf(entry.expires))
    const last = ended.reduce((latest, end) => Math.max(latest, end), 0)
    // Of one version of the file, ever fewer entries hold.
    const held: Held = { entries: holding, ended: last, key: `${version} ${holding.length}` }
    of.set(name, held)
    return held
  }

  /** When the file was last written, in whole milliseconds; 0 when there is none. */
  async #written(): Promise<number> {
    const info = await stat(this.paths.whitelist()).catch(() => undefined)
    return Math.floor(info?.mtimeMs ?? 0)
  }

  #added(
    entries: readonly WhitelistEntry[],
    wishes: readonly SettledWish[],
    by: string
  ): { entries: readonly WhitelistEntry[]; outcomes: WhitelistOutcome[] } {
    const next = new Map<string, WhitelistEntry>(entries.map(entry => [addressOf(entry) ?? entry.ip, entry]))
    const now = isoTime(this.clock())
    const outcomes = wishes.map((wish): WhitelistOutcome => {
      const { ip, description, expires, servers } = wish
      const known = next.get(ip)
      const same = known !== undefined && sameWish(known, wish)
      if (!same) {
        next.set(ip, { ...known, ip, description, addedBy: by, addedAt: now, expires, servers: [...servers] })
      }
      return { ip, outcome: same ? 'already-there' : known === undefined ? 'added' : 'changed', overlaps: [] }
    })
    if (next.size > MOST_ENTRIES) {
      throw new ProductError('CONFLICT', `the whitelist may have at most ${MOST_ENTRIES} entries`)
    }
    tellOverlaps(outcomes, new Set([...next.values()].flatMap(entry => addressOf(entry) ?? [])))
    return { entries: [...next.values()], outcomes }
  }

  async #change(
    actor: AuditActor,
    decide: (entries: readonly WhitelistEntry[]) => {
      entries: readonly WhitelistEntry[]
      outcomes: WhitelistOutcome[]
    }
  ): Promise<{ outcomes: WhitelistOutcome[]; changed: readonly WhitelistEntry[] }> {
    const path = this.paths.whitelist()
    let changed: readonly WhitelistEntry[] = []
    const outcomes = await this.files.change(path, KINDS.whitelist, current => {
      const { entries, outcomes } = decide(current.value)
      const rows = rowsOf(current.value, entries)
      if (rows.length === 0) return { result: outcomes }
      const before = new Set(current.value)
      const after = new Set(entries)
      changed = [...current.value, ...entries].filter(entry => !before.has(entry) || !after.has(entry))
      const file = { path, current }
      const written = this.audit.change(undefined, file, [...entries], actor, rows)
      return { ...written, result: outcomes }
    })
    return { outcomes, changed }
  }

  /** Tells browsers, and the hosts that entries concern or whose lists were changed. */
  async #tell(
    changed: readonly WhitelistEntry[],
    others: ReadonlySet<ServerName> = new Set()
  ): Promise<void> {
    if (changed.length === 0) return this.live.wakeAll([...others])
    const forAll = changed.some(entry => entry.servers == null || entry.servers.length === 0)
    const servers = forAll ? [] : [...new Set(changed.flatMap(entry => entry.servers ?? []))]
    await this.live.publish('whitelist_changed', { servers })
    const hosts = forAll ? await this.hosts.names() : servers
    await this.live.wakeAll([...new Set([...hosts, ...others])])
  }
}

/** The audit rows of a change: entries that came, changed or went. */
function rowsOf(before: readonly WhitelistEntry[], after: readonly WhitelistEntry[]): AuditDraft[] {
  const old = new Map(before.map(entry => [entry.ip, entry]))
  const kept = new Set(after.map(entry => entry.ip))
  const came = after.flatMap((entry): AuditDraft[] => {
    const known = old.get(entry.ip)
    if (known === entry) return []
    const what = known === undefined ? 'whitelist-added' : 'whitelist-changed'
    return [{ what, ip: entry.ip, before: known ?? null, after: entry }]
  })
  const went = before
    .filter(entry => !kept.has(entry.ip))
    .map((entry): AuditDraft => ({ what: 'whitelist-removed', ip: entry.ip, before: entry, after: null }))
  return [...came, ...went]
}

function addressOf(entry: WhitelistEntry): Address | undefined {
  return parseAddress(entry.ip.trim())
}

function holds(entry: Pick<WhitelistEntry, 'expires'>, now: number): boolean {
  return !(timeOf(entry.expires) <= now)
}

function concerns(entry: { servers?: readonly string[] | null }, server: ServerName): boolean {
  return entry.servers == null || entry.servers.length === 0 || entry.servers.includes(server)
}

/** What a wish leaves open, its entry says: nothing is ever made to hold on more hosts, or for longer, by silence. */
function settle(wishes: readonly WhitelistWish[], entries: readonly WhitelistEntry[]): SettledWish[] {
  const known = new Map(entries.map(entry => [addressOf(entry), entry]))
  return wishes.map(({ ip, description, expires, servers }) => {
    const entry = known.get(ip)
    return {
      ip,
      description: description ?? entry?.description ?? '',
      expires: expires === undefined ? (entry?.expires ?? null) : expires,
      servers: servers ?? entry?.servers ?? []
    }
  })
}

function sameWish(entry: WhitelistEntry, wish: SettledWish): boolean {
  return (
    (entry.description ?? '') === wish.description &&
    ((entry.expires ?? null) === wish.expires || timeOf(entry.expires) === timeOf(wish.expires)) &&
    [...(entry.servers ?? [])].sort().join('\n') === [...wish.servers].sort().join('\n')
  )
}

/** Tells each outcome what lies around its address and, for a network, what lies within it. */
function tellOverlaps(outcomes: readonly WhitelistOutcome[], all: ReadonlySet<Address>): void {
  const set = new AddressSet(all)
  const told = new Map(outcomes.map(outcome => [outcome.ip, outcome.overlaps]))
  for (const member of all) {
    for (const around of set.coverings(member)) {
      if (around === member) continue
      told.get(member)?.push(around)
      told.get(around)?.push(member)
    }
  }
}
