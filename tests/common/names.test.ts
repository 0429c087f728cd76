import t from 'tap'
import fc from 'fast-check'
import {
  isEventsFileName,
  isListName,
  isServerName,
  jailOfList,
  listOfJail,
  printable
} from '../../common/names.js'

t.test('names that become paths are told from those that must not', async t => {
  for (const good of ['web-1', 'A', 'a.b_c-d', '9'.repeat(64)]) t.ok(isServerName(good), good)
  for (const bad of [
    '',
    '.',
    '..',
    '.a',
    '-a',
    'a/b',
    'a\\b',
    'a\0',
    'ä',
    'a b',
    'a'.repeat(65),
    'a\n',
    'update.json',
    'update.json.lock',
    'x.JSONL',
    'a.lock'
  ]) {
    t.notOk(isServerName(bad), JSON.stringify(bad))
  }
  for (const good of ['sshd.blocklist.json', 'SSHD_2-x.BLOCKLIST.JSON']) t.ok(isListName(good), good)
  for (const bad of [
    '.blocklist.json',
    '../x.blocklist.json',
    'a.b.blocklist.json',
    'x.json',
    'ä.blocklist.json'
  ]) {
    t.notOk(isListName(bad), bad)
  }
  t.ok(isEventsFileName('fail2ban-events-20260301.json'))
  t.notOk(isEventsFileName('fail2ban-events-2026031.json'))
  t.notOk(isEventsFileName('fail2ban-events-20260301.json\n'))
})

t.test('a legal jail keeps its name, an odd one is mapped and read back', async t => {
  t.equal(listOfJail('sshd'), 'sshd.blocklist.json')
  t.equal(listOfJail('nginx-http_auth'), 'nginx-http_auth.blocklist.json')
  for (const odd of ['Odd jail.näme_1', 'a/b', '..', '_j_x', '日本', 'a.b']) {
    const list = listOfJail(odd)
    t.ok(isListName(list), list)
    t.equal(jailOfList(list), odd)
  }
  for (const bad of ['', ' a', 'a\n', 'x'.repeat(300), '\ud800'])
    t.throws(() => listOfJail(bad), { code: 'BAD_NAME' })
})

t.test('two jails never share one list', async t => {
  const jail = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(jail, jail, (one, other) => {
      let lists
      try {
        lists = [listOfJail(one), listOfJail(other)] as const
      } catch {
        return true
      }
      return jailOfList(lists[0]) === one && (one === other) === (lists[0] === lists[1])
    }),
    { numRuns: 5000 }
  )
  t.pass('held for every case')
})

t.test('untrusted text is cut and loses its control characters', async t => {
  t.equal(printable('a\u001b[31mb\nc\u202e'), 'a�[31mb�c�')
  t.equal(printable('x'.repeat(200), 10), 'xxxxxxxxxx…')
})
