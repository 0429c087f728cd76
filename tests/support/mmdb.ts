/** A tiny writer of databases in MaxMind's format (maxmind-db's spec, version 2.0): enough for tests. */
export function mmdbOf(rows: readonly (readonly [string, Record<string, unknown>])[]): Buffer {
  // A node is two records: a node's number, or a place in the data, or nothing.
  const nodes: [Branch, Branch][] = [[undefined, undefined]]
  const data: Buffer[] = []
  let offset = 0
  for (const [cidr, row] of rows) {
    const bytes = encode(row)
    data.push(bytes)
    put(nodes, bitsOf(cidr), { data: offset })
    offset += bytes.length
  }
  const count = nodes.length
  const tree = Buffer.concat(
    nodes.flatMap(node =>
      node.map(branch => {
        const value = branch === undefined ? count : 'data' in branch ? count + 16 + branch.data : branch.node
        return Buffer.from([value >> 16, (value >> 8) & 255, value & 255])
      })
    )
  )
  const about = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1,
    database_type: 'Test-Country',
    description: { en: 'test' },
    ip_version: 6,
    languages: ['en'],
    node_count: count,
    record_size: 24
  })
  const mark = Buffer.concat([Buffer.from([0xab, 0xcd, 0xef]), Buffer.from('MaxMind.com')])
  return Buffer.concat([tree, Buffer.alloc(16), ...data, mark, about])
}

type Branch = { node: number } | { data: number } | undefined

function put(nodes: [Branch, Branch][], bits: number[], leaf: { data: number }): void {
  let at = 0
  bits.forEach((bit, depth) => {
    const node = nodes[at]!
    if (depth === bits.length - 1) {
      node[bit as 0 | 1] = leaf
      return
    }
    const next = node[bit as 0 | 1]
    if (next !== undefined && 'node' in next) at = next.node
    else {
      node[bit as 0 | 1] = { node: nodes.push([undefined, undefined]) - 1 }
      at = nodes.length - 1
    }
  })
}

/** IPv4 lies below ::/96. Of IPv6 only the form `2001:db8::/32`, with no group after the `::`. */
function bitsOf(cidr: string): number[] {
  const [host = '', prefix = ''] = cidr.split('/')
  const bits = (value: number, width: number) =>
    Array.from({ length: width }, (_, at) => (value >> (width - 1 - at)) & 1)
  if (!host.includes(':')) {
    const all = host.split('.').flatMap(part => bits(Number(part), 8))
    return [...new Array<number>(96).fill(0), ...all.slice(0, Number(prefix))]
  }
  const groups = host.replace('::', '').split(':')
  const all = groups.flatMap(group => bits(parseInt(group, 16), 16))
  return [...all, ...new Array<number>(128).fill(0)].slice(0, Number(prefix))
}

const TYPES = { string: 2, uint: 6, map: 7, array: 11 } as const

function encode(value: unknown): Buffer {
  if (typeof value === 'string')
    return Buffer.concat([head(TYPES.string, Buffer.byteLength(value)), Buffer.from(value)])
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return Buffer.concat([head(TYPES.uint, 4), bytes])
  }
  if (Array.isArray(value)) return Buffer.concat([head(TYPES.array, value.length), ...value.map(encode)])
  const pairs = Object.entries(value as object)
  return Buffer.concat([head(TYPES.map, pairs.length), ...pairs.flat().map(encode)])
}

function head(type: number, size: number): Buffer {
  return type > 7 ? Buffer.from([size, type - 7]) : Buffer.from([(type << 5) | size])
}
