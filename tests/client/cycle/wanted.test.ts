import t from 'tap'
import { guardOf } from '../../../client/cycle/protect.js'
import { wantedOf } from '../../../client/cycle/wanted.js'
import { address } from '../../../common/address.js'
import { listName } from '../../../common/names.js'
import type { BlocklistEntry } from '../../../common/shapes.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const WIDEST = { 4: 8, 6: 19 }
const OPEN = guardOf([], [], [], WIDEST)

const wanted = (
  entries: Record<string, BlocklistEntry[]> | BlocklistEntry[],
  guard = OPEN,
  now: number = NOW
) => {
  const lists = Array.isArray(entries) ? { sshd: entries } : entries
  const named = Object.entries(lists).map(
    ([jail, list]) => [listName(`${jail}.blocklist.json`), list] as const
  )
  const { block, ended, skipped } = wantedOf(new Map(named), guard, now)
  return { block: [...block], ended: [...ended], skipped }
}

t.test('what is active and has not expired is to be blocked', async t => {
  const rows: [string, Omit<BlocklistEntry, 'ip'>, 'block' | 'ended' | 'history'][] = [
    ['an old entry without any field', {}, 'block'],
    ['active', { active: true, pending: false }, 'block'],
    ['active and pending', { active: true, pending: true }, 'block'],
    ['pending alone', { pending: true }, 'block'],
    ['without an end', { active: true, expires: null }, 'block'],
    ['ends in a second', { active: true, expires: '2026-03-01T12:00:01+00:00' }, 'block'],
    ['ends in an hour, told in another zone', { expires: '2026-03-01T15:00:00+02:00' }, 'block'],
    ['an end that is no date', { active: true, expires: 'some day' }, 'block'],
    ['ends now', { active: true, expires: '2026-03-01T12:00:00Z' }, 'ended'],
    [
      'ended long ago, and was never in force',
      { active: true, pending: true, expires: '2020-01-01' },
      'ended'
    ],
    ['ended an hour ago, told in another zone', { expires: '2026-03-01T13:00:00+02:00' }, 'ended'],
    ['an unblock that waits', { active: false, pending: true }, 'ended'],
    ['inactive, and nobody waits', { active: false, pending: false }, 'history'],
    ['inactive, from an old list', { active: false }, 'history'],
    ['inactive and expired', { active: false, expires: '2020-01-01T00:00:00Z' }, 'history']
  ]
  for (const [name, fields, expected] of rows) {
    const { block, ended, skipped } = wanted([{ ip: '203.0.113.1', ...fields }])
    t.strictSame(
      { block, ended, skipped },
      {
        block: expected === 'block' ? ['203.0.113.1'] : [],
        ended: expected === 'ended' ? ['203.0.113.1'] : [],
        skipped: []
      },
      name
    )
  }
})

t.test('an entry is wanted until its end, and no moment longer', async t => {
  const entry = { ip: '203.0.113.1', expires: '2026-03-01T12:00:00.500Z' }
  t.strictSame(wanted([entry], OPEN, NOW + 499).block, ['203.0.113.1'])
  t.strictSame(wanted([entry], OPEN, NOW + 500).block, [])
})

t.test('lists are taken together: each address once, in one spelling, whoever asks', async t => {
  const { block, ended } = wanted({
    sshd: [{ ip: '203.0.113.1' }, { ip: '2001:DB8:0:0::1' }, { ip: '198.51.100.77/24' }],
    nginx: [{ ip: '203.0.113.1' }, { ip: '::ffff:203.0.113.1' }, { ip: '2001:db8::1/128' }],
    dovecot: [{ ip: '203.0.113.1', active: false, pending: true }]
  })
  t.strictSame(block, ['203.0.113.1', '2001:db8::1', '198.51.100.0/24'])
  t.strictSame(ended, ['203.0.113.1'], 'one list lets it in; another wants it blocked all the same')
})

t.test('what is no address is skipped and told, without its control characters', async t => {
  const texts = [
    'localhost',
    '1.2.3',
    '0x7f.1',
    '203.0.113.1/33',
    'fe80::1%eth0',
    ' 203.0.113.1',
    '1.2.3.4;x'
  ]
  const { block, skipped } = wanted([...texts.map(ip => ({ ip })), { ip: 'a\u001b[31m\nb' }])
  t.strictSame(block, [])
  t.strictSame(
    skipped.map(({ ip, reason }) => `${ip}: ${reason}`),
    [...texts, 'a\ufffd[31m\ufffdb'].map(text => `${text}: not an address`)
  )
  t.strictSame(wanted([{ ip: 'nonsense', active: false, pending: true }]), {
    block: [],
    ended: [],
    skipped: []
  })
})

