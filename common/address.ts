import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { ProductError } from './errors.js'
import { printable } from './names.js'

/**
 * An IPv4 or IPv6 address or network in the one spelling this product uses: lower case, compressed, host bits
 * cleared, no `/32` or `/128`. Only this module makes them, so text of this type is safe in a firewall batch.
 */
export type Address = string & { readonly __address: true }

/** A network as numbers, for comparing. `first` and `last` are inclusive. */
export interface Range {
  family: 4 | 6
  first: bigint
  last: bigint
}

const GROUP = '[1-9a-f][0-9a-f]{0,3}'
/** IPv6 as RFC 5952 spells it where no group but those that `::` stands for is zero, two of them or more. */
const CANONICAL6 = new RegExp(
  `^(?:(?:${GROUP}:){7}${GROUP}|(?!(?:[^:]*:){7})${GROUP}(?::${GROUP})*::(?:${GROUP}(?::${GROUP})*)?)$`
)

/**
 * Reads an IP or CIDR as strictly as `net.isIP` does (no `0x7f.1`, no zone, no leading zeros).
 * IPv4 mapped into IPv6 (`::ffff:1.2.3.4`) becomes the IPv4 address: that is the packet a firewall sees.
 * @returns the canonical spelling, or undefined when the text is none
 */
export function parseAddress(text: string): Address | undefined {
  // The commonest cases by far, and already canonical: spared the slow path for lists of 100,000.
  if (isIPv4(text) || CANONICAL6.test(text)) return text as Address
  const slash = text.indexOf('/')
  const host = slash < 0 ? text : text.slice(0, slash)
  if (text.length > 64 || isIP(host) === 0 || host.includes('%')) return undefined
  // ipaddr.js reads ::1.2.3.4 as if it were mapped; to everybody else, nft among them, it is ::102:304.
  let address = ipaddr.parse(host.replace(/^::(?=\d+\.)/, '0::'))
  const prefix = slash < 0 ? undefined : text.slice(slash + 1)
  if (prefix !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefix)) return undefined
  let bits = prefix === undefined ? address.toByteArray().length * 8 : Number(prefix)
  if (bits > address.toByteArray().length * 8) return undefined
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96) {
    address = address.toIPv4Address()
    bits -= 96
  }
  const whole = address.toByteArray().length * 8
  if (bits === whole) return spell(address) as Address
  const masked = address.toByteArray().map((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - index * 8))
    return byte & (0xff << (8 - kept)) & 0xff
  })
  return `${spell(ipaddr.fromByteArray(masked))}/${bits}` as Address
}

