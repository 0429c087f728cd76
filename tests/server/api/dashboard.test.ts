import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { localDay } from '../../../common/clock.js'
import type { BanEvent } from '../../../common/shapes.js'
import { columnsOf } from '../../../server/api/columns.js'
import type { Statistics } from '../../../server/api/statistics.js'
import { AddressBook } from '../../../server/store/address-book.js'
import { numbersOf } from '../../../server/store/day-numbers.js'
import { bansOn, summarise } from '../../../server/store/day-summary.js'
import { dayEvents, generator } from '../../support/fleet.js'
import { testApp, type TestApp } from '../../support/app.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const writeDay = async (at: TestApp, server: string, day: string, events: readonly BanEvent[]) => {
  await mkdir(at.path('archive', server, 'fail2ban'), { recursive: true })
  await writeFile(
    at.path('archive', server, 'fail2ban', `fail2ban-events-${day}.json`),
    JSON.stringify(events)
  )
}
const event = (time: string, ip: string, more: Partial<BanEvent> = {}): BanEvent => ({
  timestamp: `2026-03-01 ${time},000`,
  action: 'Ban',
  ip,
  jail: 'sshd',
  ...more
})

t.test('columns say the same as rows', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const events = dayEvents(generator(7), '20260301', 500, 24)
  await writeDay(at, 'web-1', '20260301', events)
  const url = '/api/columns?server=web-1&day=20260301'
  const reply = await at.get(url, alice)
  const columns = reply.json<ReturnType<typeof columnsOf>>()
  let time = 0
  const rows = columns.time.map((step, n) => {
    time += step
    const stamp = new Date(Date.UTC(2026, 2, 1) + time)
      .toISOString()
      .slice(0, 23)
      .replace('T', ' ')
      .replace('.', ',')
    const of = (list: string[], place: number[]) => list[place[n]!]!
    return {
      timestamp: stamp,
      action: of(columns.actions, columns.action),
      ip: of(columns.ips, columns.ip),
      jail: of(columns.jails, columns.jail)
    }
  })
  t.strictSame(rows, events)
  const zipped = await at.get(url, alice, { 'accept-encoding': 'gzip' })
  t.equal(zipped.headers['content-encoding'], 'gzip')
  t.strictSame(JSON.parse(gunzipSync(zipped.rawPayload).toString()), columns)
  const etag = String(zipped.headers.etag)
  t.equal((await at.get(url, alice, { 'if-none-match': etag })).statusCode, 304)
  await writeDay(at, 'web-1', '20260301', events.slice(0, 10))
  const fresh = await at.get(url, alice, { 'if-none-match': etag, 'accept-encoding': 'gzip' })
  t.match(
    JSON.parse(gunzipSync(fresh.rawPayload).toString()),
    { time: { length: 10 } },
    'a new version is sent'
  )
  t.equal((await at.get('/api/columns?server=nope&day=20260301', alice)).statusCode, 404)
  t.equal((await at.get('/api/columns?server=web-1&day=today', alice)).statusCode, 400)
  t.equal((await at.get(url)).statusCode, 401)
})

t.test('a day’s summary is what counting its rows gives', t => {
  const events = dayEvents(generator(3), '20260301', 3000, 24)
  const book = new AddressBook()
  const sum = summarise(numbersOf(events, book), book.size, 4)
  const bans = events.filter(one => one.action === 'Ban')
  t.equal(sum.bans, bans.length)
  t.equal(sum.unbans, events.filter(one => one.action === 'Unban').length)
  t.equal(
    sum.hours.reduce((all, one) => all + one, 0),
    bans.length
  )
  t.equal(sum.hours[9], bans.filter(one => one.timestamp.slice(11, 13) === '09').length)
  for (const ip of new Set(events.slice(0, 50).map(one => one.ip))) {
    t.equal(bansOn(sum, book.find(ip)!), bans.filter(one => one.ip === ip).length)
  }
  t.equal(bansOn(sum, book.size), undefined)
  const minutes = new Map<string, number>()
  for (const { timestamp, jail } of bans) {
    const key = `${timestamp.slice(11, 16)} ${jail}`
    minutes.set(key, (minutes.get(key) ?? 0) + 1)
  }
  const wanted = [...minutes].filter(([, count]) => count >= 4).map(([key, count]) => `${key} ${count}`)
  t.ok(wanted.length > 0)
  t.strictSame(sum.bursts.map(one => `${one.minute} ${one.jail} ${one.events}`).sort(), wanted.sort())
  t.end()
})

