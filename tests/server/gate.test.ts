import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { address } from '../../common/address.js'
import type { ServerConfig } from '../../server/config.js'
import { WebSocket } from 'ws'
import { scratch } from '../support/scratch.js'
import { testApp, type TestApp } from '../support/app.js'

const PASSWORD = 'in front of it'
const HASH = hashSync(PASSWORD, 4)
const basic = (user = 'front', password = PASSWORD) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
})
const LISTED = '192.0.2.7'
const STRANGER = '203.0.113.9'

/** An app with a password file in front. */
async function gated(t: Test, more: Partial<ServerConfig> = {}, text = `front:${HASH}\n`): Promise<TestApp> {
  const file = join(scratch(t), '.htpasswd')
  await writeFile(file, text)
  return testApp(t, { htpasswd: file, ...more })
}

const status = async (
  at: TestApp,
  url: string,
  remoteAddress = STRANGER,
  headers: Record<string, string> = {}
) => (await at.app.inject({ url, remoteAddress, headers })).statusCode

t.test('a password file stands in front of the pages and the API, the log-in stays behind it', async t => {
  const at = await gated(t)
  for (const url of [
    '/',
    '/index.html',
    '/main.tsx',
    '/nothing-here',
    '/api/session',
    '/api/servers',
    '/api/ws'
  ]) {
    const reply = await at.app.inject({ url })
    t.equal(reply.statusCode, 401, url)
    t.equal(reply.headers['www-authenticate'], 'Basic realm="Fail2Ban-Report", charset="UTF-8"', url)
    t.match(reply.json(), { success: false, message: /user name and its password/ })
    t.equal(reply.headers['cache-control'], 'no-store')
  }
  t.equal((await at.app.inject({ method: 'HEAD', url: '/index.html' })).statusCode, 401)
  t.equal((await at.post('/api/login', { username: 'alice', password: 'x' })).statusCode, 401)
  t.equal(await status(at, '/index.html', STRANGER, basic()), 200)
  const inside = await at.get('/api/session', undefined, basic())
  t.equal(inside.statusCode, 401, 'who is past the gate is not logged in')
  t.equal(inside.headers['www-authenticate'], undefined, 'and the browser asks for nothing')
  t.match(inside.json(), { message: 'Log in first.' })
  const alice = await at.login('alice', { headers: basic() })
  t.equal((await at.get('/api/session', alice)).statusCode, 401, 'a session alone is not enough')
  t.equal((await at.get('/api/session', alice, basic())).statusCode, 200)
  t.equal((await at.app.inject('/healthz')).statusCode, 200)
})

t.test('hosts, their machines’ routes and callbacks are not asked for it', async t => {
  const at = await gated(t)
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const update = {
    method: 'POST',
    url: '/endpoint/update.php',
    payload: 'username=web-1',
    headers: form
  } as const
  t.match((await at.app.inject(update)).json(), { message: 'Authentication failed (user/uuid).' })
  t.match((await at.app.inject({ url: '/api/v1/whitelist/plain' })).headers, {
    'www-authenticate': undefined
  })
  const ban = await at.post('/api/ban', { serverId: 'x' })
  t.match(ban.json(), { message: /callback secret/ })
  t.equal(ban.headers['www-authenticate'], undefined)
})

t.test('what is no Basic header, or a wrong one, is refused alike', async t => {
  const at = await gated(t)
  const raw = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  for (const headers of [
    { authorization: 'Basic' },
    { authorization: 'Basic !!!' },
    { authorization: 'Bearer abc' },
    raw('front'),
    raw(`front\0:${PASSWORD}`),
    basic('front', ''),
    basic('', PASSWORD),
    basic('nobody'),
    basic('__proto__'),
    basic('front', HASH),
    basic('FRONT')
  ]) {
    const reply = await at.app.inject({ url: '/index.html', headers: headers as Record<string, string> })
    t.equal(reply.statusCode, 401, JSON.stringify(headers))
    t.match(reply.json(), { success: false, message: 'A user name and its password are needed.' })
  }
})

