import Type from 'typebox'
import { address, networksOfRange, parseAddress, rangeOf, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { shapeCheck } from '../../common/shapes.js'

/** The table everything of ours lives in. */
export const TABLE = 'inet fail2ban_report'
/** Before every other table: fail2ban's and ufw's chains sit around 0, connection tracking at -200. */
const PRIORITY = -300
const SETS = {
  4: { name: 'blocked4', type: 'ipv4_addr' },
  6: { name: 'blocked6', type: 'ipv6_addr' }
} as const
const HOOKS = ['input', 'forward'] as const

/** Name of the set for a family. */
export function setOf(family: 4 | 6): string {
  return SETS[family].name
}

/** The empty table as an `nft` script. */
export function frameScript(): string {
  const sets = Object.values(SETS).map(
    ({ name, type }) => `  set ${name} {\n    type ${type}\n    flags interval\n    counter\n  }`
  )
  const chains = HOOKS.map(
    hook =>
      `  chain ${hook} {\n    type filter hook ${hook} priority ${PRIORITY}; policy accept;\n` +
      `    ip saddr @${SETS[4].name} drop\n    ip6 saddr @${SETS[6].name} drop\n  }`
  )
  return `table ${TABLE} {\n${[...sets, ...chains].join('\n')}\n}\n`
}

/** What `nft -j list table` shows of ours. */
export interface TableState {
  /** False when a chain, rule or set is missing or altered: then nothing counts as in force. */
  whole: boolean
  packets: Map<Address, number>
}

const Listing = shapeCheck(Type.Object({ nftables: Type.Array(Type.Record(Type.String(), Type.Unknown())) }))

/** Reads the JSON of `nft -j list table` (libnftables-json(5)). @throws ProductError FIREWALL */
export function readTable(json: string): TableState {
  let listing: unknown
  try {
    listing = JSON.parse(json)
  } catch (error) {
    throw new ProductError('FIREWALL', 'nft gave no JSON; nftables 0.9 or later is needed', error)
  }
  if (Listing(listing) !== undefined) throw new ProductError('FIREWALL', 'nft gave JSON of another form')
  const { nftables } = listing as { nftables: Record<string, unknown>[] }
  const packets = new Map<Address, number>()
  const seen: string[] = []
  for (const item of nftables) {
    if (isRecord(item.set)) {
      seen.push(`set ${String(item.set.name)} ${String(item.set.type)} ${String(item.set.flags)}`)
      for (const element of Array.isArray(item.set.elem) ? item.set.elem : []) readElement(element, packets)
    } else if (isRecord(item.chain)) {
      const { name, hook, prio, policy } = item.chain
      seen.push(`chain ${String(name)} ${String(hook)} ${String(prio)} ${String(policy)}`)
    } else if (isRecord(item.rule))
      seen.push(`rule ${String(item.rule.chain)} ${JSON.stringify(item.rule.expr)}`)
  }
  return { whole: seen.sort().join('\n') === EXPECTED, packets }
}

const EXPECTED = [
  ...Object.values(SETS).map(({ name, type }) => `set ${name} ${type} interval`),
  ...HOOKS.map(hook => `chain ${hook} ${hook} ${PRIORITY} accept`),
  ...HOOKS.flatMap(hook => [
    `rule ${hook} ${JSON.stringify(dropRule('ip', SETS[4].name))}`,
    `rule ${hook} ${JSON.stringify(dropRule('ip6', SETS[6].name))}`
  ])
]
  .sort()
  .join('\n')

function dropRule(protocol: string, set: string): unknown {
  const left = { payload: { protocol, field: 'saddr' } }
  return [{ match: { op: '==', left, right: `@${set}` } }, { drop: null }]
}

function readElement(element: unknown, packets: Map<Address, number>): void {
  const inner = isRecord(element) && isRecord(element.elem) ? element.elem : undefined
  const counter = isRecord(inner?.counter) ? Number(inner.counter.packets) : 0
  for (const item of addressesOf(inner === undefined ? element : inner.val)) packets.set(item, counter)
}

function addressesOf(value: unknown): Address[] {
  if (typeof value === 'string') return [address(value)]
  if (isRecord(value) && isRecord(value.prefix)) {
    return [address(`${String(value.prefix.addr)}/${String(value.prefix.len)}`)]
  }
  if (isRecord(value) && Array.isArray(value.range)) {
    const [first, last] = value.range.map(end => parseAddress(String(end)))
    if (first !== undefined && last !== undefined) {
      return networksOfRange({ ...rangeOf(first), last: rangeOf(last).last })
    }
  }
  throw new ProductError('FIREWALL', 'nft showed an element of another form')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
