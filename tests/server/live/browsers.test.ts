import { appendFile, readFile, stat } from 'node:fs/promises'
import pino from 'pino'
import t, { type Test } from 'tap'
import { buildApp } from '../../../server/app.js'
import { LogLines } from '../../../server/live/log-lines.js'
import { testApp, USERS, type LoggedIn, type TestApp } from '../../support/app.js'
import { gone } from '../../support/gone.js'
import { opened, openSocket } from '../../support/socket.js'

const BLOCK = { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }
const MINUTE = 60_000

/** The app of `testApp`, listening. @returns where the live channel is */
async function listening(at: TestApp): Promise<string> {
  return `${await at.app.listen({ host: '127.0.0.1', port: 0 })}${at.app.config.basePath.replace(/\/$/, '')}/api/ws`
}

/** A second server process, as far as the files tell, on the same folders. */
async function second(t: Test, at: TestApp, liveTick = 50): Promise<{ url: string; app: TestApp['app'] }> {
  const logger = pino({ enabled: false })
  const app = await buildApp(at.app.config, { logger, clock: () => at.clock.now, liveTick })
  t.teardown(() => app.close())
  return { url: `${await app.listen({ host: '127.0.0.1', port: 0 })}/api/ws`, app }
}

t.test('only a logged-in browser of the own origin is let in', async t => {
  const at = await testApp(t, { basePath: '/Sub/path' })
  const url = await listening(at)
  const alice = await at.login('alice', { url: '/Sub/path/api/login' })
  const victor = await at.login('victor', { url: '/Sub/path/api/login' })
  const origin = url.replace(/\/Sub.*/, '')
  const rows: [number, string, Record<string, string>, string?][] = [
    [401, 'nobody', {}],
    [401, 'a cookie that is none', { cookie: 'f2br_session=x.y' }],
    [401, "another browser's cookie", { ...alice.headers, 'user-agent': 'another' }],
    [403, 'another origin', { ...alice.headers, origin: 'https://evil.example' }],
    [403, 'the own host, another port', { ...alice.headers, origin: 'http://127.0.0.1:1' }],
    [403, 'an opaque origin', { ...alice.headers, origin: 'null' }],
    [403, "a viewer who wants the server's log", victor.headers, '?console=true'],
    [400, 'what is not asked for like that', alice.headers, '?console=1'],
    [404, 'another path', alice.headers, '/x'],
    [404, 'a route of another kind', alice.headers, '/../session'],
    [404, 'the page', {}, '/../../']
  ]
  for (const [status, what, headers, more = ''] of rows) {
    const agent = { 'user-agent': 'lightMyRequest', origin, ...headers }
    const reply = await openSocket(url + more, agent)
    t.match(reply, { status, body: /"success":false/ }, what)
  }
  t.equal((await at.get('/Sub/path/api/ws', alice)).statusCode, 426, 'no WebSocket')
  t.equal((await at.get('/Sub/path/api/ws')).statusCode, 401, 'nor without a log-in')
  const browser = await opened(url, { 'user-agent': 'lightMyRequest', origin, ...alice.headers })
  t.equal(at.app.live.browsers.size, 1)
  browser.socket.close()
})

t.test('behind a proxy that is trusted, the origin is what the browser sees', async t => {
  const at = await testApp(t, { trustProxy: ['127.0.0.1'] })
  const url = await listening(at)
  const alice = await at.login()
  const proxied = {
    ...as(alice),
    host: 'reports.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '198.51.100.7'
  }
  t.match(await openSocket(url, { ...proxied, origin: 'http://reports.example' }), { status: 403 })
  const browser = await opened(url, { ...proxied, origin: 'https://reports.example' })
  browser.socket.close()
})

