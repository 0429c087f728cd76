import { writeFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Step } from '../../../client/cycle/cycle.js'
import { guardOf } from '../../../client/cycle/protect.js'
import { address } from '../../../common/address.js'
import { ProductError } from '../../../common/errors.js'
import { versionOf } from '../../../common/json-file.js'
import { listName } from '../../../common/names.js'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { FakeHost } from './host.js'
import { ownFolder } from '../../support/own-folder.js'

const STEPS: Step[] = ['events', 'asked', 'downloaded', 'applied', 'settled', 'synced-back']
const host = (t: Test) => new FakeHost(ownFolder(t))
const blocked = (ip: string, more: Partial<BlocklistEntry> = {}): BlocklistEntry => ({
  ip,
  active: true,
  pending: true,
  ...more
})
const inForce = (ip: string): BlocklistEntry => ({ ip, active: true, pending: false })
const unblocked = (ip: string): BlocklistEntry => ({ ip, active: false, pending: true })
const away = () => new ProductError('NETWORK', 'ECONNREFUSED')

t.test('a block goes from the server into the firewall and comes back in force; an unblock goes', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1'), blocked('2001:db8::/32')])
  const first = await at.cycle()
  t.strictSame(at.steps, STEPS)
  t.strictSame(at.firewall.blocked, ['2001:db8::/32', '203.0.113.1'])
  t.strictSame(at.server.entries('sshd'), [inForce('203.0.113.1'), inForce('2001:db8::/32')])
  t.match(first, { added: 2, removed: 0, notInForce: 0, failures: [], syncedBack: ['sshd.blocklist.json'] })
  at.server.change('sshd', [unblocked('203.0.113.1'), inForce('2001:db8::/32')])
  const second = await at.cycle()
  t.match(second, { added: 0, removed: 1, failures: [] })
  t.strictSame(at.firewall.blocked, ['2001:db8::/32'])
  t.strictSame(at.server.entries('sshd'), [inForce('2001:db8::/32')])
  t.strictSame([...at.server.flags], [], 'the server has authority again')
  t.strictSame(at.told, [], 'and there was nothing to complain about')
})

t.test('a cycle with nothing to do asks, looks at the firewall, and sends nothing', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  await at.cycle()
  at.server.calls.length = 0
  at.firewall.batches.length = 0
  const result = await at.cycle()
  t.strictSame(at.server.calls, ['ask'])
  t.strictSame(at.firewall.batches, [{ add: [], remove: [] }], 'apply mends a broken frame even so')
  t.match(result, { added: 0, removed: 0, downloaded: [], syncedBack: [], failures: [] })
  const held = await readFile(at.path('sshd'), 'utf8')
  t.match(at.server.told, { version: 'test', have: /^sshd\.blocklist\.json=[0-9a-f]{64}$/ })
  t.equal(held, at.server.lists.get('sshd.blocklist.json'), 'both sides hold the same bytes')
})

t.test('a cycle killed after any step is healed by the next one', async t => {
  for (const step of STEPS) {
    const at = new FakeHost(ownFolder(t, {}))
    await rm(at.dir, { recursive: true })
    at.server.change('sshd', [blocked('203.0.113.1'), blocked('203.0.113.2')])
    at.server.change('nginx', [blocked('203.0.113.2')])
    await at.cycle()
    at.server.change('sshd', [unblocked('203.0.113.1'), unblocked('203.0.113.2'), blocked('203.0.113.3')])
    let uploaded = 0
    at.days = [
      {
        name: 'fail2ban-events-20260301.json',
        text: '[]',
        uploaded: async () => {
          uploaded++
          at.days = []
        }
      }
    ]
    await t.rejects(at.cycle(step), { message: 'killed here' }, step)
    const { failures } = await at.cycle()
    t.strictSame(failures, [], step)
    t.strictSame(at.firewall.blocked, ['203.0.113.2', '203.0.113.3'], `${step}: nginx still wants .2`)
    t.strictSame(at.server.entries('sshd'), [inForce('203.0.113.3')], step)
    t.strictSame(at.server.entries('nginx'), [inForce('203.0.113.2')], step)
    t.strictSame([...at.server.flags], [], `${step}: nothing is handed out any more`)
    t.equal(uploaded, 1, `${step}: a day is sent once`)
    t.equal(await readFile(at.path('sshd'), 'utf8'), at.server.lists.get('sshd.blocklist.json'), step)
    at.firewall.batches.length = 0
    t.match(await at.cycle(), { added: 0, removed: 0, syncedBack: [] }, `${step}: and then there is rest`)
  }
})