t.test('statistics add days up, and read a day again only when it has changed', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const today = localDay(NOW)
  const random = generator(11)
  const all: { server: string; ago: number; events: BanEvent[] }[] = []
  for (const server of ['web-1', 'db-1']) {
    for (const ago of [0, 1, 5, 6, 7, 29, 30]) {
      const events = dayEvents(random, localDay(NOW, ago), 120, 12)
      all.push({ server, ago, events })
      await writeDay(at, server, localDay(NOW, ago), events)
    }
  }
  const count = (from: number, to: number, server?: string) => {
    const bans = all
      .filter(one => one.ago <= from && one.ago >= to && (server === undefined || one.server === server))
      .flatMap(one => one.events)
      .filter(one => one.action === 'Ban')
    return { bans: bans.length, addresses: new Set(bans.map(one => one.ip)).size }
  }
  const { events } = at.app.store
  const numbers = events.numbers.bind(events)
  let reads = 0
  events.numbers = (...day) => (reads++, numbers(...day))
  const reply = await at.get('/api/statistics', alice)
  t.equal(reply.statusCode, 200, reply.body.slice(0, 200))
  t.match(reply.json(), {
    today,
    periods: { today: count(0, 0), yesterday: count(1, 1), days7: count(6, 0), days30: count(29, 0) }
  })
  t.equal(reads, 12, 'the 31st day is not read')
  const { top, jails, days, servers } = reply.json<{
    top: { days30: { ip: string; bans: number }[] }
    jails: { today: { jail: string; bans: number }[] }
    days: { day: string; bans: number; hours: number[] }[]
    servers: { server: string; today: number; hours: number[] }[]
  }>()
  const perIp = new Map<string, number>()
  for (const one of all.filter(day => day.ago < 30).flatMap(day => day.events)) {
    if (one.action === 'Ban') perIp.set(one.ip, (perIp.get(one.ip) ?? 0) + 1)
  }
  t.equal(top.days30[0]?.bans, Math.max(...perIp.values()))
  for (const { ip, bans } of top.days30) t.equal(bans, perIp.get(ip))
  t.equal(
    jails.today.reduce((sum, one) => sum + one.bans, 0),
    count(0, 0).bans
  )
  t.equal(days.length, 30)
  t.equal(days.at(-2)?.bans, count(1, 1).bans)
  t.equal(servers.find(one => one.server === 'db-1')?.today, count(0, 0, 'db-1').bans)
  const one = await at.get('/api/statistics?server=web-1', alice)
  t.match(one.json(), { periods: { days7: count(6, 0, 'web-1') } })
  t.equal(reads, 12, 'what is known is not read again')

  const etag = String(reply.headers.etag)
  t.equal((await at.get('/api/statistics', alice, { 'if-none-match': etag })).statusCode, 304)
  await writeDay(at, 'web-1', today, [event('10:00:00', '203.0.113.1')])
  const later = await at.get('/api/statistics?server=web-1', alice, { 'if-none-match': etag })
  t.match(later.json(), { periods: { today: { bans: 1, unbans: 0, addresses: 1 } } })
  t.equal(reads, 13, 'only the day that changed')
  t.equal((await at.get('/api/statistics?server=nope', alice)).statusCode, 404)
})