t.test('guessing is limited by address and logged; the same wrong password again is one guess', async t => {
  const at = await gated(t)
  const failures = () => at.lines.filter(line => line.includes('"event":"auth_failure","what":"basic"'))
  for (let n = 0; n < 30; n++) t.equal(await status(at, '/', STRANGER, basic('front', 'old one')), 401)
  t.equal(failures().length, 1, 'an open page that repeats it locks nobody out')
  t.match(failures()[0], /"peer":"203\.0\.113\.9","user":"front","msg":"authentication failed"\}$/m)
  t.notMatch(at.lines.join(''), 'old one')
  for (let n = 0; n < 9; n++) t.equal(await status(at, '/', STRANGER, basic(`user${n}`)), 401)
  const late = await at.app.inject({ url: '/', remoteAddress: STRANGER, headers: basic('front', 'another') })
  t.equal(late.statusCode, 429)
  t.equal(late.headers['www-authenticate'], undefined)
  t.equal(failures().length, 11)
  t.equal(await status(at, '/index.html', STRANGER, basic()), 429, 'the right one too')
  t.equal(await status(at, '/index.html', LISTED, basic()), 200, 'others are not touched')
  t.equal(await status(at, '/', STRANGER), 401, 'a request without any is no guess')
  at.clock.now += 10 * 60_000 + 1
  t.equal(await status(at, '/index.html', STRANGER, basic()), 200)
  const many = await Promise.all(
    Array.from({ length: 60 }, (_, n) => status(at, '/', '198.51.100.1', basic('front', `guess ${n}`)))
  )
  t.ok(many.filter(code => code === 401).length <= 13, 'guesses sent all at once do not pass together')
})

t.test(
  'a changed file counts at once; one that went bad lets nobody in, and says so to the log only',
  async t => {
    const at = await gated(t)
    const file = at.app.config.htpasswd
    t.equal(await status(at, '/index.html', STRANGER, basic()), 200)
    await writeFile(file, `other:${HASH}\n`)
    t.equal(await status(at, '/index.html', STRANGER, basic()), 401, 'a removed user is out at once')
    t.equal(await status(at, '/index.html', STRANGER, basic('other')), 200)
    for (const bad of ['', 'other', `other:${HASH}\nthird:$apr1$x$y\n`]) {
      await writeFile(file, bad)
      const reply = await at.app.inject({ url: '/index.html', headers: basic('other') })
      t.equal(reply.statusCode, 503, bad)
      t.equal(reply.headers['www-authenticate'], undefined)
      t.notMatch(reply.body, /htpasswd|third/)
    }
    t.match(at.lines.at(-1), /line 2 \(third\): not a bcrypt hash.*htpasswd -B/)
    t.equal(await status(at, '/healthz'), 200)
    await writeFile(file, `front:${HASH}\n`)
    t.equal(await status(at, '/index.html', STRANGER, basic()), 200)
  }
)

t.test('address lists: dashboard and endpoints apart, v4, v6, mapped; 403 in the one shape', async t => {
  const at = await testApp(t, {
    trustProxy: ['127.0.0.9'],
    allowDashboard: [address('192.0.2.0/24'), address('2001:db8::/32')],
    allowEndpoints: [address('198.51.100.5')]
  })
  for (const [peer, dashboard, hosts] of [
    [LISTED, 200, 403],
    ['::ffff:192.0.2.9', 200, 403],
    ['2001:db8:1::5', 200, 403],
    ['198.51.100.5', 403, 401],
    [STRANGER, 403, 403],
    ['2001:db9::1', 403, 403],
    ['127.0.0.1', 403, 403]
  ] as const) {
    t.equal(await status(at, '/index.html', peer), dashboard, `dashboard for ${peer}`)
    t.equal(await status(at, '/api/v1/whitelist/plain', peer), hosts, `hosts for ${peer}`)
    t.equal(await status(at, '/healthz', peer), 200)
  }
  for (const url of ['/', '/nothing', '/api/session', '/api/ws', '/api/v1/commands', '/api/v1/commands/x']) {
    const reply = await at.app.inject({ url, remoteAddress: STRANGER })
    t.strictSame(
      [reply.statusCode, reply.json()],
      [403, { success: false, message: 'Your address may not come in here.' }]
    )
  }
  for (const url of ['/endpoint/update.php', '/api/ban', '/api/v1/report'])
    t.equal(
      (await at.app.inject({ method: 'POST', url, remoteAddress: LISTED, payload: {} })).statusCode,
      403,
      url
    )
  const behind = (peer: string) => status(at, '/index.html', '127.0.0.9', { 'x-forwarded-for': peer })
  t.equal(await behind(LISTED), 200, 'the address behind a trusted proxy counts')
  t.equal(await behind(`${LISTED}, ${STRANGER}`), 403, 'not what the client itself claims')
  t.equal(await behind('junk'), 403)
  t.equal(
    await status(at, '/index.html', STRANGER, { 'x-forwarded-for': LISTED }),
    403,
    'nor without a proxy'
  )
  t.match(at.lines.join(''), /"event":"address_refused","peer":"203\.0\.113\.9"/)
  const closed = await testApp(t, { allowDashboard: [] })
  t.equal(await status(closed, '/index.html', '127.0.0.1'), 403, 'none is nobody')
  t.equal((await closed.post('/api/ban', {})).statusCode, 401, 'hosts go on')
})

