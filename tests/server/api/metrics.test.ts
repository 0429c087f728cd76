import { mkdir, writeFile } from 'node:fs/promises'
import t from 'tap'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { testApp, type TestApp } from '../../support/app.js'
import { parseMetrics, valueOf, type Family } from '../../support/prometheus.js'

const ACTOR = { kind: 'cli' as const, name: 'root', from: 'cli' }

async function bearer(at: TestApp, role: 'read' | 'write' | 'admin', server?: string) {
  const secret = await at.app.store.keys.add(`${role}-${server ?? 'all'}`, role, server as never, ACTOR)
  return { authorization: `Bearer ${secret}` }
}
async function scrape(at: TestApp, headers: Record<string, string>): Promise<Map<string, Family>> {
  const { statusCode, body } = await at.get('/metrics', undefined, headers)
  if (statusCode !== 200) throw new Error(`${statusCode} ${body}`)
  return parseMetrics(body)
}
const entry = (ip: string, more: Partial<BlocklistEntry> = {}): BlocklistEntry => ({
  ip,
  active: true,
  pending: false,
  ...more
})

t.test('who may read it', async t => {
  const at = await testApp(t)
  const status = async (headers: Record<string, string>) =>
    (await at.get('/metrics', undefined, headers)).statusCode
  t.equal(await status({}), 401, 'nobody')
  t.equal(await status({ authorization: 'Bearer wrong' }), 401, 'a wrong key')
  t.equal(await status({ authorization: 'Basic d2ViLTE6eA==' }), 401, 'a client')
  t.equal(await status(await bearer(at, 'admin', 'web-1')), 403, 'a key for one host')
  const refused = await at.get('/metrics')
  t.notMatch(refused.body, /web-1/)
  t.match(refused.json(), { success: false })
  for (const role of ['read', 'write', 'admin'] as const)
    t.equal(await status(await bearer(at, role)), 200, role)
  for (const user of ['alice', 'victor'] as const) {
    t.equal((await at.get('/metrics', await at.login(user))).statusCode, 200, user)
  }
  const reply = await at.get('/metrics', await at.login())
  t.equal(reply.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  t.equal(reply.headers['cache-control'], 'no-store')
  const { statusCode } = await at.app.inject({
    method: 'POST',
    url: '/metrics',
    headers: await bearer(at, 'read', 'db-1')
  })
  t.equal(statusCode, 404)
})

t.test('wrong keys are limited, and counted by what was tried', async t => {
  const at = await testApp(t)
  const key = await bearer(at, 'read')
  const kinds = async () => {
    const found = await scrape(at, key)
    return ['client', 'callback', 'login', 'key'].map(kind =>
      valueOf(found, 'fail2ban_report_authentication_failures_total', { kind })
    )
  }
  t.same(await kinds(), [0, 0, 0, 0], 'a rate begins somewhere')
  await at.post('/api/login', { username: 'alice', password: 'wrong' })
  await at.app.inject({
    url: '/api/v1/whitelist/plain',
    headers: { authorization: 'Basic eDp5', 'x-client-uuid': 'z' }
  })
  await at.post('/api/ban', { serverId: 'web-1', ip: '192.0.2.1', jail: 'sshd' }, undefined, {
    'x-callback-secret': 'wrong'
  })
  await at.get('/metrics', undefined, { authorization: 'Bearer wrong' })
  t.same(await kinds(), [1, 1, 1, 1])
  t.equal(at.lines.filter(line => line.includes('"auth_failure"')).length, 4, 'and logged for fail2ban')
  for (let n = 0; n < 19; n++) await at.get('/metrics', undefined, { authorization: 'Bearer wrong' })
  t.equal((await at.get('/metrics', undefined, key)).statusCode, 429)
})

t.test('requests by declared route: no label is what somebody asked for', async t => {
  const at = await testApp(t, { basePath: '/Fail2Ban-Report' })
  const key = await bearer(at, 'read')
  const base = '/Fail2Ban-Report'
  await at.get(`${base}/api/v1/commands/web-1.17"%0a}evil`, undefined, key)
  await at.get(`${base}/no/such/"}evil`)
  await at.get(`/elsewhere/evil`)
  await at.get(`${base}/api/servers?evil=1`)
  await at.app.inject({ method: 'DELETE', url: `${base}/api/evil` })
  const { body } = await at.get(`${base}/metrics`, undefined, key)
  const found = parseMetrics(body)
  t.notMatch(body, /evil/)
  const name = 'fail2ban_report_http_request_duration_seconds_count'
  const asked = { method: 'GET', route: '/api/v1/commands/:id', status: '4xx' }
  t.equal(valueOf(found, name, asked), 1)
  t.equal(valueOf(found, name, { method: 'GET', route: '/api/servers', status: '4xx' }), 1)
  t.equal(valueOf(found, name, { method: 'none', route: 'none', status: '4xx' }), 3)
  const routes = found
    .get('fail2ban_report_http_request_duration_seconds')
    ?.samples.map(one => one.labels.route)
  t.same(
    [...new Set(routes)].filter(route => route !== 'none' && !app(route)),
    [],
    'all of them are declared'
  )
  function app(route = ''): boolean {
    return at.app.hasRoute({ method: 'GET', url: `${base}${route}` })
  }
})

t.test('every host: addresses, what waits and since when, in step, heard of', async t => {
  const at = await testApp(t)
  const key = await bearer(at, 'read')
  await at.writeList('web-1', 'sshd', [
    entry('192.0.2.1'),
    entry('192.0.2.2'),
    entry('192.0.2.3', { expires: '2026-03-01T12:00:30Z' }),
    entry('192.0.2.4', { pending: true, lastModified: '2026-03-01T11:58:00Z' }),
    entry('192.0.2.5', { pending: true, active: false, lastModified: '2026-03-01T11:55:00Z' }),
    entry('192.0.2.6', { active: false, lastModified: '2026-02-01T00:00:00Z' })
  ])
  await writeFile(at.path('archive', 'update.json'), '{"web-1":{"sshd.blocklist.json":true}}')
  await at.app.store.hosts.seen('db-1' as never, { clockSkewMs: -5000 }, true)
  let found = await scrape(at, key)
  const of = (name: string, labels: Record<string, string>) =>
    valueOf(found, `fail2ban_report_${name}`, labels)
  const addresses = (state: string) => of('addresses', { host: 'web-1', jail: 'sshd', state })
  t.same([addresses('active'), addresses('pending_block'), addresses('pending_unblock')], [3, 1, 1])
  t.equal(of('oldest_pending_seconds', { host: 'web-1' }), 300)
  t.equal(of('oldest_pending_seconds', { host: 'db-1' }), 0)
  t.equal(of('lists', { host: 'web-1', update: 'waits' }), 1)
  t.equal(of('host_in_step', { host: 'web-1' }), 0)
  t.equal(of('host_in_step', { host: 'db-1' }), 1)
  t.equal(of('host_last_seen_timestamp_seconds', { host: 'web-1' }), undefined, 'never heard of')
  t.equal(of('host_last_seen_timestamp_seconds', { host: 'db-1' }), at.clock.now / 1000)
  t.equal(of('host_last_sync_timestamp_seconds', { host: 'db-1' }), at.clock.now / 1000)
  t.equal(of('host_clock_skew_seconds', { host: 'db-1' }), -5)
  t.equal(of('host_whitelist_in_step', { host: 'db-1' }), undefined)
  t.equal(of('host_corrupt_files', { host: 'web-1' }), 0)
  t.equal(of('archive_corrupt_files', {}), 0)
  t.equal(of('live_connections', { kind: 'browser' }), 0)

  at.clock.now += 60_000
  const whitelist = { at: '2026-03-01T12:00:00Z', result: 'success' as const, hash: 'old' }
  await at.app.store.hosts.seen('db-1' as never, { whitelist }, false)
  await writeFile(at.path('archive', 'update.json'), '{}')
  await at.writeList('web-1', 'sshd', [entry('192.0.2.1')])
  await at.writeList('web-1', 'nginx', [])
  await writeFile(at.path('archive', 'web-1', 'blocklists', 'nginx.blocklist.json'), '{"not": "a list"}')
  found = await scrape(at, key)
  t.same([addresses('active'), addresses('pending_block'), addresses('pending_unblock')], [1, 0, 0])
  t.equal(of('oldest_pending_seconds', { host: 'web-1' }), 0)
  t.equal(of('host_in_step', { host: 'web-1' }), 1)
  t.equal(of('host_whitelist_in_step', { host: 'db-1' }), 0)
  t.equal(of('host_in_step', { host: 'db-1' }), 0, 'an old whitelist is not in step')
  t.equal(of('host_corrupt_files', { host: 'web-1' }), 1)
})

t.test("a host's odd names of jails break no line, and never grow without bound", async t => {
  const at = await testApp(t)
  const key = await bearer(at, 'read')
  const jails = ['a"b', 'c\\d', 'e\nf', 'g{h="i"} 1', '"} 1\nfail2ban_report_build_info{version="evil"} 7\n']
  const nameOf = (jail: string) =>
    '_j_' + jail.replaceAll(/[^A-Za-z0-9-]/g, one => `_${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
  for (const jail of jails) await at.writeList('web-1', nameOf(jail), [entry('192.0.2.1')])
  const found = await scrape(at, key)
  for (const jail of jails) {
    t.equal(valueOf(found, 'fail2ban_report_addresses', { host: 'web-1', jail, state: 'active' }), 1, jail)
  }
  t.equal(found.get('fail2ban_report_build_info')?.samples.length, 1)
  await mkdir(at.path('archive', 'db-1', 'blocklists'), { recursive: true })
  for (let n = 1000; n < 1150; n++) await at.writeList('db-1', `jail${n}`, [entry('192.0.2.1')])
  const all = await scrape(at, key)
  const ofHost = all.get('fail2ban_report_addresses')?.samples.filter(({ labels }) => labels.host === 'db-1')
  t.equal(ofHost?.length, 101 * 3)
  const further = { host: 'db-1', jail: '', state: 'active' }
  t.equal(valueOf(all, 'fail2ban_report_addresses', further), 50, 'further ones are summed up')
})

t.test('one host that can not be read hides no other', async t => {
  const at = await testApp(t)
  const key = await bearer(at, 'read')
  await mkdir(at.path('archive', 'web-1'), { recursive: true })
  await writeFile(at.path('archive', 'web-1', 'blocklists'), 'no folder')
  await mkdir(at.path('archive', 'web-1', 'host.json'))
  const found = await scrape(at, key)
  t.equal(valueOf(found, 'fail2ban_report_host_readable', { host: 'web-1' }), 0)
  t.equal(valueOf(found, 'fail2ban_report_host_in_step', { host: 'web-1' }), undefined, 'nor looks peaceful')
  t.equal(valueOf(found, 'fail2ban_report_host_readable', { host: 'db-1' }), 1)
})

t.test('events are counted once, by host and action', async t => {
  const at = await testApp(t)
  const key = await bearer(at, 'read')
  const event = (second: number, action: string) => ({
    timestamp: `2026-03-01 11:00:0${second},000`,
    action,
    ip: '192.0.2.1',
    jail: 'sshd'
  })
  let sent = 0
  const send = (...events: unknown[]) =>
    at.app.store.events.replace(
      'web-1' as never,
      'fail2ban-events-20260301.json' as never,
      JSON.stringify(events),
      ++sent
    )
  const counted = async (action: string) =>
    valueOf(await scrape(at, key), 'fail2ban_report_events_received_total', { host: 'web-1', action })
  t.equal(await counted('ban'), 0)
  await send(event(1, 'Ban'))
  await send(event(1, 'Ban'), event(2, 'Unban'), event(3, 'Increase Ban'))
  await send(event(1, 'Ban'), event(2, 'Unban'), event(3, 'Increase Ban'))
  await at.app.store.events.addCallback('web-1' as never, event(4, 'Ban') as never, {})
  await at.app.store.events.addCallback('web-1' as never, event(4, 'Ban') as never, {})
  t.equal(await counted('ban'), 2)
  t.equal(await counted('unban'), 1)
  t.equal(await counted('increase_ban'), 1)
  t.equal(await counted('restore_ban'), 0)
})

t.test('waits for locks by what a file is for, and those in vain', async t => {
  const at = await testApp(t)
  const key = await bearer(at, 'read')
  const path = at.app.store.paths.list('web-1' as never, 'sshd.blocklist.json' as never)
  const count = (found: Map<string, Family>, file: string) =>
    valueOf(found, 'fail2ban_report_lock_wait_seconds_count', { file })
  let open: () => void = () => undefined
  const held = new Promise<void>(resolve => (open = resolve))
  const first = at.app.store.files.locked(path, () => held)
  const second = at.app.store.files.locked(path, () => Promise.resolve())
  const third = at.app.store.files.locked(path, () => Promise.reject(new Error('its own')))
  setTimeout(open, 120)
  await Promise.all([first, second, t.rejects(third, { message: 'its own' })])
  const found = await scrape(at, key)
  t.equal(count(found, 'blocklist'), 3)
  const sum = valueOf(found, 'fail2ban_report_lock_wait_seconds_sum', { file: 'blocklist' }) ?? 0
  t.ok(sum >= 0.2 && sum < 30, `two waited for the first: ${sum}`)
  t.equal(valueOf(found, 'fail2ban_report_lock_timeouts_total', { file: 'blocklist' }), 0)
  t.ok((count(found, 'settings') ?? 0) > 0, 'a key was made')

  const { Store } = await import('../../../server/store/store.js')
  const waits: { path: string; got: boolean }[] = []
  const other = new Store({
    folders: at.app.config.folders,
    clock: () => at.clock.now,
    widest: { 4: 8, 6: 19 },
    onSetAside: () => undefined,
    onLock: wait => waits.push(wait),
    lockTimes: { wait: 100, stale: 60_000 }
  })
  const outer = other.paths.host('web-1' as never)
  await at.app.store.files.locked(path, async () => {
    const both = other.files.locked(outer, () => other.files.locked(path, () => Promise.resolve()))
    await t.rejects(both, { code: 'LOCK_TIMEOUT' })
  })
  t.match(waits, [
    { path: outer, got: true },
    { path, got: false }
  ])
  t.equal(waits.length, 2, 'the outer one was got: it is not counted twice')
})

t.test('several apps in a process have figures of their own, and scrapes at once are one', async t => {
  const one = await testApp(t)
  const key = await bearer(one, 'read')
  await one.post('/api/login', { username: 'alice', password: 'wrong' })
  const failures = ['fail2ban_report_authentication_failures_total', { kind: 'login' }] as const
  t.equal(valueOf(await scrape(one, key), ...failures), 1)
  await t.test('another', async t => {
    const two = await testApp(t)
    const other = await scrape(two, await bearer(two, 'read'))
    t.equal(valueOf(other, ...failures), 0)
    t.ok((valueOf(other, 'process_resident_memory_bytes') ?? 0) > 1e6)
  })
  const many = await Promise.all(Array.from({ length: 20 }, () => scrape(one, key)))
  t.ok(many.every(found => valueOf(found, 'fail2ban_report_host_readable', { host: 'web-1' }) === 1))
})
