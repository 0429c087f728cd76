import t from 'tap'
import { settle } from '../../../client/cycle/settle.js'
import { AddressSet, address } from '../../../common/address.js'
import type { BlocklistEntry } from '../../../common/shapes.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const PAST = '2026-03-01T11:00:00Z'

const settled = (list: BlocklistEntry[], inForce: string[] = [], elsewhere: string[] = []) => {
  const [blocks, others] = [inForce, elsewhere].map(texts => new AddressSet(texts.map(address)))
  return settle(
    list,
    ip => blocks?.covering(ip) !== undefined,
    ip => others?.covering(ip) !== undefined,
    NOW
  )
}

t.test('each entry tells what the firewall shows', async t => {
  const rows: [
    string,
    Omit<BlocklistEntry, 'ip'>,
    'in force' | 'not',
    Omit<BlocklistEntry, 'ip'> | 'gone'
  ][] = [
    [
      'a block in force is no longer pending',
      { active: true, pending: true },
      'in force',
      { active: true, pending: false }
    ],
    [
      'a block that is not stays pending',
      { active: true, pending: true },
      'not',
      { active: true, pending: true }
    ],
    [
      'a block that went is pending again',
      { active: true, pending: false },
      'not',
      { active: true, pending: true }
    ],
    ['an old entry in force stays as it is', {}, 'in force', {}],
    ['an old entry not in force becomes pending', {}, 'not', { pending: true }],
    ['an unblock that was done goes', { active: false, pending: true }, 'not', 'gone'],
    [
      'an unblock that was not done waits',
      { active: false, pending: true },
      'in force',
      { active: false, pending: true }
    ],
    ['history stays', { active: false, pending: false }, 'not', { active: false, pending: false }],
    ['history of an old list stays', { active: false }, 'in force', { active: false }],
    [
      'an expired block stays as it is',
      { active: true, pending: false, expires: PAST },
      'not',
      { active: true, pending: false, expires: PAST }
    ],
    ['an expired unblock goes', { active: false, pending: true, expires: PAST }, 'not', 'gone']
  ]
  for (const [name, fields, state, expected] of rows) {
    const { list, notInForce, notLetIn } = settled(
      [{ ip: '203.0.113.1', ...fields }],
      state === 'in force' ? ['203.0.113.1'] : []
    )
    t.strictSame(list, expected === 'gone' ? [] : [{ ip: '203.0.113.1', ...expected }], name)
    const missing = state === 'not' && fields.active !== false && fields.expires === undefined
    t.strictSame(notLetIn, name === 'an unblock that was not done waits' ? ['203.0.113.1'] : [], name)
    t.strictSame(notInForce, missing ? ['203.0.113.1'] : [], name)
  }
})

t.test('a list in which nothing changed is the very same array', async t => {
  const list: BlocklistEntry[] = [
    { ip: '203.0.113.1', active: true, pending: false },
    { ip: '203.0.113.2' },
    { ip: '203.0.113.3', active: true, pending: true },
    { ip: '203.0.113.4', active: false }
  ]
  const done = settled(list, ['203.0.113.1', '203.0.113.2'])
  t.equal(done.list, list)
  t.strictSame(done.notInForce, ['203.0.113.3'])
})

t.test('other entries, their order and their fields are kept, and the list given is not altered', async t => {
  const list = [
    { ip: '203.0.113.1', active: true, pending: true, reason: 'why', tags: ['a'], note: { of: 'ours' } },
    { ip: '203.0.113.2', active: false, pending: true },
    { ip: '2001:DB8::1', active: true, pending: true, lastModified: '2026-03-01T00:00:00+00:00' }
  ]
  const before = structuredClone(list)
  t.strictSame(settled(list, ['203.0.113.0/24', '2001:db8::/32'], ['203.0.113.0/24']).list, [
    { ip: '203.0.113.1', active: true, pending: false, reason: 'why', tags: ['a'], note: { of: 'ours' } },
    { ip: '2001:DB8::1', active: true, pending: false, lastModified: '2026-03-01T00:00:00+00:00' }
  ])
  t.strictSame(list, before)
})

t.test('an unblock is done for its list when only another list still asks for the block', async t => {
  const unblock: BlocklistEntry[] = [{ ip: '203.0.113.1', active: false, pending: true }]
  t.strictSame(settled(unblock, ['203.0.113.1'], ['203.0.113.1']).list, [])
  t.strictSame(settled(unblock, ['203.0.113.0/24'], ['203.0.113.0/24']).list, [])
  t.equal(settled(unblock, ['203.0.113.0/24'], ['203.0.113.2']).list, unblock)
})

t.test('a network counts as in force only when all of it is', async t => {
  const list: BlocklistEntry[] = [{ ip: '203.0.113.0/24', active: true, pending: true }]
  t.equal(settled(list, ['203.0.113.0/25', '203.0.113.128/26']).list, list)
  t.match(settled(list, ['203.0.0.0/16']).list, [{ pending: false }])
})

t.test('what is no address stays pending while active, and goes once it is to go', async t => {
  t.strictSame(settled([{ ip: 'nonsense' }]), {
    list: [{ ip: 'nonsense', pending: true }],
    notInForce: ['nonsense'],
    notLetIn: []
  })
  t.strictSame(settled([{ ip: 'nonsense', active: false, pending: true }]).list, [])
})