t.test('drift of what is ours is repaired in both directions, and nothing else is touched', async t => {
  const at = host(t)
  at.server.change('sshd', [
    blocked('203.0.113.1'),
    blocked('203.0.113.2'),
    { ip: '203.0.113.8', active: false }
  ])
  await at.cycle()
  at.firewall.own.clear()
  at.firewall.hold('203.0.113.1', '203.0.113.7', '203.0.113.8')
  at.firewall.alike.add(address('198.51.100.1'))
  at.firewall.alike.add(address('203.0.113.2'))
  at.server.calls.length = 0
  t.match(await at.cycle(), { added: 0, removed: 2, notInForce: 0 })
  t.strictSame([...at.firewall.own], ['203.0.113.1'], "another hand's block of .2 will do")
  t.strictSame([...at.firewall.alike], ['198.51.100.1', '203.0.113.2'])
  t.strictSame(at.server.calls, ['ask'], 'the lists are as they were')
  at.firewall.alike.delete(address('203.0.113.2'))
  t.match(await at.cycle(), { added: 1, removed: 0 })
  t.strictSame([...at.firewall.own], ['203.0.113.1', '203.0.113.2'])
  at.server.change('sshd', [unblocked('198.51.100.1'), inForce('203.0.113.1'), inForce('203.0.113.2')])
  await at.cycle()
  t.strictSame([...at.firewall.alike], [], 'asked for by name, another hand’s block goes')
})

t.test(
  'while it is not known who is never blocked, nothing new is blocked and nothing is let in for it',
  async t => {
    const at = host(t)
    at.server.change('sshd', [blocked('203.0.113.1'), blocked('198.51.100.0/24'), blocked('192.0.2.1')])
    await at.cycle()
    const known = at.guard
    at.guard = { ...known, unsure: 'EACCES' }
    at.server.change('sshd', [blocked('203.0.113.0/24'), blocked('198.51.100.7'), unblocked('192.0.2.1')])
    t.match(await at.cycle(), { added: 0, removed: 1, failures: [/nothing new is blocked: EACCES/] })
    t.strictSame(at.firewall.blocked, ['198.51.100.0/24', '203.0.113.1'])
    t.match(at.server.entries('sshd'), [{ pending: true }, { pending: false }], 'the wider one still holds')
    at.guard = known
    t.match(await at.cycle(), { added: 2, removed: 2, failures: [] })
    t.strictSame(at.firewall.blocked, ['198.51.100.7', '203.0.113.0/24'])
  }
)

t.test('an expired block leaves the firewall, and its entry stays as it is', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1', { expires: '2026-03-01T13:00:00Z' })])
  await at.cycle()
  t.strictSame(at.firewall.blocked, ['203.0.113.1'])
  at.now = Date.parse('2026-03-01T13:00:00Z')
  t.match(await at.cycle(), { removed: 1, notInForce: 0 })
  t.strictSame(at.firewall.blocked, [])
  t.strictSame(at.server.entries('sshd'), [
    { ip: '203.0.113.1', active: true, pending: false, expires: '2026-03-01T13:00:00Z' }
  ])
  t.match(await at.cycle(), { added: 0, removed: 0, syncedBack: [] })
})

t.test(
  'own addresses, the server, the whitelist and loopback are skipped, told, and stay pending',
  async t => {
    const at = host(t)
    at.guard = guardOf([address('192.0.2.10')], [address('192.0.2.80')], [address('198.51.100.0/24')], {
      4: 8,
      6: 19
    })
    const refused = ['127.0.0.1', '192.0.2.10', '192.0.2.80', '198.51.100.7', '0.0.0.0/0', '::1', 'nonsense']
    at.server.change('sshd', [...refused.map(ip => blocked(ip)), blocked('203.0.113.1')])
    const result = await at.cycle()
    t.strictSame(at.firewall.blocked, ['203.0.113.1'])
    t.strictSame(
      result.skipped.map(({ ip }) => ip),
      refused
    )
    t.equal(result.notInForce, refused.length)
    t.strictSame(
      at.told.map(({ level, event, ip }) => [level, event, ip]),
      refused.map(ip => ['warn', 'skipped', ip])
    )
    t.ok(at.told.every(({ reason }) => typeof reason === 'string' && reason !== ''))
    t.strictSame(at.server.entries('sshd'), [...refused.map(ip => blocked(ip)), inForce('203.0.113.1')])
  }
)