t.test('what one server process changes reaches browsers of the others within a second', async t => {
  const at = await testApp(t)
  await at.app.listen({ host: '127.0.0.1', port: 0 })
  const other = await second(t, at)
  const alice = await at.login()
  const browser = await opened(other.url, as(alice))
  const begun = performance.now()
  t.equal((await at.post('/api/block', BLOCK, alice)).statusCode, 200)
  const said = await browser.heard('blocklist_changed')
  t.ok(performance.now() - begun < 1000)
  t.match(said, {
    time: '2026-03-01T12:00:00.000+00:00',
    data: { server: 'web-1', jail: 'sshd', list: 'sshd.blocklist.json', update: 'waits' }
  })
  t.equal((await at.post('/api/block', BLOCK, alice)).statusCode, 200)
  await at.app.store.live.publish('whitelist_changed', { servers: [] })
  await browser.heard('whitelist_changed')
  t.equal(browser.said.length, 2, 'each once, and nothing of what changed nothing')
  await other.app.store.live.publish('command_result', {
    server: 'web-1',
    id: '1',
    type: 'health',
    state: 'completed'
  })
  await browser.heard('command_result')
})

t.test('of notes that follow each other closely none waits for the next look at the clock', async t => {
  const at = await testApp(t)
  const other = await second(t, at, 600_000)
  const alice = await at.login()
  const browser = await opened(other.url, as(alice))
  for (let round = 0; round < 10; round++) {
    for (const apart of [0, 10, 30]) {
      await at.app.store.live.publish('whitelist_changed', { servers: [`${round}-${apart}`] })
      await new Promise(resolve => setTimeout(resolve, apart))
    }
    await browser.heard('whitelist_changed', ({ servers }) => String(servers) === `${round}-30`)
  }
  t.equal(browser.said.filter(({ type }) => type === 'whitelist_changed').length, 30)
})

t.test('notes survive their file being set aside, and text that is none of ours', async t => {
  const at = await testApp(t)
  const heard: unknown[] = []
  const { live } = at.app.store
  const reader = live.follow(note => heard.push(note))
  const pad = 'x'.repeat(200_000)
  for (let n = 0; n < 13; n++) {
    await live.publish('command_result', { server: String(n), id: pad, type: '', state: '' })
    if (n % 4 === 3) await reader.look()
  }
  await reader.look()
  t.equal(heard.length, 13)
  // It is set aside beside the last notes; no half of a line may go with it.
  const notes = at.path('archive', 'live.jsonl')
  if (((await stat(notes).catch(() => undefined))?.size ?? 0) >= 1024 * 1024) await gone(notes)
  await appendFile(notes, '{"type":"from-tomorrow","time":"","data":{}}\nno JSON\n{"type":')
  await reader.look()
  await appendFile(notes, '"whitelist_changed","time":"","data":{"servers":[]}}\n')
  await reader.look()
  t.equal(heard.length, 14, 'the line that came in halves')
  await live.unfollow(reader)
  t.ok(
    (await readFile(at.path('archive', 'live.jsonl.1'), 'utf8')).length > 1024 * 1024,
    'it is set aside once full'
  )
  t.ok((await readFile(notes, 'utf8')).length < 1400 * 1024)
})

t.test('a connection ends with its session', async t => {
  const at = await testApp(t, {}, { liveTick: 20 })
  const url = await listening(at)
  const other = await second(t, at)
  const alice = await at.login()
  const victor = await at.login('victor')
  const [here, there, viewer] = [
    await opened(url, as(alice)),
    await opened(other.url, as(alice)),
    await opened(other.url, as(victor))
  ]
  await at.post('/api/logout', {}, alice)
  t.match(await here.closed, { code: 4401 }, 'a log-out at this process')
  t.match(await there.closed, { code: 4401 }, 'and at another one')
  t.equal(viewer.socket.readyState, viewer.socket.OPEN, "another one's session goes on")
  await at.writeUsers(USERS.filter(({ username }) => username !== 'victor'))
  t.match(await viewer.closed, { code: 4401 }, 'a user who was removed')

  const again = await opened(url, as(await at.login()))
  at.clock.now += 30 * MINUTE - 1
  await again.heard('heartbeat')
  t.equal(again.socket.readyState, again.socket.OPEN)
  at.clock.now += 1
  t.match(await again.closed, { code: 4401 }, 'its time is over: the connection is no use of it')
})