/** The single IPv4 address that a number of 32 bits stands for, signed or not. */
export function addressOfNumber4(number: number): Address {
  return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}` as Address
}

/** The single address that 4 or 16 bytes in network order are; IPv4 mapped into IPv6 as in `parseAddress`. */
export function addressOfBytes(bytes: Uint8Array): Address {
  if (bytes.length === 4) return bytes.join('.') as Address
  const groups: number[] = []
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0))
  if (groups[5] === 0xffff && groups.findIndex(group => group !== 0) === 5)
    return addressOfBytes(bytes.subarray(12))
  return spell6(groups) as Address
}

/** RFC 5952; ipaddr.js takes several times as long, which 100,000 elements of a firewall make felt. */
function spell6(groups: readonly number[]): string {
  // The longest run of zeros, of equals the first; a single one is no run.
  let [start, length] = [-1, 1]
  for (let at = 0; at < groups.length; at++) {
    let run = 0
    while (groups[at + run] === 0) run++
    if (run > length) [start, length] = [at, run]
    at += run
  }
  const hex = (from: number, to?: number) =>
    groups
      .slice(from, to)
      .map(group => group.toString(16))
      .join(':')
  return start < 0 ? hex(0) : `${hex(0, start)}::${hex(start + length)}`
}

/** Like `parseAddress`. @throws ProductError BAD_ADDRESS */
export function address(text: string): Address {
  const parsed = parseAddress(text)
  if (parsed === undefined) throw new ProductError('BAD_ADDRESS', printable(text))
  return parsed
}

// RFC 5952: ipaddr.js compresses the longest run of zeros and writes lower case.
function spell(parsed: ipaddr.IPv4 | ipaddr.IPv6): string {
  return parsed.toString()
}

/** What no other machine reaches. */
export const LOOPBACK: readonly Address[] = [address('127.0.0.0/8'), address('::1')]

/** 4 or 6. */
export function familyOf(item: Address): 4 | 6 {
  return item.includes(':') ? 6 : 4
}

/** Prefix length: 32 or 128 for a single address. */
export function prefixOf(item: Address): number {
  const slash = item.indexOf('/')
  if (slash >= 0) return Number(item.slice(slash + 1))
  return familyOf(item) === 4 ? 32 : 128
}

/** First and last address of a network as numbers. */
export function rangeOf(item: Address): Range {
  const family = familyOf(item)
  const first = BigInt(numberOf(item))
  const hostBits = BigInt((family === 4 ? 32 : 128) - prefixOf(item))
  return { family, first, last: first + (1n << hostBits) - 1n }
}

/** The first address as a number; those of IPv4 fit into one that is quick to reckon with. */
function numberOf(item: Address): number | bigint {
  if (familyOf(item) === 4) return number4(item)
  const slash = item.indexOf('/')
  return number6(slash < 0 ? item : item.slice(0, slash))
}

/** True for a single IPv4 address. */
export function isSingle4(item: Address): boolean {
  return !item.includes(':') && !item.includes('/')
}

/** The first address of an IPv4 address or network as a number. Digit by digit: each cycle asks for those of a whole list. */
export function number4(item: Address): number {
  let value = 0
  let part = 0
  for (let at = 0; at < item.length; at++) {
    const code = item.charCodeAt(at)
    if (code === SLASH) break
    if (code === DOT) {
      value = value * 256 + part
      part = 0
    } else part = part * 10 + (code - ZERO)
  }
  return value * 256 + part
}

const [DOT, SLASH, ZERO] = [46, 47, 48]

function number6(host: string): bigint {
  let value = 0n
  for (const part of (ipaddr.parse(host) as ipaddr.IPv6).parts) value = (value << 16n) | BigInt(part)
  return value
}

/** The single address or network with these first and last numbers, split into as few networks as needed. */
export function networksOfRange(range: Range): Address[] {
  const width = range.family === 4 ? 32 : 128
  const found: Address[] = []
  let at = range.first
  while (at <= range.last) {
    let size = 1n
    let bits = width
    while (bits > 0 && at % (size * 2n) === 0n && at + size * 2n - 1n <= range.last) {
      size *= 2n
      bits--
    }
    found.push(address(`${spellNumber(range.family, at)}/${bits}`))
    at += size
  }
  return found
}

function spellNumber(family: 4 | 6, value: bigint): string {
  const bytes: number[] = []
  for (let left = family === 4 ? 4 : 16; left > 0; left--) {
    bytes.unshift(Number(value & 0xffn))
    value >>= 8n
  }
  return spell(ipaddr.fromByteArray(bytes))
}

/** Networks of one prefix length by their leading bits, as a number. */
interface Width {
  bits: number
  networks: Map<number | bigint, Address>
}

/**
 * A set of addresses and networks that answers "is this covered?" by looking at prefixes, not at every member: the
 * cost is one look-up per prefix length in use, whatever the size of the set.
 */
export class AddressSet {
  readonly #members = new Set<Address>()
  /** The members that are networks, widest first. */
  readonly #widths: Record<4 | 6, Width[]> = { 4: [], 6: [] }
  /** Members by their first address, made when first needed. */
  readonly #byFirst: Record<4 | 6, { first: bigint; member: Address }[] | undefined> = {
    4: undefined,
    6: undefined
  }

  constructor(members: Iterable<Address> = []) {
    for (const member of members) this.add(member)
  }

  get size(): number {
    return this.#members.size
  }

  add(member: Address): void {
    this.#members.add(member)
    const family = familyOf(member)
    this.#byFirst[family] = undefined
    if (!member.includes('/')) return
    const bits = prefixOf(member)
    const widths = this.#widths[family]
    let width = widths.find(item => item.bits === bits)
    if (width === undefined) {
      width = { bits, networks: new Map() }
      widths.push(width)
      widths.sort((a, b) => a.bits - b.bits)
    }
    width.networks.set(leading(numberOf(member), bits), member)
  }

  /** True when this very address or network is a member. */
  has(item: Address): boolean {
    return this.#members.has(item)
  }

  /** The widest member that contains all of `item` (itself included), or undefined. */
  covering(item: Address): Address | undefined {
    return this.coverings(item)[0]
  }

  /** All members that contain all of `item` (itself included), widest first. */
  coverings(item: Address): Address[] {
    const found: Address[] = []
    const widths = this.#widths[familyOf(item)]
    if (widths.length > 0) {
      const own = prefixOf(item)
      const first = numberOf(item)
      for (const { bits, networks } of widths) {
        if (bits >= own) break
        const network = networks.get(leading(first, bits))
        if (network !== undefined) found.push(network)
      }
    }
    if (this.#members.has(item)) found.push(item)
    return found
  }

  /** A member that shares any address with `item`, or undefined: the widest around it, else one within it. */
  overlapping(item: Address): Address | undefined {
    const covering = this.covering(item)
    if (covering !== undefined || prefixOf(item) === (familyOf(item) === 4 ? 32 : 128)) return covering
    const { family, first, last } = rangeOf(item)
    const sorted = this.#sorted(family)
    // Networks are nested or apart: what is not around `item` and starts within it lies within it.
    let low = 0
    for (let high = sorted.length; low < high;) {
      const middle = (low + high) >> 1
      if ((sorted[middle]?.first ?? 0n) < first) low = middle + 1
      else high = middle
    }
    const next = sorted[low]
    return next !== undefined && next.first <= last ? next.member : undefined
  }

  #sorted(family: 4 | 6): readonly { first: bigint; member: Address }[] {
    return (this.#byFirst[family] ??= [...this.#members]
      .filter(member => familyOf(member) === family)
      .map(member => ({ first: rangeOf(member).first, member }))
      .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0)))
  }

  [Symbol.iterator](): IterableIterator<Address> {
    return this.#members.values()
  }

  /** The members that no wider member covers: what a firewall has to hold. */
  outermost(): ReadonlySet<Address> {
    if (this.#widths[4].length + this.#widths[6].length === 0) return this.#members
    const kept = new Set<Address>()
    for (const member of this.#members) if (this.covering(member) === member) kept.add(member)
    return kept
  }
}

function leading(first: number | bigint, bits: number): number | bigint {
  if (typeof first === 'bigint') return first >> BigInt(128 - bits)
  // A shift by 32 is none at all.
  return bits === 0 ? 0 : first >>> (32 - bits)
}
