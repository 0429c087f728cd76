import { mkdir, writeFile } from 'node:fs/promises'
import t from 'tap'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { countStates } from '../../../server/api/list-counts.js'
import { testApp, type TestApp } from '../../support/app.js'

const ENTRIES: BlocklistEntry[] = [
  { ip: '203.0.113.1' },
  { ip: '203.0.113.2', active: true, pending: true },
  { ip: '203.0.113.3', active: false, pending: true },
  { ip: '203.0.113.4', active: true, pending: false, expires: '2026-03-01T12:10:00+00:00' },
  { ip: '203.0.113.5', active: true, pending: false, expires: '2026-02-01T00:00:00+00:00' },
  { ip: '203.0.113.6', active: false, pending: false },
  { ip: '203.0.113.7', active: true, pending: true, expires: '2026-02-01T00:00:00+00:00' }
]
const EVENT = { timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip: '203.0.113.7', jail: 'sshd' }

const writeDay = async (at: TestApp, day: string, text: string) => {
  await mkdir(at.path('archive', 'web-1', 'fail2ban'), { recursive: true })
  await writeFile(at.path('archive', 'web-1', 'fail2ban', `fail2ban-events-${day}.json`), text)
}

t.test('each entry is counted in exactly one state', t => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  const counts = { active: 2, pendingBlock: 1, pendingUnblock: 2, expired: 1, inactive: 1 }
  t.strictSame(countStates(ENTRIES, now), counts)
  t.strictSame(countStates(ENTRIES, now + 600_000), { ...counts, active: 1, expired: 2 })
  t.strictSame(countStates([], now), {
    active: 0,
    pendingBlock: 0,
    pendingUnblock: 0,
    expired: 0,
    inactive: 0
  })
  t.end()
})

t.test('GET /api/servers tells of each server, its host and its lists', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  t.strictSame((await at.get('/api/servers', alice)).json(), {
    success: true,
    time: '2026-03-01T12:00:00.000+00:00',
    today: '20260301',
    servers: ['db-1', 'web-1'].map(name => ({ name, host: {}, lists: [], setAside: [] })),
    setAside: []
  })
  await at.writeList('web-1', 'sshd', ENTRIES)
  await at.writeList('web-1', 'nginx-http-auth', [])
  await at.writeList('web-1', 'broken', [])
  await writeFile(at.path('archive', 'web-1', 'blocklists', 'broken.blocklist.json'), '[{"ip":')
  const host = {
    lastSeen: '2026-03-01T11:59:00.000+00:00',
    version: '1.0.0',
    firewall: 'nftables',
    addresses: ['192.0.2.1']
  }
  await writeFile(at.path('archive', 'web-1', 'host.json'), JSON.stringify(host))
  const index = { 'web-1': { 'sshd.blocklist.json': false, 'nginx-http-auth.blocklist.json': true } }
  await writeFile(at.path('archive', 'update.json'), JSON.stringify(index))
  const none = { active: 0, pendingBlock: 0, pendingUnblock: 0, expired: 0, inactive: 0 }
  const ask = async () => {
    const { servers } = (await at.get('/api/servers', alice)).json<{
      servers: { name: string; lists: Record<string, unknown>[]; setAside: string[] }[]
    }>()
    return servers.find(server => server.name === 'web-1')!
  }
  await ask()
  const web = await ask()
  t.match(web, { host, setAside: [/^broken\.blocklist\.json\.corrupt-/] })
  t.strictSame(web.lists, [
    { jail: 'nginx-http-auth', list: 'nginx-http-auth.blocklist.json', update: 'waits', ...none },
    {
      jail: 'sshd',
      list: 'sshd.blocklist.json',
      update: 'handed-out',
      active: 2,
      pendingBlock: 1,
      pendingUnblock: 2,
      expired: 1,
      inactive: 1
    }
  ])
  const { lists } = at.app.store
  const read = lists.read.bind(lists)
  let reads = 0
  lists.read = (...list) => (reads++, read(...list))
  t.match((await ask()).lists[1], { active: 2 })
  t.equal(reads, 0, 'what has not changed is not counted again')
  at.clock.now += 10 * 60_000
  t.match((await ask()).lists[1], { active: 1, expired: 2 }, 'but an end that has come counts')
  await at.writeList('web-1', 'sshd', ENTRIES.slice(0, 1))
  t.match((await ask()).lists[1], { active: 1, expired: 0 }, 'and so does an edit by other hands')
})

t.test('one server whose files cannot be read does not hide the others', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await mkdir(at.path('archive', 'db-1', 'host.json'), { recursive: true })
  const reply = await at.get('/api/servers', alice)
  t.equal(reply.statusCode, 200)
  t.match(reply.json(), {
    servers: [
      { name: 'db-1', problem: /host\.json/ },
      { name: 'web-1', lists: [] }
    ]
  })
})