t.test('password and list together: both, or one of them', async t => {
  const allowDashboard = [address('192.0.2.0/24')]
  for (const [satisfy, expected] of [
    ['all', { listed: 401, both: 200, password: 403, none: 403 }],
    ['any', { listed: 200, both: 200, password: 200, none: 401 }]
  ] as const) {
    const at = await gated(t, { allowDashboard, satisfy })
    t.equal(await status(at, '/index.html', LISTED), expected.listed, satisfy)
    t.equal(await status(at, '/index.html', LISTED, basic()), expected.both, satisfy)
    t.equal(await status(at, '/index.html', STRANGER, basic()), expected.password, satisfy)
    t.equal(await status(at, '/index.html', STRANGER), expected.none, satisfy)
  }
  const alone = await gated(t, { satisfy: 'any' })
  t.equal(await status(alone, '/index.html', LISTED), 401, 'any without a list still asks for the password')
})

t.test(
  'a program’s key stands for the password, on its own routes only, and never for the address',
  async t => {
    const at = await gated(t, { allowDashboard: [address('192.0.2.0/24')] })
    const actor = { kind: 'cli', name: 'x', from: 'cli' } as const
    const secret = await at.app.store.keys.add('deploy', 'read', undefined, actor)
    const key = { authorization: `Bearer ${secret}` }
    t.equal(await status(at, '/api/v1/commands', LISTED, key), 200)
    t.equal(await status(at, '/api/v1/commands', STRANGER, key), 403)
    t.equal(await status(at, '/index.html', LISTED, key), 401)
    t.equal(await status(at, '/api/servers', LISTED, key), 401)
    t.equal(await status(at, '/api/v1/commands', LISTED), 401)
    const alice = await at.login('alice', { headers: basic(), remoteAddress: LISTED })
    const wrong = { cookie: alice.cookie, authorization: 'Bearer wrong' }
    const reply = await at.app.inject({ url: '/api/v1/commands', remoteAddress: LISTED, headers: wrong })
    t.match(
      reply.json(),
      { message: /Wrong API key/ },
      'a made-up key does not let a session past the password'
    )
    for (const authorization of ['Bearer', 'Bearer a b', 'bearer  ', 'Bearerx y']) {
      const headers = { cookie: alice.cookie, authorization }
      t.equal(await status(at, '/api/v1/commands', LISTED, headers), 401, authorization)
    }
    t.equal(await status(at, '/api/v1/commands', LISTED, { cookie: alice.cookie, ...basic() }), 200)
  }
)

t.test('the live channel is behind the gate as well, over a real socket', async t => {
  const at = await gated(t)
  const alice = await at.login('alice', { headers: basic() })
  const url = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/api/ws`.replace('http', 'ws')
  const opened = (headers: Record<string, string>) =>
    new Promise<number | 'open'>(resolve => {
      const socket = new WebSocket(url, { headers: { 'user-agent': 'lightMyRequest', ...headers } })
      socket.on('open', () => {
        socket.terminate()
        resolve('open')
      })
      socket.on('unexpected-response', (request, response) => {
        request.destroy()
        resolve(response.statusCode ?? 0)
      })
      socket.on('error', () => undefined)
    })
  t.equal(await opened({ cookie: alice.cookie }), 401)
  t.equal(await opened({ cookie: alice.cookie, ...basic() }), 'open')
})

t.test('a password file that can’t be used is an error at the start', async t => {
  const cases: [string, RegExp][] = [
    ['', /no user; add one with: htpasswd -B/],
    [
      `front:${HASH}\nmd5:$apr1$abcdefgh$abcdefghijklmnopqrstuv\n`,
      /line 2 \(md5\): not a bcrypt hash.*htpasswd -B/
    ],
    ['sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n', /line 1 \(sha\)/],
    ['plain:secret\n', /line 1 \(plain\)/],
    [`slow:${HASH.replace('$04$', '$31$')}\n`, /cost 4 to 16/],
    ['front\n', /line 1: user:hash is needed/],
    [`# two\nfront:${HASH}\nfront:${HASH}\n`, /line 3 \(front\): stands twice/],
    ['x'.repeat(1024 * 1024 + 1), /larger than/]
  ]
  for (const [text, message] of cases) {
    await t.rejects(gated(t, {}, text), { code: 'CONFIG', message })
  }
  await t.rejects(testApp(t, { htpasswd: '/nowhere/.htpasswd' }), { code: 'CONFIG', message: /ENOENT/ })
  await t.rejects(testApp(t, { htpasswd: '/' }), { code: 'CONFIG', message: /it is no file/ })
  for (const prefix of ['$2y$', '$2a$', '$2b$']) {
    const at = await gated(
      t,
      {},
      `\ufeff# made by hand\r\n\r\nfront:${HASH.replace('$2b$', prefix)}:more\r\n`
    )
    t.equal(await status(at, '/index.html', STRANGER, basic()), 200, prefix)
  }
})