t.test('a block that became protected is taken out of the firewall', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.0/24'), blocked('198.51.100.1')])
  await at.cycle()
  at.guard = guardOf([], [address('203.0.113.80')], [], { 4: 8, 6: 19 })
  await at.cycle()
  t.strictSame(at.firewall.blocked, ['198.51.100.1'])
  t.strictSame(at.server.entries('sshd'), [blocked('203.0.113.0/24'), inForce('198.51.100.1')])
})

t.test('what the firewall can not hold is left out with the reason; the rest is applied', async t => {
  const at = host(t)
  at.firewall.impossible.set('2001:db8::1', 'ip6tables is not there')
  at.server.change('sshd', [blocked('2001:db8::1'), blocked('203.0.113.1')])
  t.match(await at.cycle(), { added: 1, notInForce: 1, failures: [] })
  t.strictSame(at.told, [
    { level: 'warn', event: 'cannot_block', ip: '2001:db8::1', reason: 'ip6tables is not there' }
  ])
  t.strictSame(at.server.entries('sshd'), [blocked('2001:db8::1'), inForce('203.0.113.1')])
})

t.test(
  'a block that is not there when the firewall is read back stays pending, and that is told',
  async t => {
    const at = host(t)
    at.firewall.vanish.add('203.0.113.1')
    at.server.change('sshd', [blocked('203.0.113.1'), blocked('203.0.113.2')])
    at.server.change('nginx', [inForce('203.0.113.1')])
    t.match(await at.cycle(), { added: 2, notInForce: 2 })
    t.strictSame(at.server.entries('sshd'), [blocked('203.0.113.1'), inForce('203.0.113.2')])
    t.strictSame(at.server.entries('nginx'), [blocked('203.0.113.1')], 'what the server took for done is not')
    t.match(at.told, [{ level: 'warn', event: 'not_in_force', ip: '203.0.113.1', reason: /read back/ }])
    t.equal(at.told.length, 1, 'once, however many lists ask for it')
    at.firewall.vanish.clear()
    await at.cycle()
    t.strictSame(at.server.entries('sshd'), [inForce('203.0.113.1'), inForce('203.0.113.2')])
  }
)

t.test('an unblock that another hand’s wider block undoes waits, and that is told', async t => {
  const at = host(t)
  at.firewall.alike.add(address('203.0.113.0/24'))
  at.server.change('sshd', [unblocked('203.0.113.1')])
  await at.cycle()
  t.strictSame(at.firewall.blocked, ['203.0.113.0/24'])
  t.strictSame(at.server.entries('sshd'), [unblocked('203.0.113.1')])
  t.match(at.told, [{ level: 'warn', event: 'still_blocked', ip: '203.0.113.1' }])
})

t.test('a firewall that fails ends the cycle, and nothing is said to be in force', async t => {
  const at = host(t)
  at.firewall.fault = new ProductError('FIREWALL', 'nft: no')
  at.server.change('sshd', [blocked('203.0.113.1')])
  await t.rejects(at.cycle(), { code: 'FIREWALL' })
  t.strictSame(at.server.entries('sshd'), [blocked('203.0.113.1')])
  t.strictSame(JSON.parse(await readFile(at.path('sshd'), 'utf8')), [blocked('203.0.113.1')])
  at.firewall.fault = undefined
  await at.cycle()
  t.strictSame(at.server.entries('sshd'), [inForce('203.0.113.1')])
})

t.test('a lock that was lost stops the cycle before it touches the firewall', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  at.lockFault = new ProductError('LOCK_LOST')
  await t.rejects(at.cycle(), { code: 'LOCK_LOST' })
  t.strictSame(at.firewall.batches, [])
})

t.test('a server that is away is told, and the firewall is kept in line with the lists at hand', async t => {
  const at = host(t)
  at.server.change('sshd', [
    blocked('203.0.113.1'),
    blocked('203.0.113.2', { expires: '2026-03-01T13:00:00Z' })
  ])
  await at.cycle()
  at.server.failing.set('ask', away())
  at.firewall.own.clear()
  at.firewall.hold('203.0.113.9')
  at.now = Date.parse('2026-03-01T14:00:00Z')
  const { failures } = await at.cycle()
  t.match(failures, [/could not be reached/])
  t.strictSame(at.firewall.blocked, ['203.0.113.1'])
})