t.test('opening a connection renews nothing: the browser would not get the new cookie', async t => {
  const at = await testApp(t)
  const url = await listening(at)
  const alice = await at.login()
  at.clock.now += 16 * MINUTE
  const browser = await opened(url, as(alice))
  at.clock.now += MINUTE
  t.equal((await at.get('/api/session', alice)).statusCode, 200, 'the old cookie is still good')
  browser.socket.close()
})

t.test("admins see a host's log lines and, if they ask, the server's own; viewers neither", async t => {
  const logLines = new LogLines()
  const at = await testApp(t, {}, { logLines, liveTick: 20 })
  const url = await listening(at)
  const [admin, viewer] = [as(await at.login()), as(await at.login('victor'))]
  const [quiet, watching, looking] = [
    await opened(url, admin),
    await opened(`${url}?console=true`, admin),
    await opened(url, viewer)
  ]
  logLines.write('{"level":30,"event":"listening"}\n')
  const event = {
    timestamp: '2026-03-01 12:00:00,000',
    action: 'Ban',
    ip: '203.0.113.9',
    jail: 'sshd'
  } as const
  await at.app.store.live.publish('ban_event', {
    server: 'web-1',
    ...event,
    via: 'callback',
    logs: 'Failed password'
  })
  t.match(await quiet.heard('ban_event'), { data: { ...event, logs: 'Failed password' } })
  t.match(await looking.heard('ban_event'), { data: event })
  t.notMatch(looking.said, [{ data: { logs: String } }])
  t.match(await watching.heard('console_log'), { data: { line: { event: 'listening' } } })
  await at.app.store.live.publish('command_result', {
    server: 'web-1',
    id: '1',
    type: 'health',
    state: 'completed'
  })
  await Promise.all([quiet, watching].map(one => one.heard('command_result')))
  await looking.heard('heartbeat')
  t.notOk([...quiet.said, ...looking.said].some(({ type }) => type === 'console_log'))
  t.notOk(looking.said.some(({ type }) => type === 'command_result'))
})

t.test('who does not read, speaks or holds too many connections is dropped', async t => {
  const at = await testApp(t)
  const url = await listening(at)
  const alice = as(await at.login())
  const slow = await opened(url, alice)
  slow.socket.pause()
  for (let n = 0; n < 64 && at.app.live.browsers.size > 0; n++) {
    at.app.live.browsers.send('"'.padEnd(1024 * 1024) + '"', { key: 'alice' })
    await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(at.app.live.browsers.size, 0, 'the slow one')
  slow.socket.terminate()

  const chatty = await opened(url, alice)
  chatty.socket.send('hello')
  t.match(await chatty.closed, { code: 1003 })
  const huge = await opened(url, alice)
  huge.socket.send('x'.repeat(2000))
  t.match(await huge.closed, { code: 1009 })

  const first = await opened(url, alice)
  const more = await Promise.all(Array.from({ length: 20 }, () => opened(url, alice)))
  t.match(await first.closed, { code: 1006 }, 'the oldest of too many')
  t.equal(at.app.live.browsers.size, 20)
  for (const { socket } of more) socket.terminate()
})

t.test('a server that is told to stop takes leave of its connections at once', async t => {
  const at = await testApp(t)
  const url = await listening(at)
  const browser = await opened(url, as(await at.login()))
  const deaf = await opened(url, as(await at.login()))
  deaf.socket.pause()
  const begun = performance.now()
  await at.app.close()
  t.ok(performance.now() - begun < 3000, 'also of one that does not answer')
  t.match(await browser.closed, { code: 1001 })
  deaf.socket.terminate()
})

/** The headers of a browser that logged in by `inject`. */
function as(one: LoggedIn): Record<string, string> {
  return { 'user-agent': 'lightMyRequest', ...one.headers }
}
