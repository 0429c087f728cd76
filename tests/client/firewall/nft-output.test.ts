import fc from 'fast-check'
import t from 'tap'
import { NftOutput } from '../../../client/firewall/nft-output.js'
import { noneTaken, parseTable } from '../../../client/firewall/nft-parse.js'

// Spelled as nft 1.0.6 does: a space behind each colon and comma.
const spell = (value: unknown) =>
  JSON.stringify(value, null, 1)
    .replaceAll(/\n */g, ' ')
    .replaceAll('{ ', '{')
    .replaceAll('[ ', '[')
    .replaceAll(' }', '}')
    .replaceAll(' ]', ']')
const single = (val: unknown) => ({ elem: { val, counter: null } })
const setOf = (name: string, type: string, elem: unknown[], table = 'fail2ban_report') => ({
  set: { family: 'inet', name, table, type, handle: 3, elem }
})
const listed = (...objects: object[]) =>
  `${spell({ nftables: [{ metainfo: { version: '1.0.6' } }, ...objects] })}\n`

/** Reads a text that comes in pieces cut at some places. */
function read(text: string, cuts: readonly number[]) {
  const taken = noneTaken()
  const output = new NftOutput(taken)
  const places = [...new Set(cuts.map(cut => cut % text.length))].sort((a, b) => a - b)
  for (const [at, from] of [0, ...places].entries()) output.add(text.slice(from, places[at]))
  return { taken, rest: output.rest(), table: parseTable(output.rest(), taken) }
}

t.test('wherever the output is cut, what it holds is what the parser alone finds', t => {
  const ipv4 = fc.ipV4().map(single)
  const odd = fc.constantFrom<unknown>(
    ...['192.0.2.7', { elem: { val: '192.0.2.9', counter: { packets: 5, bytes: 300 } } }],
    ...[
      single({ prefix: { addr: '198.51.100.0', len: 24 } }),
      single({ range: ['203.0.113.4', '203.0.113.7'] })
    ],
    { elem: { val: '192.0.2.8', counter: null, comment: 'a "{"elem": {"val": " within' } }
  )
  const elements = fc.array(fc.oneof({ weight: 4, arbitrary: ipv4 }, { weight: 1, arbitrary: odd }), {
    maxLength: 30
  })
  fc.assert(
    fc.property(
      ...[elements, elements, fc.array(fc.ipV6().map(single), { maxLength: 9 })],
      fc.array(fc.nat(), { maxLength: 12 }),
      (spread, networks, six, cuts) => {
        const text = listed(
          setOf('addresses4_0', 'ipv4_addr', spread),
          setOf('networks4', 'ipv4_addr', networks),
          setOf('addresses6_3', 'ipv6_addr', six)
        )
        const { table } = read(text, cuts)
        const alone = parseTable(text)
        t.strictSame([...table.singles].sort(), [...alone.singles].sort())
        t.strictSame(table.networks, alone.networks)
        t.strictSame(table.hits, alone.hits)
      }
    ),
    { numRuns: 300 }
  )
  t.end()
})

t.test('addresses are taken out', t => {
  const ips = Array.from({ length: 500 }, (_, n) => `192.0.${n % 8}.${n >> 3}`)
  const { rest, taken } = read(listed(setOf('addresses4_0', 'ipv4_addr', ips.map(single))), [1000, 2000])
  t.strictSame([...taken.addresses], ips)
  t.ok(taken.rows.every(({ set }) => set === undefined))
  t.notMatch(rest, /192\.0/)
  t.end()
})

t.test('a row tells its set where all of it belongs there', t => {
  const rowOf = (...ips: string[]) => {
    const { taken } = read(listed(setOf('addresses4_2', 'ipv4_addr', ips.map(single))), [])
    t.equal(taken.rows.length, 1)
    return taken.rows[0]?.set?.name
  }
  t.equal(rowOf('192.0.2.7', '192.0.10.7'), 'addresses4_2')
  t.equal(rowOf('192.0.2.7', '192.0.1.9'), undefined)
  t.equal(rowOf('192.0.1.9', '192.0.2.7'), undefined)
  t.equal(rowOf('192.0.1.9'), 'addresses4_1')
  t.end()
})

t.test('what stands in sets of others is no block', t => {
  const own = setOf('addresses4_1', 'ipv4_addr', [single('192.0.1.7')])
  for (const other of [
    setOf('addresses4_1', 'ipv4_addr', [single('203.0.113.5')], 'f2b-table'),
    setOf('somebody', 'ipv4_addr', [single('203.0.113.5')]),
    setOf('ports', 'inet_service', [single(22), 0, 1]),
    setOf('names', 'ifname', [single('eth0')])
  ]) {
    for (const text of [listed(own, other), listed(other, own)]) {
      t.strictSame([...read(text, []).table.singles], ['192.0.1.7'], text)
    }
  }
  t.end()
})

t.test('a number among addresses is refused', t => {
  const text = listed(setOf('addresses4_1', 'ipv4_addr', [single('192.0.1.7'), 1]))
  t.throws(() => read(text, []), { code: 'FIREWALL' })
  t.end()
})

t.test('what is cut short is refused', t => {
  const text = listed(setOf('addresses4_1', 'ipv4_addr', [single('192.0.1.7'), single('192.0.9.7')]))
  const upTo = (end: number) => {
    const taken = noneTaken()
    const output = new NftOutput(taken)
    output.add(text.slice(0, end))
    return parseTable(output.rest(), taken)
  }
  t.strictSame([...upTo(text.length - 1).singles], ['192.0.1.7', '192.0.9.7'])
  for (let end = 0; end < text.length - 1; end++) {
    t.throws(() => upTo(end), { code: 'FIREWALL' }, `${end} characters`)
  }
  t.end()
})
