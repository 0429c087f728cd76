import fc from 'fast-check'
import t from 'tap'
import { serialise } from '../../common/json-file.js'
import { changedRows, changedText, changesBetween } from '../../common/list-text.js'

interface Row {
  ip: string
  more?: unknown
}
const row: fc.Arbitrary<Row> = fc.record(
  { ip: fc.string(), more: fc.oneof(fc.string({ unit: 'grapheme' }), fc.array(fc.nat()), fc.boolean()) },
  { requiredKeys: ['ip'] }
)
/** A list and what is done with it: for each of its rows `keep`, another row, or `go`; and rows behind its end. */
const work = fc.record({
  rows: fc.array(
    fc.tuple(row, fc.oneof({ arbitrary: fc.constant('keep'), weight: 5 }, row, fc.constant('go')))
  ),
  more: fc.array(row, { maxLength: 4 })
})
const list = (...ips: string[]): Row[] => ips.map(ip => ({ ip }))

t.test('the changes of a list make the changed one, and the text is the one it would be written as', t => {
  fc.assert(
    fc.property(work, ({ rows, more }) => {
      const before = rows.map(([one]) => one)
      const kept = rows.flatMap(([one, what]) => (what === 'keep' ? [one] : what === 'go' ? [] : [what]))
      const after = [...kept, ...more]
      const changes = changesBetween(before, after)
      if (changes === undefined) throw new Error('no changes found')
      t.strictSame(changedRows(before, changes), after)
      const text = changedText(serialise(before, true), before.length, changes)
      if (text !== undefined) return text === serialise(after, true)
      return serialise(before, true).split('{').length - 1 > before.length
    }),
    { numRuns: 500 }
  )
  t.end()
})

t.test('a few changes are told as few', t => {
  const before = list('a', 'b', 'c', 'd')
  const [a, b, c, d] = before as [Row, Row, Row, Row]
  const x = { ip: 'x' }
  t.strictSame(changesBetween(before, [a, b, c, d]), { set: [], gone: [] })
  t.strictSame(changesBetween(before, [a, x, c, d]), { set: [[1, x]], gone: [] })
  t.strictSame(changesBetween(before, [a, c, d, x]), { set: [[4, x]], gone: [1] })
  t.strictSame(changesBetween(before, [x, d]), { set: [[0, x]], gone: [1, 2] })
  t.strictSame(changesBetween([], [x]), { set: [[0, x]], gone: [] })
  t.strictSame(changesBetween(before, [b, a, c, d]), {
    set: [
      [0, b],
      [1, a]
    ],
    gone: []
  })
  t.strictSame(changesBetween(before, [b, c, d, a]), { set: [[4, a]], gone: [0] })
  t.equal(changesBetween(before, [c, d, b, a]), undefined, 'another order')
  t.equal(changesBetween(before, [a, x, b, c, d]), undefined, 'a new row between those that stay')
  t.end()
})

t.test('changes that do not fit a list are not made', t => {
  const before = list('a', 'b')
  const text = serialise(before, true)
  const x = { ip: 'x' }
  const bad = [
    { set: [[3, x]], gone: [] },
    { set: [[-1, x]], gone: [] },
    { set: [[0.5, x]], gone: [] },
    {
      set: [
        [1, x],
        [1, x]
      ],
      gone: []
    },
    {
      set: [
        [1, x],
        [0, x]
      ],
      gone: []
    },
    {
      set: [
        [2, x],
        [4, x]
      ],
      gone: []
    },
    { set: [], gone: [2] },
    { set: [], gone: [0, 0] },
    { set: [], gone: [1, 0] },
    { set: [[0, x]], gone: [0] }
  ] as Parameters<typeof changedRows<Row>>[1][]
  for (const changes of bad) {
    t.equal(changedRows(before, changes), undefined, JSON.stringify(changes))
    t.equal(changedText(text, 2, changes), undefined, JSON.stringify(changes))
  }
  t.end()
})

t.test('a text that is not one row a line is left to be written whole', t => {
  const nothing = { set: [], gone: [] }
  const fine = '[\n{"ip":"a"},\n{"ip":"b"}\n]\n'
  t.equal(changedText(fine, 2, nothing), fine)
  t.equal(changedText('[]\n', 0, nothing), '[]\n')
  for (const text of [
    '[{"ip":"a"},{"ip":"b"}]',
    '[\n{"ip":"a"},{"ip":"b"}\n]\n',
    '[\n{"ip":"a"}\n,{"ip":"b"}\n]\n',
    '[\n{"ip":"a"},\n\n{"ip":"b"}\n]\n',
    '[\n{"ip":"a","x":[{},\n{}]},\n{"ip":"b"}\n]\n',
    '[\n{"ip":"a","x":[3,\n4]},{"ip":"b"}\n]\n',
    '[\n{"ip":"a"},\n{"ip":"b"}\n]',
    '[\n  {"ip":"a"},\n  {"ip":"b"}\n]\n',
    '{"0":{"ip":"a"},\n"1":{"ip":"b"}\n}\n'
  ])
    t.equal(changedText(text, 2, nothing), undefined, JSON.stringify(text))
  t.equal(changedText(fine, 1, nothing), undefined)
  t.equal(changedText(fine, 3, nothing), undefined)
  t.end()
})
