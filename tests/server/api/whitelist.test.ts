import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { testApp, type TestApp } from '../../support/app.js'

const HOST = { kind: 'client', name: 'web-1', from: '192.0.2.10' } as const
const active = (ip: string) => ({ ip, active: true, pending: false })
const stored = async (at: TestApp) =>
  JSON.parse(await readFile(at.path('archive', 'whitelist.json'), 'utf8')) as Record<string, unknown>[]

t.test('an address on the whitelist is let in everywhere, and can no longer be blocked', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [
    active('203.0.113.9'),
    active('198.51.100.1'),
    active('203.0.113.0/25')
  ])
  await at.writeList('db-1', 'sshd', [active('203.0.113.9')])
  const added = await at.post('/api/whitelist', { ips: ['203.0.113.9'], description: 'office' }, alice)
  t.strictSame(added.json(), {
    success: true,
    outcomes: [{ ip: '203.0.113.9', outcome: 'added', overlaps: [] }],
    lifted: [
      { server: 'db-1', list: 'sshd.blocklist.json', ip: '203.0.113.9' },
      { server: 'web-1', list: 'sshd.blocklist.json', ip: '203.0.113.9' },
      { server: 'web-1', list: 'sshd.blocklist.json', ip: '203.0.113.0/25' }
    ],
    failed: []
  })
  t.match(await at.readList('web-1', 'sshd'), [
    { ip: '203.0.113.9', active: false, pending: true },
    { ip: '198.51.100.1', active: true, pending: false },
    { ip: '203.0.113.0/25', active: false, pending: true }
  ])
  t.match(await stored(at), [
    {
      ip: '203.0.113.9',
      description: 'office',
      addedBy: 'alice',
      addedAt: '2026-03-01T12:00:00.000+00:00',
      expires: null,
      servers: []
    }
  ])
  const block = (ip: string) =>
    at.post('/api/block', { servers: ['web-1'], jails: ['sshd'], ips: [ip] }, alice)
  t.match((await block('203.0.113.9')).json(), {
    message: /203\.0\.113\.9 is on the whitelist \(office\)/
  })
  t.match((await block('203.0.113.0/24')).json(), { message: /meets 203\.0\.113\.9: on the whitelist/ })
  const removed = await at.post('/api/whitelist/remove', { ips: ['203.0.113.9', '192.0.2.1'] }, alice)
  t.match(removed.json(), { outcomes: [{ outcome: 'removed' }, { outcome: 'not-there' }] })
  t.equal((await block('203.0.113.9')).statusCode, 200)
})

t.test('an entry may hold for some hosts only, and until its end', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const wish = { ips: ['192.0.2.0/24'], servers: ['web-1'], expires: '2026-03-01T13:00:00Z' }
  await at.writeList('db-1', 'sshd', [active('192.0.2.7')])
  t.match((await at.post('/api/whitelist', wish, alice)).json(), { lifted: [] })
  const block = async (server: string, as = alice) =>
    (await at.post('/api/block', { servers: [server], jails: ['sshd'], ips: ['192.0.2.8'] }, as)).statusCode
  t.equal(await block('db-1'), 200)
  t.equal(await block('web-1'), 409)
  at.clock.now += 3_600_000
  t.equal(await block('web-1', await at.login()), 200)
})

t.test('what came past the whitelist is lifted when the host asks', async t => {
  const at = await testApp(t)
  await at.writeList('web-1', 'sshd', [active('203.0.113.9'), active('203.0.113.10')])
  await writeFile(at.path('archive', 'whitelist.json'), '[{"ip":"203.0.113.9"},{"ip":"no address"}]')
  const { downloads, updates } = at.app.store
  t.strictSame((await downloads.offer('web-1' as never, undefined, HOST, () => undefined)).updates, [
    'sshd.blocklist.json'
  ])
  t.match(await at.readList('web-1', 'sshd'), [{ active: false, pending: true }, { active: true }])
  t.equal((await updates.of('web-1' as never)).size, 1)
})

