/** An address or network as numbers; both ends belong to it. */
export interface IpRange {
  family: 4 | 6
  first: bigint
  last: bigint
  /** Prefix length. */
  bits: number
}

/**
 * Reads an address or CIDR as people type it, for filters and for a look before sending; the server's word counts.
 * @returns undefined for text that is neither
 */
export function parseIp(text: string): IpRange | undefined {
  const [host = '', prefix, ...rest] = text.trim().split('/')
  if (rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined
  const family = host.includes(':') ? 6 : 4
  const value = family === 4 ? parse4(host) : parse6(host)
  const width = family === 4 ? 32 : 128
  const bits = prefix === undefined ? width : Number(prefix)
  if (value === undefined || bits > width) return undefined
  const size = 1n << BigInt(width - bits)
  const first = (value / size) * size
  return { family, first, last: first + size - 1n, bits }
}

/** The addresses that somebody typed or pasted, each once; whatever is between them. */
export function ipsIn(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter(one => one !== ''))]
}

/** True when `inner` lies wholly in `outer`. */
export function isWithin(inner: IpRange, outer: IpRange): boolean {
  return inner.family === outer.family && inner.first >= outer.first && inner.last <= outer.last
}

/** True for a network of which a block hits more than one is likely to mean: shorter than /24, or /48. */
export function isWide({ family, bits }: IpRange): boolean {
  return bits < (family === 4 ? 24 : 48)
}

/** Orders addresses by number, IPv4 first, other text last. */
export function sortKey(text: string): bigint {
  const parsed = parseIp(text)
  if (parsed === undefined) return 1n << 130n
  return parsed.family === 4 ? parsed.first : parsed.first + (1n << 32n)
}

function parse4(text: string): bigint | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    value = value * 256 + Number(part)
  }
  return BigInt(value)
}

function parse6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const groups = halves.map(half => (half === '' ? [] : half.split(':').flatMap(groupsOf)))
  const [head = [], tail = []] = groups
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  let value = 0n
  for (const group of [...head, ...new Array<string>(missing).fill('0'), ...tail]) {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined
    value = (value << 16n) | BigInt(`0x${group}`)
  }
  return value
}

/** `::ffff:192.0.2.1`: the dotted part is two groups. */
function groupsOf(part: string): string[] {
  if (!part.includes('.')) return [part]
  const value = parse4(part)
  return value === undefined ? ['x'] : [(value >> 16n).toString(16), (value & 0xffffn).toString(16)]
}
