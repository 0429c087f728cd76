import t from 'tap'
import { readPlain } from '../../../client/whitelist/plain-text.js'

t.test('comments and blanks are passed over, each address counts once', async t => {
  const text = '# Managed\n# Last change: never\n192.0.2.1\n 2001:DB8::/32 # office\n\n192.0.2.1\n'
  t.same(readPlain(text), ['192.0.2.1', '2001:db8::/32'])
  t.same(readPlain(''), [])
})

t.test('what no server of ours gives is refused as a whole', async t => {
  for (const text of [
    '<html>',
    '192.0.2.1\nfile:/etc/passwd',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/7',
    '192.0.2.1 192.0.2.2'
  ])
    t.throws(() => readPlain(text), { code: 'REFUSED' }, text)
  const many = Array.from({ length: 20_001 }, (_, at) => `10.0.${at >> 8}.${at & 255}`)
  t.throws(() => readPlain(many.join('\n')), /more than 20000/)
})