t.test('a block made after an address came off the whitelist is not lifted by who looked before', async t => {
  const at = await testApp(t)
  const { lists, whitelist } = at.app.store
  await at.writeList('web-1', 'sshd', [active('203.0.113.9')])
  await writeFile(at.path('archive', 'whitelist.json'), '[{"ip":"203.0.113.9"},{"ip":"203.0.113.10"}]')
  const before = (await whitelist.protection('web-1' as never))!
  await writeFile(at.path('archive', 'whitelist.json'), '[{"ip":"203.0.113.10"}]')
  t.strictSame(await lists.lift('web-1' as never, 'sshd.blocklist.json' as never, before, HOST), [])
  await writeFile(at.path('archive', 'whitelist.json'), '[]')
  t.strictSame(await lists.lift('web-1' as never, 'sshd.blocklist.json' as never, before, HOST), [])
  t.strictSame(await at.readList('web-1', 'sshd'), [active('203.0.113.9')])
})

t.test('text is taken whole or not at all; duplicates and overlaps are told', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const send = (text: string) => at.post('/api/whitelist', { text }, alice)
  const bad = await send('192.0.2.1\n192.0.2.300 # typo\n')
  t.equal(bad.statusCode, 400)
  t.match(bad.json(), { message: /line 2: 192\.0\.2\.300.*nothing was taken/ })
  t.strictSame(await at.bytes(), {})
  const good = await send('# ours\n\n192.0.2.1 # router\n192.0.2.0/24 ; all of it\n192.0.2.1/32 # twice\n')
  t.match(good.json(), {
    outcomes: [
      { ip: '192.0.2.1', outcome: 'added', overlaps: ['192.0.2.0/24'] },
      { ip: '192.0.2.0/24', outcome: 'added', overlaps: ['192.0.2.1'] }
    ]
  })
  t.match(await stored(at), [{ ip: '192.0.2.1', description: 'twice' }, { description: 'all of it' }])
  t.match((await send('192.0.2.1 # twice')).json(), { outcomes: [{ outcome: 'already-there' }] })
  t.match((await send('192.0.2.1 # other')).json(), { outcomes: [{ outcome: 'changed' }] })
})

t.test('bad requests change nothing', async t => {
  const at = await testApp(t)
  const [alice, victor] = [await at.login(), await at.login('victor')]
  const cases: [string, object, number, RegExp][] = [
    ['a network that is too wide', { ips: ['0.0.0.0/4'] }, 400, /wider than \/8/],
    ['no address', { ips: ['nobody'] }, 400, /Not an IPv4/],
    ['no such server', { ips: ['192.0.2.1'], servers: ['web-9'] }, 404, /no server web-9/],
    ['an end in the past', { ips: ['192.0.2.1'], expires: '2020-01-01' }, 400, /in the past/],
    ['nothing', { ips: [] }, 400, /./],
    ['both kinds', { ips: ['192.0.2.1'], text: '192.0.2.2' }, 400, /./]
  ]
  for (const [what, body, status, message] of cases) {
    const reply = await at.post('/api/whitelist', body, alice)
    t.equal(reply.statusCode, status, what)
    t.match(reply.json(), { success: false, message }, what)
  }
  t.equal((await at.post('/api/whitelist', { ips: ['192.0.2.1'] }, victor)).statusCode, 403)
  t.equal((await at.post('/api/whitelist/remove', { ips: ['192.0.2.1'] }, victor)).statusCode, 403)
  t.equal((await at.get('/api/whitelist')).statusCode, 401)
  t.match((await at.get('/api/whitelist', victor)).json(), { success: true, entries: [] })
  t.strictSame(await at.bytes(), {})
})

t.test('a corrupt whitelist stops blocks, stays as it is, and hosts go on', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [active('203.0.113.9')])
  await writeFile(at.path('archive', 'whitelist.json'), '[{"ip":')
  const before = await at.bytes()
  const reply = await at.post(
    '/api/block',
    { servers: ['web-1'], jails: ['sshd'], ips: ['192.0.2.1'] },
    alice
  )
  t.equal(reply.statusCode, 500)
  t.match(reply.json(), { message: /whitelist\.json/ })
  t.strictSame(
    (await at.app.store.downloads.offer('web-1' as never, undefined, HOST, () => undefined)).updates,
    []
  )
  t.strictSame(
    await at.bytes(),
    { ...before, 'update.json': '{}\n' },
    'nothing but the index that every asking makes'
  )
})

