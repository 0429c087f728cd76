import { familyOf, networksOfRange, rangeOf, type Address } from '../../common/address.js'

interface Span {
  first: bigint
  last: bigint
}
type Spans = Readonly<Record<4 | 6, readonly Span[]>>

const FAMILIES = [4, 6] as const
const LAST = { 4: (1n << 32n) - 1n, 6: (1n << 128n) - 1n } as const

/** Any set of addresses, exactly: what is left of networks after others were added, cut out or turned around. */
export class Region {
  static readonly none = new Region({ 4: [], 6: [] })
  static readonly all = new Region({ 4: [{ first: 0n, last: LAST[4] }], 6: [{ first: 0n, last: LAST[6] }] })

  private constructor(private readonly spans: Spans) {}

  static of(networks: Iterable<Address>): Region {
    const spans: Record<4 | 6, Span[]> = { 4: [], 6: [] }
    for (const network of networks) spans[familyOf(network)].push(rangeOf(network))
    return new Region({ 4: merged(spans[4]), 6: merged(spans[6]) })
  }

  static union(regions: readonly Region[]): Region {
    const each = (family: 4 | 6) => merged(regions.flatMap(region => region.spans[family]))
    return new Region({ 4: each(4), 6: each(6) })
  }

  minus(other: Region): Region {
    return this.and(other.complement())
  }

  and(other: Region): Region {
    return new Region({ 4: common(this.spans[4], other.spans[4]), 6: common(this.spans[6], other.spans[6]) })
  }

  complement(): Region {
    return new Region({ 4: gaps(this.spans[4], LAST[4]), 6: gaps(this.spans[6], LAST[6]) })
  }

  get isEmpty(): boolean {
    return this.spans[4].length === 0 && this.spans[6].length === 0
  }

  get isAll(): boolean {
    return this.complement().isEmpty
  }

  equals(other: Region): boolean {
    return this.minus(other).isEmpty && other.minus(this).isEmpty
  }

  /** As few networks as it takes, IPv4 first. */
  networks(): Address[] {
    return FAMILIES.flatMap(family =>
      this.spans[family]
        .flatMap(span => networksOfRange({ family, ...span }))
        // What IPv6 keeps for mapped IPv4 addresses would be read as these; no packet comes from there.
        .filter(network => familyOf(network) === family)
    )
  }
}

function merged(spans: readonly Span[]): Span[] {
  const found: Span[] = []
  for (const span of [...spans].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const before = found.at(-1)
    if (before === undefined || span.first > before.last + 1n) found.push({ ...span })
    else if (span.last > before.last) before.last = span.last
  }
  return found
}

function gaps(spans: readonly Span[], last: bigint): Span[] {
  const found: Span[] = []
  let at = 0n
  for (const span of spans) {
    if (span.first > at) found.push({ first: at, last: span.first - 1n })
    at = span.last + 1n
  }
  if (at <= last) found.push({ first: at, last })
  return found
}

function common(a: readonly Span[], b: readonly Span[]): Span[] {
  const found: Span[] = []
  for (let i = 0, k = 0; ;) {
    const [x, y] = [a[i], b[k]]
    if (x === undefined || y === undefined) return found
    const first = x.first > y.first ? x.first : y.first
    const last = x.last < y.last ? x.last : y.last
    if (first <= last) found.push({ first, last })
    if (x.last < y.last) i++
    else k++
  }
}