t.test('statistics take a day however it is spelled, and set aside what is none', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const [today, yesterday, before] = [localDay(NOW), localDay(NOW, 1), localDay(NOW, 2)]
  const statistics = async () => (await at.get('/api/statistics', alice)).json<Statistics>()
  const other = { jail: 'größe', timestamp: `2026-03-01 99:99:00` }
  await writeDay(at, 'web-1', today, [event('10:00:00', '203.0.113.1'), event('', '203.0.113.2', other)])
  await writeDay(at, 'web-1', yesterday, [event('10:00:00', '203.0.113.1')])
  const path = at.path('archive', 'web-1', 'fail2ban', `fail2ban-events-${before}.json`)
  await writeFile(path, '[{"timestamp":"2026-02-27 10:00:00","action":"Ban","ip":"203.0.113.1","jail":""}]')
  const { periods, days } = await statistics()
  t.match(periods, { today: { bans: 2, addresses: 2 }, days7: { bans: 3, addresses: 2 } })
  t.equal(days.at(-1)?.hours.length, 24, 'an hour that no day has is left out')
  t.equal(
    days.at(-1)?.hours.reduce((sum, bans) => sum + bans, 0),
    1
  )
  const names = await readdir(dirname(path))
  t.equal(names.filter(name => name.startsWith(`fail2ban-events-${before}.json.corrupt-`)).length, 1)
  t.ok(at.lines.some(line => line.includes('file_set_aside')))
  await writeDay(at, 'web-1', before, [event('10:00:00', '203.0.113.9')])
  t.match((await statistics()).periods, { days7: { bans: 4, addresses: 3 } })
})

t.test('warnings are told by jail and minute against the threshold', async t => {
  const at = await testApp(t, {}, { reportConfig: '[Warnings]\nenabled = true ; yes\nthreshold="3:5"\n' })
  const alice = await at.login()
  const burst = (time: string, count: number, jail = 'sshd', action: BanEvent['action'] = 'Ban') =>
    Array.from({ length: count }, (_, n) =>
      event(`${time}:${10 + n}`, `203.0.113.${n % 2}`, { jail, action })
    )
  await writeDay(at, 'web-1', '20260301', [
    ...burst('09:00', 2),
    ...burst('09:01', 3),
    ...burst('09:02', 5),
    ...burst('09:03', 2, 'sshd'),
    ...burst('09:03', 2, 'nginx'),
    ...burst('09:04', 9, 'sshd', 'Unban')
  ])
  const reply = await at.get('/api/warnings?day=20260301', alice)
  t.match(reply.json(), { day: '20260301', threshold: { warning: 3, critical: 5 } })
  t.strictSame(reply.json<{ warnings: unknown }>().warnings, [
    { server: 'web-1', jail: 'sshd', minute: '09:02', level: 'critical', events: 5, addresses: 2 },
    { server: 'web-1', jail: 'sshd', minute: '09:01', level: 'warning', events: 3, addresses: 2 }
  ])
  t.strictSame((await at.get('/api/warnings?day=20260228', alice)).json<{ warnings: unknown }>().warnings, [])
})

t.test('a bad value in fail2ban-report.config is named', async t => {
  for (const [text, name] of [
    ['[Warnings]\nthreshold=20:5\n', 'threshold'],
    ['[Warnings]\nthreshold=many\n', 'threshold'],
    ['[Fail2Ban-Daily-List-Settings]\nmax_display_days=none\n', 'max_display_days']
  ] as const) {
    await t.rejects(testApp(t, {}, { reportConfig: text }), { message: new RegExp(name) })
  }
})

