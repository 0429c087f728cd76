import t from 'tap'
import { table } from '../../../server/cli/table.js'

t.test('columns are as wide as their widest cell, without blanks at the end', async t => {
  t.equal(
    table(
      ['ip', 'reason'],
      [
        ['203.0.113.9', ''],
        ['::1', 'scans']
      ]
    ),
    ['ip           reason', '-----------  ------', '203.0.113.9', '::1          scans'].join('\n')
  )
  t.equal(table(['a', 'b'], []), 'a  b\n-  -')
})

t.test('letters beyond the basic plane count once', async t => {
  t.equal(table(['x', 'y'], [['😀', 'b']]), 'x  y\n-  -\n😀  b')
})

t.test('control characters never reach the terminal, and one row stays one line', async t => {
  const out = table(['jail'], [['a\u001b[2Jb'], ['c\nd'], ['e\u202ef'], ['g\rh\u0007']])
  t.equal(out.split('\n').length, 6)
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  t.notMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f\u202e]/)
})

t.test('a cell of any length is cut, not trusted', async t => {
  t.ok(table(['reason'], [['x'.repeat(100_000)]]).length < 1000)
})