t.test('over-wide networks are refused, the widest that may be is not', async t => {
  const rows = [
    ['0.0.0.0/0', 'wider than /8'],
    ['32.0.0.0/7', 'wider than /8'],
    ['::/0', 'wider than /19'],
    ['2000::/3', 'wider than /19'],
    ['2001:c000::/18', 'wider than /19'],
    ['::ffff:0:0/96', 'wider than /8']
  ] as const
  for (const [ip, reason] of rows) {
    const { block, skipped } = wanted([{ ip }])
    t.strictSame(block, [], ip)
    t.match(skipped, [{ list: 'sshd.blocklist.json', reason: new RegExp(`^${reason}, `) }], ip)
  }
  const allowed = ['32.0.0.0/8', '2001:e000::/19', '203.0.113.1', '2001:db8::1']
  t.strictSame(wanted(allowed.map(ip => ({ ip }))).block, allowed)
  const strict = guardOf([], [], [], { 4: 32, 6: 128 })
  const narrow = wanted([{ ip: '203.0.113.0/31' }, { ip: '203.0.113.1' }, { ip: '2001:db8::/127' }], strict)
  t.strictSame(narrow.block, ['203.0.113.1'])
  t.equal(narrow.skipped.length, 2)
})

t.test('a protected address is skipped, and so is every network that meets it, with the reason', async t => {
  const guard = guardOf(
    [address('192.0.2.10'), address('2001:db8:1::10')],
    [address('198.51.100.80')],
    [address('203.0.113.64/26'), address('2001:db8:2::/48')],
    WIDEST
  )
  const rows = [
    ['127.0.0.1', 'meets 127.0.0.0/8: a loopback address'],
    ['127.1.2.3', 'meets 127.0.0.0/8: a loopback address'],
    ['127.0.0.0/8', 'a loopback address'],
    ['::1', 'a loopback address'],
    ['::/32', 'meets ::1: a loopback address'],
    ['::ffff:127.0.0.1', 'meets 127.0.0.0/8: a loopback address'],
    ['0.0.0.0', 'not the address of anybody'],
    ['::', 'not the address of anybody'],
    ['192.0.2.10', "this host's own address"],
    ['192.0.2.0/24', "meets 192.0.2.10: this host's own address"],
    ['::ffff:192.0.2.10', "this host's own address"],
    ['2001:DB8:1:0:0:0:0:10', "this host's own address"],
    ['2001:db8:1::/64', "meets 2001:db8:1::10: this host's own address"],
    ['198.51.100.80', 'the address of the Fail2Ban-Report server'],
    ['198.51.100.0/24', 'meets 198.51.100.80: the address of the Fail2Ban-Report server'],
    ['203.0.113.64/26', 'on the list of addresses never to block'],
    ['203.0.113.100', 'meets 203.0.113.64/26: on the list of addresses never to block'],
    ['203.0.113.0/24', 'meets 203.0.113.64/26: on the list of addresses never to block'],
    ['2001:db8:2:5::/64', 'meets 2001:db8:2::/48: on the list of addresses never to block']
  ] as const
  for (const [ip, reason] of rows) {
    const { block, skipped } = wanted([{ ip }], guard)
    t.strictSame(block, [], ip)
    t.match(skipped, [{ list: 'sshd.blocklist.json', reason }], ip)
  }
  const beside = ['192.0.2.11', '203.0.113.63', '203.0.113.128', '198.51.100.81', '2001:db8:1::11', '::2']
  t.strictSame(wanted([...rows.map(([ip]) => ({ ip })), ...beside.map(ip => ({ ip }))], guard).block, beside)
})

t.test('letting a protected address in is never refused', async t => {
  const guard = guardOf([address('192.0.2.10')], [], [], WIDEST)
  const { ended, skipped } = wanted([{ ip: '192.0.2.10', active: false, pending: true }], guard)
  t.strictSame({ ended, skipped }, { ended: ['192.0.2.10'], skipped: [] })
})