t.test('an address is known from all servers’ events and lists', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const ip = '203.0.113.9'
  await writeDay(at, 'web-1', localDay(NOW), [event('10:00:00', ip), event('11:00:00', '198.51.100.1')])
  await writeDay(at, 'db-1', localDay(NOW, 1), [
    event('09:00:00', ip, { action: 'Unban', timestamp: '2026-02-28 09:00:00,000' })
  ])
  await at.writeList('web-1', 'sshd', [
    { ip },
    { ip: '203.0.113.0/24' },
    { ip: '203.0.113.10' },
    { ip: '0.0.0.0/0' }
  ])
  const reply = (await at.get(`/api/address?ip=${ip}`, alice)).json<{
    entries: { entry: { ip: string } }[]
  }>()
  t.match(reply, {
    ip,
    total: 2,
    events: [
      { server: 'web-1', action: 'Ban' },
      { server: 'db-1', action: 'Unban' }
    ]
  })
  t.strictSame(
    reply.entries.map(one => one.entry.ip),
    [ip, '203.0.113.0/24', '0.0.0.0/0']
  )
  const net = (await at.get('/api/address?ip=203.0.113.8/30', alice)).json<typeof reply>()
  t.strictSame(
    net.entries.map(one => one.entry.ip),
    [ip, '203.0.113.0/24', '203.0.113.10', '0.0.0.0/0']
  )
  t.match((await at.get('/api/address?ip=2001:db8::1', alice)).json(), { total: 0, entries: [] })
  t.equal((await at.get('/api/address?ip=nonsense', alice)).statusCode, 400)
})

/** A service that answers as it is told. */
const serviceOf = async (t: Test, answer: RequestListener) => {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => new Promise(done => server.close(done)))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('look-ups ask once, are polite, and tell what is wrong in words', async t => {
  const asked: { url: string; key: unknown }[] = []
  let status = 200
  const url = await serviceOf(t, (request, reply) => {
    asked.push({ url: request.url ?? '', key: request.headers.key ?? request.headers.authorization })
    reply.statusCode = status
    if (status === 429) reply.setHeader('retry-after', '120')
    const facts = { abuseConfidenceScore: 97, isp: '<b>x</b>', reports: [1], countryCode: null }
    reply.end(status === 200 ? JSON.stringify({ data: facts, org: 'AS1', city: 'Y' }) : 'no')
  })
  const keys = '[AbuseIPDB API Key]\nabuseipdb_key=secret-a\n[IP-Info API Key]\nipinfo_key=secret-i\n'
  const at = await testApp(t, { abuseipdbUrl: `${url}/check`, ipinfoUrl: url }, { reportConfig: keys })
  const alice = await at.login()
  const ask = (source: string, ip: string) => at.get(`/api/lookups?source=${source}&ip=${ip}`, alice)
  t.match((await at.get('/api/settings', alice)).json(), { lookups: ['dns', 'abuseipdb', 'ipinfo'] })
  t.strictSame((await ask('abuseipdb', '8.8.8.8')).json<{ facts: unknown }>().facts, {
    abuseConfidenceScore: '97',
    isp: '<b>x</b>'
  })
  await ask('abuseipdb', '8.8.8.8')
  t.equal(asked.length, 1, 'the answer is remembered')
  at.clock.now += 25 * 3_600_000
  const again = await at.login()
  await at.get('/api/lookups?source=abuseipdb&ip=8.8.8.8', again)
  t.equal(asked.length, 2, 'for a day')
  const fresh = (source: string, ip: string) => at.get(`/api/lookups?source=${source}&ip=${ip}`, again)
  t.strictSame((await fresh('ipinfo', '9.9.9.9')).json<{ facts: unknown }>().facts, { org: 'AS1', city: 'Y' })
  t.match(asked, [
    { url: '/check?ipAddress=8.8.8.8&maxAgeInDays=90', key: 'secret-a' },
    {},
    { url: '/9.9.9.9/json', key: 'Bearer secret-i' }
  ])
  const rows: [string, string, number, RegExp][] = [
    ['abuseipdb', '192.168.1.1', 400, /no public address/],
    ['abuseipdb', '8.8.8.0/24', 400, /one address/],
    ['abuseipdb', 'x', 400, /Not an IPv4/],
    ['whois', '8.8.8.8', 400, /source/]
  ]
  for (const [source, ip, code, words] of rows) {
    const refused = await fresh(source, ip)
    t.equal(refused.statusCode, code, `${source} ${ip}`)
    t.match(refused.json(), { success: false, message: words })
  }
  t.equal(asked.length, 3, 'and nobody was asked')
  status = 403
  t.match((await fresh('abuseipdb', '1.1.1.1')).json(), { message: /refuses the key/ })
  status = 500
  t.match((await fresh('abuseipdb', '1.1.1.1')).json(), { message: /answered 500/ })
  status = 429
  t.match((await fresh('abuseipdb', '1.1.1.1')).json(), { message: /try again in 2 min/ })
  const before = asked.length
  status = 200
  t.equal((await fresh('abuseipdb', '1.0.0.1')).statusCode, 502, 'left alone while it asks for that')
  t.equal(asked.length, before)
  at.clock.now += 121_000
  t.equal((await fresh('abuseipdb', '1.0.0.1')).statusCode, 200)
  const log = at.lines.join('\n')
  t.notMatch(log, /secret-/, 'no key in the log')
})

