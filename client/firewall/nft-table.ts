import { familyOf, rangeOf, type Address } from '../../common/address.js'
import { FAMILIES, type Family, type Hits } from './families.js'

export const FAMILY = 'inet'
export const NAME = 'fail2ban_report'

/** Name of this product's own table, as nft takes it. */
export const TABLE = `${FAMILY} ${NAME}`

/** A set of the table. */
export interface NftSet {
  name: string
  family: Family
  /** Whether it holds networks; else single addresses. */
  networks: boolean
  /** Of single addresses: those it holds, by some of their bits. */
  part?: Part
}

/** Bits of an address that tell it belongs in a part, as nft prints them. */
interface Part {
  number: number
  mask: string
  bits: string
}

/** Sets that the single addresses of a family are spread over. */
const PARTS = 8
/** The lowest bits of the third byte, or the third group: they vary from network to network. */
const BITS = {
  4: (bits: number) => `0.0.${bits}.0`,
  6: (bits: number) => (bits === 0 ? '::' : `0:0:${bits}::`)
} as const

function partOf(block: Address): number {
  if (familyOf(block) === 6) return Number((rangeOf(block).first >> 80n) % BigInt(PARTS))
  const third = block.indexOf('.', block.indexOf('.') + 1) + 1
  const end = block.indexOf('.', third)
  // By its digits: of 100,000, a text and a number made of it for each are felt.
  let byte = 0
  for (let at = third; at < end; at++) byte = byte * 10 + block.charCodeAt(at) - 48
  return byte % PARTS
}

/** As `partOf`, of an address's bytes. @param at where they begin */
export function partOfBytes(data: Uint8Array, at: number, family: Family): number {
  return (data[at + (family === 4 ? 2 : 5)] ?? 0) % PARTS
}

/**
 * The sets that hold the blocks, in the order of their rules. Single addresses stand apart from networks: elements of
 * a set without intervals are changed by themselves, while nft first fetches the whole of a set with intervals. They
 * are spread over several sets, as the kernel's time to list a set grows with the square of its size (100,000 in one:
 * 0.7 s, in four: 0.2 s); the rules look at the bits first, so that each packet is looked up in one of them.
 */
export const SETS: readonly NftSet[] = FAMILIES.flatMap(family => [
  ...Array.from({ length: PARTS }, (_, part) => ({
    name: `addresses${family}_${part}`,
    family,
    networks: false,
    part: { number: part, mask: BITS[family](PARTS - 1), bits: BITS[family](part) }
  })),
  { name: `networks${family}`, family, networks: true }
])

/** What earlier versions kept blocks in: they move over when the table is replaced by one of today's form. */
export const FORMER_SETS: readonly NftSet[] = FAMILIES.flatMap(family => [
  { name: `blocked${family}`, family, networks: true },
  { name: `addresses${family}`, family, networks: false }
])

export const HOOKS = ['input', 'forward'] as const
export const TYPES = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const
export const FIELDS = { 4: 'ip', 6: 'ip6' } as const
// Ahead of the tables of iptables (0), firewalld (10) and fail2ban (-1): nothing can accept a packet first.
export const PRIORITY = -300

/** Sorts blocks by the set they belong in; every set is there. */
export function bySet(blocks: Iterable<Address>): Map<NftSet, Address[]> {
  const sorted = new Map(SETS.map(set => [set, [] as Address[]]))
  for (const block of blocks) sorted.get(setOf(block))?.push(block)
  return sorted
}

/** The set that a block belongs in. */
export function setOf(block: Address): NftSet {
  const first = familyOf(block) === 4 ? 0 : PARTS + 1
  return SETS[first + (block.includes('/') ? PARTS : partOf(block))] as NftSet
}

/**
 * The whole table in nft's language. Elements stand within their set: nft 1.0.6 forgets the counters of elements
 * that are added to a set made in the same transaction.
 */
export function tableText(content: ReadonlyMap<Address, Hits>): string {
  const sets = [...bySet(content.keys())].map(([{ name, family, networks }, blocks]) => {
    const items = blocks.map(block => counted(block, content.get(block)))
    const elements = items.length === 0 ? '' : ` elements = {\n${items.join(',\n')}\n}`
    const flags = networks ? ' flags interval;' : ''
    return `  set ${name} {\n    type ${TYPES[family]};${flags} counter;${elements}\n  }\n`
  })
  const rules = SETS.map(({ name, family, part }) => {
    const source = `${FIELDS[family]} saddr`
    const looked = part === undefined ? '' : `${source} & ${part.mask} == ${part.bits} `
    return `    ${looked}${source} @${name} drop\n`
  }).join('')
  const chains = HOOKS.map(
    hook =>
      `  chain ${hook} {\n    type filter hook ${hook} priority ${PRIORITY}; policy accept;\n${rules}  }\n`
  )
  return `table ${TABLE} {\n${[...sets, ...chains].join('')}}\n`
}

function counted(block: Address, hits: Hits | undefined): string {
  if (hits === undefined || hits.packets === 0) return block
  return `${block} counter packets ${hits.packets} bytes ${hits.bytes}`
}