t.test('days are sent in order; one that is refused does not keep the others back', async t => {
  const at = host(t)
  const noted: string[] = []
  at.days = ['20260227', '20260228', '20260301'].map(day => ({
    name: `fail2ban-events-${day}.json`,
    text: `["${day}"]`,
    uploaded: () => Promise.resolve(void noted.push(day))
  }))
  at.server.failing.set('upload fail2ban-events-20260228.json', new ProductError('REFUSED', '400 bad'))
  const result = await at.cycle()
  t.match(result, { newEvents: 3, uploadedDays: 2, failures: [/400 bad/] })
  t.strictSame(noted, ['20260227', '20260301'], 'only what the server took is noted as sent')
  t.strictSame(at.steps, STEPS, 'and the cycle goes on')
  at.server.failing.clear()
  at.server.failing.set('upload', away())
  at.server.calls.length = 0
  t.match(await at.cycle(), { uploadedDays: 0, failures: [/reached/] })
  t.strictSame(at.server.calls, ['upload fail2ban-events-20260227.json', 'ask'], 'one look is enough')
})

t.test('a log that can not be read is told, and blocks are handled all the same', async t => {
  const at = host(t)
  at.collectFault = new ProductError('CONFIG', 'no log')
  at.server.change('sshd', [blocked('203.0.113.1')])
  t.match(await at.cycle(), { failures: [/no log/], added: 1 })
  at.collectFault = new ProductError('DISK', 'full')
  await t.rejects(at.cycle(), { code: 'DISK' })
})

t.test('a bad list from the server is refused: the old copy and its blocks stay', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  await at.cycle()
  for (const text of ['<html>', '[{"ip":', '{"ip":"1.2.3.4"}', '[{"ip":7}]', '']) {
    at.server.change('sshd', text)
    at.server.change('nginx', [blocked('203.0.113.2')])
    const result = await at.cycle()
    t.match(result.failures, [/the server sent a bad sshd\.blocklist\.json/], text)
    t.strictSame(result.downloaded, ['nginx.blocklist.json'], 'the other one is taken')
    t.strictSame(at.firewall.blocked, ['203.0.113.1', '203.0.113.2'])
    t.strictSame(JSON.parse(await readFile(at.path('sshd'), 'utf8')), [inForce('203.0.113.1')])
  }
})

t.test('one list that can not be fetched or is not handed out does not keep the others back', async t => {
  const at = host(t)
  for (const jail of ['a', 'b', 'c']) at.server.change(jail, [blocked(`203.0.113.${jail.charCodeAt(0)}`)])
  at.server.failing.set('download a.blocklist.json', new ProductError('REFUSED', '500 oops'))
  at.server.lies = { updates: [listName('ghost.blocklist.json')] }
  const result = await at.cycle()
  t.strictSame(result.downloaded, ['b.blocklist.json', 'c.blocklist.json'])
  t.match(result.failures, [/500 oops/])
  t.match(
    at.told.filter(({ level }) => level === 'warn'),
    [{ event: 'not_handed_out', list: 'ghost.blocklist.json' }]
  )
  at.server.failing.clear()
  t.strictSame((await at.cycle()).downloaded, ['a.blocklist.json'])
})

t.test('a corrupt copy is set aside and fetched again; its blocks stay meanwhile', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  at.server.change('nginx', [blocked('203.0.113.2')])
  await at.cycle()
  await writeFile(at.path('sshd'), '[{"ip":')
  const healed = await at.cycle()
  t.strictSame(at.aside.length, 1)
  t.strictSame(healed.downloaded, ['sshd.blocklist.json'])
  t.strictSame(healed.removed, 0)
  t.strictSame(JSON.parse(await readFile(at.path('sshd'), 'utf8')), [inForce('203.0.113.1')])
  await writeFile(at.path('sshd'), 'x')
  at.server.failing.set('ask', away())
  at.firewall.hold('203.0.113.9')
  at.now += 1000
  const alone = await at.cycle()
  t.match(alone.failures, [/reached/, /copy of sshd\.blocklist\.json is gone/])
  t.strictSame(at.firewall.blocked, ['203.0.113.1', '203.0.113.2', '203.0.113.9'], 'nobody is let in by that')
  at.server.failing.clear()
  t.strictSame((await at.cycle()).failures, [])
  t.strictSame(at.firewall.blocked, ['203.0.113.1', '203.0.113.2'])
})

