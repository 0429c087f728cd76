import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import {
  AddressSet,
  address,
  addressOfBytes,
  type Address,
  networksOfRange,
  parseAddress,
  rangeOf
} from '../../common/address.js'

t.test('an address is read strictly and spelled in one way', async t => {
  const cases: [string, string | undefined][] = [
    ['1.2.3.4', '1.2.3.4'],
    ['1.2.3.4/32', '1.2.3.4'],
    ['1.2.3.4/24', '1.2.3.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['2001:db8::1/128', '2001:db8::1'],
    ['2001:db8:ffff::/33', '2001:db8:8000::/33'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::1.2.3.4', '::102:304'],
    ['0::1.2.3.4', '::102:304'],
    ['::1.2.3.0/120', '::102:300/120'],
    ['::0.0.0.1', '::1'],
    ['::ffff:1.2.3.0/120', '1.2.3.0/24'],
    ['::/0', '::/0'],
    ['1.2.3.4/33', undefined],
    ['1.2.3.4/-1', undefined],
    ['1.2.3.4/08', undefined],
    ['1.2.3.4/', undefined],
    ['0x7f.1', undefined],
    ['127.1', undefined],
    ['01.2.3.4', undefined],
    ['fe80::1%eth0', undefined],
    ['1.2.3.4; flush ruleset', undefined],
    ['1.2.3.4\n', undefined],
    ['', undefined],
    ['::1/129', undefined],
    ['a'.repeat(1000), undefined]
  ]
  for (const [text, canonical] of cases) t.equal(parseAddress(text), canonical, JSON.stringify(text))
})

t.test('an IPv6 address is spelled as browsers spell it', t => {
  const group = fc.oneof(fc.constantFrom(0, 0, 1, 0xffff), fc.nat({ max: 0xffff }))
  const spelling = fc.tuple(
    fc.array(group, { minLength: 8, maxLength: 8 }),
    fc.constantFrom(1, 4),
    fc.nat({ max: 8 }),
    fc.nat({ max: 8 })
  )
  fc.assert(
    fc.property(spelling, ([groups, width, from, count]) => {
      const words = groups.map(value => value.toString(16).padStart(width, '0'))
      // Any run of zeros may be left out, also one that is not the longest, or a single one.
      const gone = groups.slice(from, from + count)
      const text =
        gone.length > 0 && gone.every(value => value === 0)
          ? `${words.slice(0, from).join(':')}::${words.slice(from + count).join(':')}`
          : words.join(':')
      const spelled = new URL(`http://[${text}]`).hostname.slice(1, -1)
      const mapped = groups[5] === 0xffff && groups.slice(0, 5).every(value => value === 0)
      if (mapped) t.match(parseAddress(text), /^\d+\.\d+\.\d+\.\d+$/, text)
      else t.equal(parseAddress(text), spelled, text)
    }),
    { numRuns: 2000 }
  )
  for (const text of [
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '1:2:3::4:5::6',
    '1:2:3:4:5:6:7',
    '1::2:',
    '1::g'
  ])
    t.equal(parseAddress(text), undefined, text)
  t.end()
})

t.test('an address of bytes is the one that a library spells them as', t => {
  // Zeros, and what is mapped, are what spelling is about.
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc
      .array(fc.constantFrom([0, 0], [0, 7], [0x20, 1], [0xff, 0xff]), { minLength: 8, maxLength: 8 })
      .map(two => {
        return Uint8Array.from(two.flat())
      })
  )
  fc.assert(
    fc.property(bytes, some => {
      t.equal(addressOfBytes(some), parseAddress(ipaddr.fromByteArray([...some]).toNormalizedString()))
    }),
    { numRuns: 2000 }
  )
  t.equal(
    addressOfBytes(Uint8Array.from([...Array<number>(10).fill(0), 255, 255, 192, 0, 2, 7])),
    '192.0.2.7'
  )
  t.equal(addressOfBytes(new Uint8Array(16)), '::')
  t.end()
})

t.test('a set finds the widest member that covers', async t => {
  const set = new AddressSet([address('10.0.0.0/8'), address('10.1.0.0/16'), address('2001:db8::/32')])
  t.equal(set.covering(address('10.1.2.3')), '10.0.0.0/8')
  t.equal(set.covering(address('10.0.0.0/8')), '10.0.0.0/8')
  t.equal(set.covering(address('11.0.0.1')), undefined)
  t.equal(set.covering(address('10.0.0.0/7')), undefined)
  t.equal(set.covering(address('2001:db8:5::9')), '2001:db8::/32')
  t.equal(set.overlapping(address('10.0.0.0/7')), '10.0.0.0/8')
  t.equal(set.overlapping(address('12.0.0.0/7')), undefined)
  t.strictSame([...set.outermost()], ['10.0.0.0/8', '2001:db8::/32'])
})

t.test('a range is split into the fewest networks', async t => {
  t.strictSame(networksOfRange(rangeOf(address('10.0.0.0/9'))), ['10.0.0.0/9'])
  const { first } = rangeOf(address('10.0.0.1'))
  t.strictSame(networksOfRange({ family: 4, first, last: first + 2n }), ['10.0.0.1', '10.0.0.2/31'])
  t.strictSame(networksOfRange(rangeOf(address('::/0'))), ['::/0'])
})

t.test('what overlaps is found as by looking at every pair', t => {
  const network = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 20, max: 32 }))
    .map(([host, bits]) => address(`10.0.${host & 3}.${host}/${bits}`))
  const meets = (a: Address, b: Address) =>
    rangeOf(a).first <= rangeOf(b).last && rangeOf(b).first <= rangeOf(a).last
  fc.assert(
    fc.property(fc.array(network, { maxLength: 8 }), network, (members, item) => {
      const found = new AddressSet(members).overlapping(item)
      t.equal(
        found !== undefined,
        members.some(member => meets(member, item))
      )
      if (found !== undefined) t.ok(meets(found, item) && members.includes(found))
    })
  )
  t.end()
})