t.test('without a key a service is not offered', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  t.match((await at.get('/api/settings', alice)).json(), { lookups: ['dns'], maxDisplayDays: 7 })
  const refused = await at.get('/api/lookups?source=ipinfo&ip=8.8.8.8', alice)
  t.equal(refused.statusCode, 404)
  t.match(refused.json(), { message: /no key for ipinfo/ })
})

t.test('what a page asks by itself does not prolong a session', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  for (let minutes = 0; minutes < 28; minutes += 7) {
    at.clock.now += 7 * 60_000
    const reply = await at.get('/api/servers', alice, { 'x-by-itself': '1' })
    t.equal(reply.statusCode, 200)
    t.equal(reply.headers['set-cookie'], undefined)
  }
  at.clock.now += 3 * 60_000
  t.equal((await at.get('/api/servers', alice, { 'x-by-itself': '1' })).statusCode, 401)
})

t.test('errors have a code beside their words, refusals a reason, for pages in other languages', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const missing = await at.get('/api/blocklists?server=nobody&jail=sshd', alice)
  t.match(missing.headers, {
    'x-error-code': 'NOT_FOUND',
    'x-error-detail': 'there%20is%20no%20server%20nobody'
  })
  t.strictSame(Object.keys(missing.json()), ['success', 'message'], 'the body is as ever')
  t.match((await at.get('/api/servers')).headers, { 'x-error-code': 'LOGIN_NEEDED', 'x-error-detail': '' })
  await at.post('/api/whitelist', { ips: ['203.0.113.0/24'], description: 'ours' }, alice)
  const wish = {
    servers: ['web-1'],
    jails: ['sshd'],
    ips: ['203.0.113.9', '127.0.0.1', '198.51.100.9', '8.0.0.0/7']
  }
  const reply = await at.post('/api/block', wish, alice)
  t.match(
    reply.json<{ results: { why?: object }[] }>().results.map(one => one.why),
    [
      { code: 'whitelist', hit: '203.0.113.0/24', note: 'ours' },
      { code: 'loopback', hit: '127.0.0.0/8', note: '' },
      undefined,
      { code: 'too-wide', hit: '/8', note: '' }
    ]
  )
  const address = await at.get('/api/address?ip=203.0.113.9', alice)
  t.match(address.json(), { country: null, whitelist: [{ ip: '203.0.113.0/24', description: 'ours' }] })
  t.match((await at.get('/api/address?ip=203.0.112.0/22', alice)).json(), { whitelist: [{}] })
  t.match((await at.get('/api/address?ip=203.0.114.1', alice)).json(), { whitelist: [] })
  const white = await at.get('/api/whitelist', alice)
  const again = await at.get('/api/whitelist', alice, { 'if-none-match': String(white.headers.etag) })
  t.equal(again.statusCode, 304)
  t.equal(
    (await at.get('/api/settings', alice)).json<{ hub: boolean }>().hub,
    at.app.hasRoute({ method: 'GET', url: '/api/ws' })
  )
})