t.test('while a list is missing, what is asked to go goes, and so does what must not be blocked', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1'), blocked('198.51.100.7')])
  at.server.change('nginx', [blocked('203.0.113.2')])
  await at.cycle()
  await rm(at.path('sshd'))
  await writeFile(at.path('nginx'), JSON.stringify([unblocked('203.0.113.2')]))
  at.server.failing.set('ask', away())
  at.guard = guardOf([address('198.51.100.7')], [], [], { 4: 8, 6: 19 })
  await at.cycle()
  t.strictSame(at.firewall.blocked, ['203.0.113.1'])
})

t.test('while a list is missing, a wider block takes the place of a narrower one', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1'), blocked('2001:db8::1')])
  at.server.change('nginx', [])
  await at.cycle()
  await rm(at.path('sshd'))
  await writeFile(at.path('nginx'), JSON.stringify([blocked('203.0.113.0/24')]))
  at.server.failing.set('ask', away())
  await at.cycle()
  t.strictSame(at.firewall.blocked, ['2001:db8::1', '203.0.113.0/24'], 'no firewall holds two that overlap')
})

t.test('a state folder that was lost lets nobody in before the server has answered', async t => {
  const at = host(t)
  at.firewall.hold('203.0.113.1')
  at.server.failing.set('ask', away())
  t.match(await at.cycle(), { removed: 0 })
  at.server.failing.clear()
  at.server.change('sshd', [inForce('203.0.113.1')])
  t.match(await at.cycle(), { added: 0, removed: 0, failures: [] })
  t.strictSame(at.firewall.blocked, ['203.0.113.1'])
})

t.test('with an old server a missing list keeps its blocks until it is handed out again', async t => {
  const at = host(t)
  at.server.old = true
  at.server.change('sshd', [blocked('203.0.113.1')])
  await at.cycle()
  await rm(at.path('sshd'))
  t.match(await at.cycle(), { removed: 0, failures: [/is gone/] })
  at.server.change('sshd', [inForce('203.0.113.1'), blocked('203.0.113.2')])
  t.match(await at.cycle(), { added: 1, removed: 0, failures: [] })
})

t.test('a list that the server lost is sent to it, and one the host never had is not made up', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  await at.cycle()
  const text = at.server.lists.get('sshd.blocklist.json')
  at.server.lists.clear()
  at.server.lies = { restore: [listName('ghost.blocklist.json')] }
  at.server.failing.set(
    'upload ghost.blocklist.json',
    new ProductError('REFUSED', '400 Invalid JSON in upload.')
  )
  await at.cycle()
  t.equal(at.server.lists.get('sshd.blocklist.json'), text)
  t.strictSame([...at.server.lists.keys()], ['sshd.blocklist.json'])
  t.strictSame(at.firewall.blocked, ['203.0.113.1'])
})

t.test('what is not taken back is told, and sent again by the next cycle', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  at.server.change('nginx', [blocked('203.0.113.2')])
  at.server.refuses.set('sshd.blocklist.json', 'entry 1: no')
  const result = await at.cycle()
  t.strictSame(result.syncedBack, ['nginx.blocklist.json'])
  t.match(result.failures, ['sshd.blocklist.json was not taken back: entry 1: no'])
  at.server.refuses.clear()
  t.strictSame((await at.cycle()).syncedBack, ['sshd.blocklist.json'])
  t.strictSame(at.server.entries('sshd'), [inForce('203.0.113.1')])
})

t.test('a sync-back that never arrives is made up for by the next cycle', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1')])
  at.server.failing.set('syncback', away())
  t.match(await at.cycle(), { failures: [/reached/], added: 1 })
  t.strictSame(at.server.entries('sshd'), [blocked('203.0.113.1')])
  at.server.failing.clear()
  await at.cycle()
  t.strictSame(at.server.entries('sshd'), [inForce('203.0.113.1')])
  t.strictSame([...at.server.flags], [])
})

t.test('many lists go back in batches', async t => {
  const at = host(t)
  for (let n = 0; n < 120; n++) at.server.change(`jail-${n}`, [blocked('203.0.113.1')])
  const result = await at.cycle()
  const batches = at.server.calls.filter(call => call.startsWith('syncback'))
  t.strictSame(
    batches.map(call => call.split(' ').length - 1),
    [50, 50, 20]
  )
  t.equal(result.syncedBack.length, 120)
})

