import { networksOfRange, parseAddress, rangeOf, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { FAMILIES, type Family, type Hits, type PerFamily } from './families.js'

/** Name of this product's own table, as nft takes it. */
export const TABLE = 'inet fail2ban_report'

/** The sets that hold the blocks. */
export const SETS = { 4: 'blocked4', 6: 'blocked6' } as const

const HOOKS = ['input', 'forward'] as const
const TYPES = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const
const FIELDS = { 4: 'ip', 6: 'ip6' } as const
// Ahead of the tables of iptables (0), firewalld (10) and fail2ban (-1): nothing can accept a packet first.
const PRIORITY = -300

/**
 * The whole table in nft's language. Elements stand within their set: nft 1.0.6 forgets the counters of elements
 * that are added to a set made in the same transaction.
 * @param elements items for the braces of an element list
 */
export function tableText(elements: PerFamily<readonly string[]>): string {
  const sets = FAMILIES.map(family => {
    const content = elements[family].length === 0 ? '' : ` elements = {\n${elements[family].join(',\n')}\n}`
    return `  set ${SETS[family]} {\n    type ${TYPES[family]}; flags interval; counter;${content}\n  }\n`
  })
  const rules = FAMILIES.map(family => `    ${FIELDS[family]} saddr @${SETS[family]} drop\n`).join('')
  const chains = HOOKS.map(
    hook =>
      `  chain ${hook} {\n    type filter hook ${hook} priority ${PRIORITY}; policy accept;\n${rules}  }\n`
  )
  return `table ${TABLE} {\n${[...sets, ...chains].join('')}}\n`
}

// What `nft -j list table` has to show for tableText(), one line a thing; also its order, handles left out.
const FRAME = [
  JSON.stringify({ table: { flags: undefined } }),
  ...FAMILIES.map(family => setLine(SETS[family], TYPES[family], ['interval'])),
  ...HOOKS.flatMap(hook => [
    chainLine({ name: hook, type: 'filter', hook, prio: PRIORITY, policy: 'accept' }),
    ...FAMILIES.map(family =>
      ruleLine(hook, [
        {
          match: {
            op: '==',
            left: { payload: { protocol: FIELDS[family], field: 'saddr' } },
            right: `@${SETS[family]}`
          }
        },
        { drop: null }
      ])
    )
  ])
].sort()

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
  /** True when every set, chain and rule is as it was made, and nothing else is there. */
  frameIntact: boolean
  /** What the sets hold; empty when they were not asked for. */
  elements: PerFamily<Map<Address, Hits>>
}

/** Reads the output of `nft -j list table`. @throws ProductError FIREWALL when it is none */
export function parseTable(text: string): NftTable {
  const frame: string[] = []
  const elements: NftTable['elements'] = { 4: new Map(), 6: new Map() }
  for (const { table, set, chain, rule } of objectsOf(text)) {
    if (table) frame.push(JSON.stringify({ table: { flags: table.flags } }))
    if (chain) frame.push(chainLine(chain))
    if (rule) frame.push(ruleLine(rule.chain, rule.expr))
    if (!set) continue
    frame.push(setLine(set.name, set.type, set.flags))
    const family = FAMILIES.find(item => SETS[item] === set.name && TYPES[item] === set.type)
    if (family === undefined || !Array.isArray(set.elem)) continue
    for (const element of set.elem as unknown[]) readElement(element, family, elements[family])
  }
  return { frameIntact: frame.sort().join() === FRAME.join(), elements }
}

function objectsOf(text: string): Record<string, Json | undefined>[] {
  try {
    const { nftables } = JSON.parse(text) as { nftables: Record<string, Json>[] }
    return nftables.filter(item => item.metainfo === undefined)
  } catch (error) {
    throw new ProductError('FIREWALL', 'nft printed something that is not its JSON', error)
  }
}

// An element is a value, or {elem: {val, counter}}; a value is an address, {prefix} or {range}.
function readElement(element: unknown, family: Family, into: Map<Address, Hits>): void {
  const wrapped = (element as { elem?: { val: unknown; counter?: Hits } }).elem
  const value = (wrapped === undefined ? element : wrapped.val) as NftValue
  const { packets, bytes } = wrapped?.counter ?? { packets: 0, bytes: 0 }
  for (const block of networksOf(value, family)) into.set(block, { packets, bytes })
}

type NftValue = string | { prefix?: { addr: string; len: number }; range?: [string, string] }

function networksOf(value: NftValue, family: Family): Address[] {
  if (typeof value === 'string') return [known(value)]
  if (value.prefix) return [known(`${value.prefix.addr}/${value.prefix.len}`)]
  if (!value.range) throw new ProductError('FIREWALL', 'nft printed an element of an unknown form')
  const [first, last] = value.range.map(text => rangeOf(known(text)).first) as [bigint, bigint]
  return networksOfRange({ family, first, last })
}

function known(text: string): Address {
  const parsed = parseAddress(text)
  if (parsed === undefined) throw new ProductError('FIREWALL', 'nft printed an element that is no address')
  return parsed
}