t.test('a host pulls what holds for it, with a strong tag', async t => {
  const at = await testApp(t)
  const host = await at.app.store.clients.add('mail-1', [], HOST)
  const basic = Buffer.from(`${host.username}:${host.password}`).toString('base64')
  const headers = { authorization: `Basic ${basic}`, 'x-client-uuid': host.uuid }
  const plain = (more: Record<string, string> = {}) =>
    at.app.inject({ url: '/api/v1/whitelist/plain', headers: { ...headers, ...more } })
  const first = await plain()
  t.equal(
    first.body,
    '# Managed by Fail2Ban-Report; changes made here are overwritten.\n# Last change: never\n'
  )
  const alice = await at.login()
  await at.post('/api/whitelist', { ips: ['2001:db8::/48', '192.0.2.1'] }, alice)
  await at.post('/api/whitelist', { ips: ['198.51.100.1'], servers: ['web-1'] }, alice)
  const reply = await plain()
  t.equal(reply.statusCode, 200)
  t.match(reply.headers['content-type'], /^text\/plain/)
  const [, change, ...lines] = reply.body.split('\n')
  t.match(change, /^# Last change: \d{4}-/)
  t.strictSame(lines, ['192.0.2.1', '2001:db8::/48', ''])
  t.equal(reply.headers.etag, `"${createHash('sha256').update(reply.body).digest('hex')}"`)
  const same = await plain({ 'if-none-match': String(reply.headers.etag) })
  t.equal(same.statusCode, 304)
  t.equal(same.body, '')
  t.equal((await at.app.inject('/api/v1/whitelist/plain')).statusCode, 401)
  const wrong = await plain({ 'x-client-uuid': 'another' })
  t.equal(wrong.statusCode, 403)
})

t.test('hosts are told once all is lifted, each once, and when an entry has ended', async t => {
  const at = await testApp(t)
  const { live, whitelist, lists } = at.app.store
  for (const server of ['db-1', 'web-1']) {
    for (const jail of ['nginx', 'sshd']) await at.writeList(server, jail, [active('203.0.113.9')])
  }
  const woken: string[] = []
  live.wake = server => Promise.resolve(void woken.push(server))
  live.wakeAll = async servers => {
    for (const server of servers) {
      for (const jail of ['nginx', 'sshd']) t.match(await at.readList(server, jail), [{ active: false }])
    }
    woken.push(...servers)
  }
  const expires = '2026-03-01T13:00:00Z'
  const wish = { ip: '203.0.113.9' as never, description: '', expires, servers: [] }
  const actor = { kind: 'user', name: 'alice', from: '192.0.2.1' } as const
  t.equal((await whitelist.add([wish], actor)).lifted.length, 4)
  t.strictSame(woken.splice(0), ['db-1', 'web-1'])

  // There already: only the host whose block it ended has a reason to come, and only what it names is looked at.
  await lists.change(
    'web-1' as never,
    'sshd.blocklist.json' as never,
    [{ ip: '203.0.113.9' as never, want: 'block', source: 'test' }],
    actor
  )
  woken.splice(0)
  t.match(await whitelist.add([wish], actor), {
    outcomes: [{ outcome: 'already-there' }],
    lifted: [{ server: 'web-1', list: 'sshd.blocklist.json' }]
  })
  t.strictSame(woken.splice(0), ['web-1'])

  const hash = await whitelist.hash('web-1' as never)
  await whitelist.tellEnded()
  t.strictSame(woken.splice(0), [])
  at.clock.now = Date.parse(expires)
  await at.app.store.housekeeping()
  t.strictSame(woken.splice(0), ['db-1', 'web-1'])
  t.not(await whitelist.hash('web-1' as never), hash)
  await whitelist.tellEnded()
  t.strictSame(woken.splice(0), [], 'once')
})

t.test('a host that lifts as it asks is not told to come by that', async t => {
  const at = await testApp(t)
  const { live, downloads } = at.app.store
  const woken: string[] = []
  live.wake = server => Promise.resolve(void woken.push(server))
  await at.writeList('web-1', 'sshd', [active('203.0.113.9')])
  await at.writeList('web-1', 'nginx', [{ ...active('203.0.113.7'), expires: '2026-03-01T11:00:00Z' }])
  await writeFile(at.path('archive', 'whitelist.json'), '[{"ip":"203.0.113.9"}]')
  const { updates } = await downloads.offer('web-1' as never, undefined, HOST, () => undefined)
  t.strictSame(updates, ['nginx.blocklist.json', 'sshd.blocklist.json'])
  t.strictSame(woken, [])
})
