import { familyOf, networksOfRange, parseAddress, rangeOf, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { Blocks } from './blocks.js'
import type { Family, Hits } from './families.js'
import { FAMILY, FIELDS, FORMER_SETS, HOOKS, NAME, PRIORITY, SETS, TYPES, setOf } from './nft-table.js'

// What nft has to show for tableText(), one line a thing; also its order, handles left out.
const FRAME = [
  JSON.stringify({ table: { flags: undefined } }),
  ...SETS.map(set => setLine(set.name, TYPES[set.family], set.networks ? ['interval'] : undefined)),
  ...HOOKS.flatMap(hook => [
    chainLine({ name: hook, type: 'filter', hook, prio: PRIORITY, policy: 'accept' }),
    ...SETS.map(({ name, family, part }) => {
      const source = { payload: { protocol: FIELDS[family], field: 'saddr' } }
      const looked = part === undefined ? [] : [matchOf({ '&': [source, part.mask] }, part.bits)]
      return ruleLine(hook, [...looked, matchOf(source, `@${name}`), { drop: null }])
    })
  ])
].sort()

function matchOf(left: object, right: string): object {
  return { match: { op: '==', left, right } }
}

// Newer versions of nft print a single flag as text instead of an array.
function setLine(name: unknown, type: unknown, flags: unknown): string {
  return JSON.stringify({ set: { name, type, flags: [flags].flat() } })
}

function chainLine(chain: Json): string {
  const { name, type, hook, prio, policy } = chain
  return JSON.stringify({ chain: { name, type, hook, prio, policy } })
}

function ruleLine(chain: unknown, expr: unknown): string {
  return JSON.stringify({ rule: { chain, expr } })
}

type Json = Record<string, unknown>

/** What stands in the table. */
export interface NftTable {
  /** True when every set, chain and rule is as it was made, nothing else is there, and no element is where none looks. */
  frameIntact: boolean
  /** The kernel's own number of the table: another one is another table, even under the same name. */
  handle: unknown
  /** What the sets of single addresses hold. */
  singles: Blocks
  /** What each set of networks holds, by its name; a set that was not asked for, or is not there, holds nothing. */
  networks: Map<string, Address[]>
  /** Counters of blocks that have dropped something; none when they were not asked for. */
  hits: Map<Address, Hits>
}

/**
 * Reads what nft's `-j list` prints of tables, sets or the ruleset; tables of others are passed over.
 * @throws ProductError FIREWALL when it is no output of nft
 */
export function parseTable(text: string): NftTable {
  const frame: string[] = []
  const hits = new Map<Address, Hits>()
  const networks = new Map<string, Address[]>()
  const singles = new Blocks()
  let handle: unknown
  let misplaced = false
  for (const { table, set, chain, rule } of objectsOf(text)) {
    if (table && isOurs({ family: table.family, table: table.name })) {
      frame.push(JSON.stringify({ table: { flags: table.flags } }))
      handle = table.handle
    }
    if (chain && isOurs(chain)) frame.push(chainLine(chain))
    if (rule && isOurs(rule)) frame.push(ruleLine(rule.chain, rule.expr))
    if (!set || !isOurs(set)) continue
    frame.push(setLine(set.name, set.type, set.flags))
    const known = [...SETS, ...FORMER_SETS].find(
      ({ name, family }) => name === set.name && TYPES[family] === set.type
    )
    if (known === undefined || !Array.isArray(set.elem)) continue
    const found = (set.elem as unknown[]).flatMap(element => blocksOf(element, known.family, hits))
    // IPv4 mapped into IPv6 stops no packet: it is no block, and must not become one when the table is made anew.
    const blocks = found.filter(block => familyOf(block) === known.family)
    if (known.networks) networks.set(known.name, blocks)
    else for (const block of blocks) singles.add(block)
    // No packet of a single address in a part that isn't its own is ever looked up there.
    misplaced ||=
      blocks.length < found.length ||
      (known.part !== undefined && blocks.some(block => setOf(block) !== known))
  }
  return {
    frameIntact: !misplaced && frame.sort().join() === FRAME.join(),
    handle,
    singles,
    networks,
    hits
  }
}

function isOurs({ family, table }: Json): boolean {
  return family === FAMILY && table === NAME
}

function objectsOf(text: string): Record<string, Json | undefined>[] {
  try {
    const { nftables } = JSON.parse(text) as { nftables: Record<string, Json>[] }
    return nftables.filter(item => item.metainfo === undefined)
  } catch (error) {
    throw new ProductError('FIREWALL', 'nft printed something that is not its JSON', error)
  }
}

// An element is a value, or {elem: {val, counter}}, the counter null with -s; a value is an address, {prefix} or {range}.
function blocksOf(element: unknown, family: Family, hits: Map<Address, Hits>): Address[] {
  const wrapped = (element as { elem?: { val: unknown; counter?: Hits | null } }).elem
  const blocks = networksOf((wrapped === undefined ? element : wrapped.val) as NftValue, family)
  if (wrapped?.counter && wrapped.counter.packets > 0) {
    for (const block of blocks) hits.set(block, wrapped.counter)
  }
  return blocks
}

type NftValue = string | { prefix?: { addr: string; len: number }; range?: [string, string] }

function networksOf(value: NftValue, family: Family): Address[] {
  if (typeof value === 'string') return [known(value)]
  if (value.prefix) return [known(`${value.prefix.addr}/${value.prefix.len}`)]
  if (!value.range) throw new ProductError('FIREWALL', 'nft printed an element of an unknown form')
  const ends = value.range.map(known)
  if (ends.some(end => familyOf(end) !== family)) return ends
  const [first, last] = ends.map(end => rangeOf(end).first) as [bigint, bigint]
  return networksOfRange({ family, first, last })
}

function known(text: string): Address {
  const parsed = parseAddress(text)
  if (parsed === undefined) throw new ProductError('FIREWALL', 'nft printed an element that is no address')
  return parsed
}
