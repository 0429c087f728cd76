import t from 'tap'
import { address } from '../../../common/address.js'
import { isoTime } from '../../../common/clock.js'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { changeEntries, expireEntries, type EntryChange } from '../../../server/store/entry-changes.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const block = (ip: string): EntryChange => ({
  ip: address(ip),
  want: 'block',
  source: 'manual',
  reason: 'test'
})
const unblock = (ip: string): EntryChange => ({ ip: address(ip), want: 'unblock', source: 'manual' })

t.test('a block adds a whole entry, active and pending', async t => {
  const { list, outcomes } = changeEntries([], 'sshd', [block('1.2.3.4')], NOW, 0)
  t.strictSame(outcomes, ['blocked'])
  t.strictSame(list, [
    {
      ip: '1.2.3.4',
      jail: 'sshd',
      source: 'manual',
      timestamp: isoTime(NOW),
      expires: null,
      reason: 'test',
      active: true,
      lastModified: isoTime(NOW),
      tags: [],
      pending: true
    }
  ])
})

t.test('each wish meets each state', async t => {
  const rows: [Partial<BlocklistEntry> | undefined, EntryChange, string][] = [
    [{}, block('1.2.3.4'), 'already-blocked'],
    [{ active: true, pending: true }, block('1.2.3.4'), 'already-blocked'],
    [{ active: false }, block('1.2.3.4'), 'blocked'],
    [{ active: true, expires: '2026-03-01T11:00:00Z' }, block('1.2.3.4'), 'blocked'],
    [{ active: true, expires: '2026-03-02T11:00:00Z' }, block('1.2.3.4'), 'already-blocked'],
    [{}, unblock('1.2.3.4'), 'unblocked'],
    [{ active: false, pending: true }, unblock('1.2.3.4'), 'already-unblocked'],
    [undefined, unblock('1.2.3.4'), 'not-blocked']
  ]
  for (const [state, wish, outcome] of rows) {
    const before: BlocklistEntry[] = state === undefined ? [] : [{ ip: '1.2.3.4', ...state }]
    const { list, outcomes } = changeEntries(before, 'sshd', [wish], NOW, 0)
    const name = `${wish.want} on ${JSON.stringify(state)}`
    t.strictSame(outcomes, [outcome], name)
    if (outcome === 'blocked' || outcome === 'unblocked') {
      t.match(list[0], { active: wish.want === 'block', pending: true }, name)
    } else t.equal(list, before, `${name} changes nothing`)
  }
})

t.test(
  'a stamp is later than the entry’s own and than the hand-over, even when the clock stepped back',
  async t => {
    const own = isoTime(NOW + 60_000)
    const { list } = changeEntries(
      [{ ip: '1.2.3.4', lastModified: own }],
      'sshd',
      [unblock('1.2.3.4')],
      NOW,
      0
    )
    t.equal(list[0]?.lastModified, isoTime(NOW + 60_001))
    const { list: second } = changeEntries([], 'sshd', [block('1.2.3.4')], NOW, NOW + 5000)
    t.equal(second[0]?.lastModified, isoTime(NOW + 5001))
  }
)

t.test('the same address twice in one request is one entry', async t => {
  const { list, outcomes } = changeEntries([], 'sshd', [block('1.2.3.4'), block('1.2.3.4')], NOW, 0)
  t.equal(list.length, 1)
  t.equal(outcomes[0], 'blocked')
})

t.test('unknown fields of an entry survive a change', async t => {
  const odd = { ip: '1.2.3.4', custom: { a: 1 } } as BlocklistEntry
  const { list } = changeEntries([odd], 'sshd', [unblock('1.2.3.4')], NOW, 0)
  t.match(list[0], { custom: { a: 1 }, active: false })
})

t.test('what has expired becomes an asked-for unblock, the rest stays as it is', async t => {
  const list: BlocklistEntry[] = [
    { ip: '1.1.1.1', expires: '2026-03-01T11:59:59+00:00' },
    { ip: '2.2.2.2', expires: '2026-03-01T12:00:01+00:00' },
    { ip: '3.3.3.3', expires: 'never' },
    { ip: '4.4.4.4' }
  ]
  const next = expireEntries(list, NOW, 0)
  t.match(next[0], { active: false, pending: true, lastModified: isoTime(NOW) })
  t.strictSame(next.slice(1), list.slice(1))
  t.equal(expireEntries(list.slice(1), NOW, 0).length, 3)
})
