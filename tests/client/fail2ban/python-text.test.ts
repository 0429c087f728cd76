import fc from 'fast-check'
import t from 'tap'
import { readPython } from '../../../client/fail2ban/python-text.js'

t.test('what fail2ban prints is read', async t => {
  const cases: [string, unknown][] = [
    [
      "[{'sshd': ['192.0.2.1', '2001:db8::1']}, {'recidive': []}]\n",
      [{ sshd: ['192.0.2.1', '2001:db8::1'] }, { recidive: [] }]
    ],
    [`['set', "it's", 'addignoreip', "a\\\\b"]`, ['set', "it's", 'addignoreip', 'a\\b']],
    ["('a', 1, -2.5, None, True, False,)", ['a', 1, -2.5, null, true, false]],
    ["'n\\xe4h\\u20ac\\U0001f600\\n\\t\\''", "n\u00e4h\u20ac\u{1f600}\n\t'"],
    ['{}', {}]
  ]
  for (const [text, value] of cases) t.same(readPython(text), value, text)
})

t.test('anything else is refused', async t => {
  for (const text of [
    '',
    '[',
    "['a'",
    "['a' 'b']",
    "'a",
    '{1: 2}',
    "{'a'}",
    'os.system',
    "['a'] ['b']",
    '['.repeat(50),
    "'\\xg1'",
    "'\\UFFFFFFFF'"
  ])
    t.throws(() => readPython(text), text)
})

t.test('any text is read or refused, never anything else', async () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...Array.from('[](){}\':",\\xu01aN e')) }), text => {
      try {
        readPython(text)
      } catch (error) {
        return error instanceof Error && error.constructor === Error
      }
      return true
    })
  )
})
