import fc from 'fast-check'
import t from 'tap'
import { knownRows, withPending } from '../../../client/cycle/known-rows.js'
import { serialise } from '../../../common/json-file.js'
import { asksForBlock, type BlocklistEntry } from '../../../common/shapes.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const STAMP = '2026-03-01T11:00:00+00:00'
const ENTRY: Required<BlocklistEntry> = {
  ...{
    ip: '203.0.113.1',
    jail: 'sshd',
    source: 'manual',
    timestamp: STAMP,
    expires: null,
    reason: 'a, b: {c}'
  },
  ...{ active: true, lastModified: STAMP, tags: ['one', 'two'], pending: false }
}
const spelled = (...entries: object[]) => serialise(entries, true)

t.test('rows are what the parser makes of them', t => {
  const word = fc.string({
    unit: fc.constantFrom('a', '{', '}', ',', ':', '[', ']', ' ', 'ü', '🏠'),
    maxLength: 6
  })
  const orNull = fc.option(word)
  const entry = fc.record({
    ip: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('198.51.100.0/24')),
    jail: word,
    source: orNull,
    timestamp: orNull,
    expires: fc.option(fc.constantFrom(STAMP, '2030-01-01T00:00:00Z', 'never', '')),
    reason: orNull,
    active: fc.boolean(),
    lastModified: orNull,
    tags: fc.array(word, { maxLength: 3 }),
    pending: fc.boolean()
  })
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), fc.boolean(), (entries, pending) => {
      const text = spelled(...entries)
      const rows = knownRows(text) ?? []
      t.equal(spelled(...rows), text)
      for (const [at, parsed] of (JSON.parse(text) as BlocklistEntry[]).entries()) {
        const row = rows[at]!
        for (const field of Object.keys(parsed) as (keyof BlocklistEntry)[]) {
          t.strictSame(row[field], parsed[field], field)
        }
        t.equal(asksForBlock(row, NOW), asksForBlock(parsed, NOW))
        t.strictSame(withPending(row, pending), { ...parsed, pending })
        t.equal(JSON.stringify(withPending(row, pending)), JSON.stringify({ ...parsed, pending }))
      }
    }),
    { numRuns: 200 }
  )
  t.end()
})

t.test('what is spelled in any other way is left to the parser', t => {
  const good = spelled(ENTRY, { ...ENTRY, ip: '203.0.113.2' })
  t.equal(knownRows(good)?.length, 2)
  const { ip, jail, pending, ...others } = ENTRY
  const spellings = {
    'no rows': '[]\n',
    'a missing field': spelled(ENTRY, { ip, jail, ...others }),
    'one field more': spelled({ ...ENTRY, comment: 'x' }, ENTRY),
    'another order': spelled({ jail, ip, ...others, pending }),
    'an escaped character': spelled({ ...ENTRY, reason: 'a "b"' }),
    'an escaped letter': good.replace('sshd', '\\u0073shd'),
    'no text in place of a jail': spelled({ ...ENTRY, jail: null }),
    'no array of tags': spelled({ ...ENTRY, tags: null }),
    'an IP that may be escaped': spelled({ ...ENTRY, ip: '2001:DB8::1' }),
    'all in one line': JSON.stringify([ENTRY, ENTRY]),
    indented: JSON.stringify([ENTRY], null, 2),
    'one row too few': good.replace(/,\n.*\n\]/, ',\n]'),
    'something behind it': `${good}[]`,
    'a cut end': good.slice(0, -1),
    nothing: ''
  }
  for (const [what, text] of Object.entries(spellings)) t.equal(knownRows(text), undefined, what)
  t.end()
})

t.test('an entry of any other kind is made pending as well', t => {
  t.strictSame(withPending({ ip: '203.0.113.1' }, true), { ip: '203.0.113.1', pending: true })
  t.end()
})