t.test('an error that nobody foresaw is not swallowed', async t => {
  const at = host(t)
  const error = new TypeError('a mistake of ours')
  at.server.failing.set('ask', error)
  await t.rejects(at.cycle(), error)
  t.strictSame(at.steps, ['events'])
})

t.test('what had gone from the firewall, or stood there unasked, is drift; what changed is not', async t => {
  const at = host(t)
  at.server.change('sshd', [blocked('203.0.113.1'), blocked('203.0.113.2'), blocked('198.51.100.0/24')])
  t.match(await at.cycle(), { added: 3, drift: { putBack: 0, strays: 0 }, inForce: { 4: 3, 6: 0 } })
  t.match(await at.cycle(), { added: 0, drift: { putBack: 0, strays: 0 } })

  at.firewall.own.delete(address('203.0.113.1'))
  at.firewall.hold('192.0.2.66', '2001:db8::66')
  at.server.change('sshd', [
    inForce('203.0.113.1'),
    unblocked('203.0.113.2'),
    inForce('198.51.100.0/24'),
    blocked('2001:db8::1')
  ])
  const repaired = await at.cycle()
  t.match(repaired, { added: 2, removed: 3, drift: { putBack: 1, strays: 2 }, inForce: { 4: 2, 6: 1 } })

  // Behind the wider block it was never there itself; and a wider one takes its place.
  at.server.change('sshd', [
    inForce('203.0.113.1'),
    unblocked('198.51.100.0/24'),
    inForce('198.51.100.7'),
    blocked('2001:db8::/32'),
    inForce('2001:db8::1')
  ])
  t.match(await at.cycle(), { added: 2, removed: 2, drift: { putBack: 0, strays: 0 } })

  at.firewall.own.delete(address('203.0.113.1'))
  at.firewall.vanish.add('203.0.113.1')
  t.match(await at.cycle(), { drift: { putBack: 0, strays: 0 }, notInForce: 1 }, 'it must have come back')
})

for (const [what, call, takes] of [
  ['a day is sent', 'upload', 0],
  ['the server takes its time to answer', 'ask', 5000],
  ['a list comes slowly', 'download', 5000]
] as const) {
  t.test(`blocks that go while ${what} are put back, and not told to be in force`, async t => {
    const host = new FakeHost(ownFolder(t))
    host.server.change('sshd', [{ ip: '203.0.113.1', active: true, pending: false }])
    host.firewall.hold('203.0.113.1')
    await host.cycle()
    host.days = [{ name: 'fail2ban-events-20260301.json', text: '[]', uploaded: async () => undefined }]
    host.server.change('sshd', [{ ip: '203.0.113.1', active: true, pending: true }])
    // As by a person's `systemctl restart nftables`.
    host.server.during.set(call, () => {
      host.firewall.own.clear()
      host.now += takes
    })
    t.match(await host.cycle(), { added: 1, notInForce: 0, inForce: { 4: 1 } })
    t.strictSame(host.firewall.blocked, ['203.0.113.1'])
  })
}

for (const [what, spoil] of [
  [
    'other bytes than were written, as a disk may give them',
    async (host: FakeHost) => {
      const [path, memory] = [host.path('sshd'), join(host.dir, 'known-lists.json')]
      const before = await versionOf(path)
      await writeFile(path, '\0'.repeat(100))
      const text = await readFile(memory, 'utf8')
      t.match(text, before)
      // For a disk's own fault nothing of a file's name, size and times changes.
      await writeFile(memory, text.replace(before, await versionOf(path)))
    }
  ],
  [
    'half a file, written while the server was asked',
    async (host: FakeHost) => void host.server.during.set('ask', () => writeFileSync(host.path('sshd'), '['))
  ]
] as const) {
  t.test(
    `a copy that the server was told of, and that turns out to be corrupt, lets nobody in: ${what}`,
    async t => {
      const host = new FakeHost(ownFolder(t))
      host.server.change('sshd', [{ ip: '203.0.113.1', active: true, pending: true }])
      await host.cycle()
      await host.cycle()
      await spoil(host)
      t.match(await host.cycle(), { removed: 0, failures: [/sshd.blocklist.json is gone/] })
      t.strictSame(host.firewall.blocked, ['203.0.113.1'])
      t.equal(host.aside.length, 1)
      host.server.during.clear()
      t.match(await host.cycle(), { downloaded: ['sshd.blocklist.json'], removed: 0, failures: [] })
      t.strictSame(host.firewall.blocked, ['203.0.113.1'])
    }
  )
}