t.test(
  'GET /api/blocklists gives a list as it stands in the file, and 304 while it does not change',
  async t => {
    const at = await testApp(t)
    const alice = await at.login()
    const extra = [...ENTRIES, { ip: '2001:db8::1', reason: '<b>"quotes"</b>', note: 'kept' }]
    await at.writeList('web-1', 'sshd', extra)
    const url = '/api/blocklists?server=web-1&jail=sshd'
    const reply = await at.get(url, alice)
    t.equal(reply.statusCode, 200)
    t.match(reply.headers['content-type'], 'application/json')
    t.equal(reply.headers['cache-control'], 'private, no-cache')
    t.strictSame(reply.json(), { success: true, server: 'web-1', jail: 'sshd', entries: extra })
    const etag = String(reply.headers.etag)
    t.match(etag, /^"[\w-]{27}"$/)
    for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const same = await at.get(url, alice, { 'if-none-match': header })
      t.equal(same.statusCode, 304, header)
      t.equal(same.body, '')
      t.equal(same.headers.etag, etag)
    }
    t.equal((await at.get(url, undefined, { 'if-none-match': etag })).statusCode, 401, 'not without a log-in')
    await at.post('/api/unblock', { servers: ['web-1'], jails: ['sshd'], ips: ['2001:db8::1'] }, alice)
    const changed = await at.get(url, alice, { 'if-none-match': etag })
    t.equal(changed.statusCode, 200)
    t.match(changed.json(), { entries: [...ENTRIES, { note: 'kept', active: false, pending: true }] })
    const rows: [string, number][] = [
      ['/api/blocklists?server=web-1&jail=none', 404],
      ['/api/blocklists?server=nope&jail=sshd', 404],
      ['/api/blocklists?server=web-1', 400],
      ['/api/blocklists?server=web-1&jail=', 400],
      ['/api/blocklists?server=web-1&jail=sshd&x=1', 400],
      ['/api/blocklists?server=web-1&server=db-1&jail=sshd', 400],
      [`/api/blocklists?server=web-1&jail=${'x'.repeat(250)}`, 400]
    ]
    for (const [bad, status] of rows) {
      const refused = await at.get(bad, alice)
      t.equal(refused.statusCode, status, bad.slice(0, 60))
      t.match(refused.json(), { success: false, message: String })
    }
  }
)

t.test('a jail of any name is asked for by its name', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const jail = 'my jail: ünï/../x'
  const done = await at.post('/api/block', { servers: ['web-1'], jails: [jail], ips: ['203.0.113.9'] }, alice)
  t.equal(done.statusCode, 200)
  const reply = await at.get(`/api/blocklists?server=web-1&jail=${encodeURIComponent(jail)}`, alice)
  t.match(reply.json(), { jail, entries: [{ ip: '203.0.113.9', jail }] })
  const { servers } = (await at.get('/api/servers', alice)).json<{
    servers: { lists: { jail: string }[] }[]
  }>()
  t.equal(servers[1]?.lists[0]?.jail, jail)
})

t.test('GET /api/days and /api/events tell what the hosts sent', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  t.strictSame((await at.get('/api/days?server=web-1', alice)).json(), {
    success: true,
    server: 'web-1',
    days: []
  })
  await writeDay(at, '20260301', JSON.stringify([EVENT, { ...EVENT, ip: '2001:db8::1' }]))
  await writeDay(at, '20260228', '[]')
  await writeFile(at.path('archive', 'web-1', 'fail2ban', 'notes.txt'), '')
  t.strictSame((await at.get('/api/days?server=web-1', alice)).json(), {
    success: true,
    server: 'web-1',
    days: ['20260228', '20260301']
  })
  for (const day of ['20260301', '2026-03-01']) {
    const url = `/api/events?server=web-1&day=${day}`
    const reply = await at.get(url, alice)
    t.strictSame(reply.json(), {
      success: true,
      server: 'web-1',
      day: '20260301',
      events: [EVENT, { ...EVENT, ip: '2001:db8::1' }]
    })
    const again = await at.get(url, alice, { 'if-none-match': String(reply.headers.etag) })
    t.equal(again.statusCode, 304)
  }
  const none = await at.get('/api/events?server=web-1&day=20250101', alice)
  t.match(none.json(), { success: true, events: [] })
  const etag = String(none.headers.etag)
  await writeDay(at, '20250101', JSON.stringify([EVENT]))
  const now = await at.get('/api/events?server=web-1&day=20250101', alice, { 'if-none-match': etag })
  t.match(now.json(), { events: [EVENT] })
  const rows: [string, number][] = [
    ['/api/events?server=web-1&day=today', 400],
    ['/api/events?server=web-1&day=2-0-2-6-0301', 400],
    ['/api/events?server=web-1', 400],
    ['/api/events?day=20260301', 400],
    ['/api/events?server=nope&day=20260301', 404],
    ['/api/days', 400],
    ['/api/nothing', 404]
  ]
  for (const [url, status] of rows) t.equal((await at.get(url, alice)).statusCode, status, url)
})
