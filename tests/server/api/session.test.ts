import { readFile, writeFile } from 'node:fs/promises'
import { hashSync } from '@node-rs/bcrypt'
import t from 'tap'
import { ProductError } from '../../../common/errors.js'
import { cookieOf, loggedIn, PASSWORDS, testApp, USERS, type LoggedIn } from '../../support/app.js'

const MINUTE = 60_000
const SESSION = '/api/session'

t.test('a log-in sets a cookie that only this site sends and no script reads', async t => {
  const at = await testApp(t, { basePath: '/Sub/path', trustProxy: ['127.0.0.1'] })
  const payload = { username: 'alice', password: PASSWORDS.alice }
  const url = '/Sub/path/api/login'
  const plain = await at.post(url, payload)
  t.equal(plain.statusCode, 200)
  const cookie = String(plain.headers['set-cookie'])
  t.match(cookie, /^f2br_session=[\w.-]+; Path=\/Sub\/path; HttpOnly; SameSite=Strict$/)
  t.match(plain.json(), {
    success: true,
    user: 'alice',
    role: 'admin',
    csrf: /^[\w-]{43}$/,
    expires: { idle: '2026-03-01T12:30:00.000+00:00', absolute: '2026-03-01T14:00:00.000+00:00' }
  })
  t.equal(plain.headers['cache-control'], 'no-store')
  const secure = await at.post(url, payload, undefined, { 'x-forwarded-proto': 'https' })
  t.match(String(secure.headers['set-cookie']), /; HttpOnly; Secure; SameSite=Strict$/)
  t.notMatch(at.lines.join(''), PASSWORDS.alice)
  t.match(
    at.lines.map(line => JSON.parse(line) as unknown),
    [{ event: 'login', user: 'alice', peer: '127.0.0.1' }, { event: 'login' }]
  )
})

t.test('a session ends after 30 minutes unheard of, and 2 hours in any case', async t => {
  const at = await testApp(t)
  const start = at.clock.now
  const idle = await at.login()
  at.clock.now = start + 30 * MINUTE - 1
  const late = await at.get(SESSION, idle)
  t.equal(late.statusCode, 200, 'a millisecond before')
  at.clock.now = start + 30 * MINUTE
  t.equal((await at.get(SESSION, idle)).statusCode, 401, 'the old cookie is idle')

  let browser = await at.login()
  const begin = at.clock.now
  for (let minute = 10; minute < 120; minute += 10) {
    at.clock.now = begin + minute * MINUTE
    const reply = await at.get(SESSION, browser)
    t.equal(reply.statusCode, 200, `${minute} minutes in use`)
    browser = { ...browser, headers: { cookie: cookieOf(reply) ?? '' } }
  }
  at.clock.now = begin + 120 * MINUTE
  t.equal((await at.get(SESSION, browser)).statusCode, 401, 'used all the time, and over')
})

t.test('the cookie is written anew when it is a minute old, not with every request', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  at.clock.now += MINUTE - 1
  t.equal(cookieOf(await at.get(SESSION, alice)), undefined)
  at.clock.now += 1
  const reply = await at.get(SESSION, alice)
  t.not(cookieOf(reply), undefined)
  t.equal(reply.json<{ expires: { idle: string } }>().expires.idle, '2026-03-01T12:31:00.000+00:00')
})

t.test('after 15 minutes a new id takes over; parallel requests with the old one still pass', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  at.clock.now += 15 * MINUTE
  const parallel = await Promise.all(Array.from({ length: 5 }, () => at.get(SESSION, alice)))
  t.ok(parallel.every(reply => reply.statusCode === 200))
  const cookies = new Set(parallel.map(cookieOf))
  t.equal(cookies.size, 1, 'all are given the same new id')
  const [cookie = ''] = cookies
  t.not(cookie, alice.cookie)
  const next: LoggedIn = { ...alice, headers: { ...alice.headers, cookie } }
  at.clock.now += 29_999
  t.equal((await at.get(SESSION, alice)).statusCode, 200, 'still under way with the old one')
  at.clock.now += 1
  t.equal((await at.get(SESSION, alice)).statusCode, 401, 'the old one has ended')
  t.equal((await at.get(SESSION, next)).statusCode, 200)
  t.equal((await at.post('/api/logout', {}, next)).statusCode, 200, 'the CSRF token of an open page lives on')
})

t.test('a renewal that cannot be stored is logged and costs nobody the session', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  at.app.store.sessions.end = () => Promise.reject(new ProductError('DISK', 'no space'))
  at.clock.now += 20 * MINUTE
  const reply = await at.get(SESSION, alice)
  t.equal(reply.statusCode, 200)
  t.match(JSON.parse(at.lines.at(-1)!), { level: 50, event: 'session_renewal_failed' })
  at.clock.now += 20 * MINUTE
  const headers = { cookie: cookieOf(reply) ?? '' }
  t.equal((await at.get(SESSION, { ...alice, headers })).statusCode, 200)
})

t.test('a log-out ends the session in all its ids, also for a copy of the cookie', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const other = await at.login()
  at.clock.now += 15 * MINUTE
  const cookie = cookieOf(await at.get(SESSION, alice)) ?? ''
  const renewed: LoggedIn = { ...alice, headers: { ...alice.headers, cookie } }
  const reply = await at.post('/api/logout', {}, renewed)
  t.strictSame(reply.json(), { success: true, message: 'You are logged out.' })
  t.match(String(reply.headers['set-cookie']), /^f2br_session=; Path=\/; Expires=Thu, 01 Jan 1970/)
  for (const copy of [alice, renewed]) t.equal((await at.get(SESSION, copy)).statusCode, 401)
  t.equal((await at.get(SESSION, other)).statusCode, 200, 'another log-in of the same user goes on')
})

t.test('a change of users.json ends sessions at once', async t => {
  const at = await testApp(t)
  const [alice, victor] = USERS
  const rows: [string, typeof USERS][] = [
    ['removed', [victor!]],
    ['another role', [{ ...alice!, role: 'viewer' }, victor!]],
    ['another password', [{ ...alice!, password: hashSync('new', 4) }, victor!]]
  ]
  for (const [what, users] of rows) {
    await at.writeUsers(USERS)
    const session = await at.login()
    const bystander = await at.login('victor')
    t.equal((await at.get(SESSION, session)).statusCode, 200)
    await at.writeUsers(users)
    t.equal((await at.get(SESSION, session)).statusCode, 401, what)
    t.equal((await at.get(SESSION, bystander)).statusCode, 200, 'others stay')
  }
})

t.test('each log-in makes a new session, whatever cookie came with it', async t => {
  const at = await testApp(t)
  const first = await at.login()
  const planted = await at.login('alice', { headers: { cookie: first.cookie } })
  t.not(planted.cookie, first.cookie)
  t.not(planted.csrf, first.csrf)
  const victor = await at.login('victor', { headers: { cookie: first.cookie } })
  t.match((await at.get(SESSION, victor)).json(), { user: 'victor', role: 'viewer' })
})

t.test('a cookie that this server has not signed counts for nothing', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const [content = '', signature = ''] = alice.cookie.split('=')[1]!.split('.')
  const token = JSON.parse(Buffer.from(content, 'base64url').toString()) as Record<string, unknown>
  const forged = Buffer.from(JSON.stringify({ ...token, user: 'victor' })).toString('base64url')
  const rows = ['', '.', 'x', `${content}.`, `.${signature}`, `${forged}.${signature}`, 'x'.repeat(5000)]
  for (const text of [...rows, `${content}.${signature.slice(0, -1)}`, `${signature}.${content}`]) {
    const reply = await at.get(SESSION, undefined, { cookie: `f2br_session=${text}` })
    t.equal(reply.statusCode, 401, text.slice(0, 30))
    t.strictSame(reply.json(), { success: false, message: 'Log in first.' })
  }
  const file = at.path('settings', 'session-key.json')
  t.match(JSON.parse(await readFile(file, 'utf8')), { key: /^[0-9a-f]{64}$/ })
  await writeFile(file, JSON.stringify({ key: 'ab'.repeat(32) }))
  t.equal((await at.get(SESSION, alice)).statusCode, 401, 'another key, another installation')
})

t.test('wrong password, unknown user and bad input', async t => {
  const at = await testApp(t)
  const wrong = { success: false, message: 'Wrong user name or password.' }
  const rows: [unknown, number][] = [
    [{ username: 'alice', password: 'wrong' }, 401],
    [{ username: 'nobody', password: PASSWORDS.alice }, 401],
    [{ username: 'ALICE', password: PASSWORDS.alice }, 401],
    [{ username: '__proto__', password: 'x' }, 401],
    [{ username: 'alice', password: '' }, 401],
    [{ username: 'alice', password: `${PASSWORDS.alice}\0` }, 401],
    [{ username: 'alice', password: 'x'.repeat(1025) }, 400],
    [{ username: 'alice' }, 400],
    [{ username: ['alice'], password: PASSWORDS.alice }, 400],
    [{ username: 'alice', password: PASSWORDS.alice, role: 'admin' }, 400],
    [[], 400]
  ]
  for (const [body, status] of rows) {
    const reply = await at.post('/api/login', body)
    t.equal(reply.statusCode, status, JSON.stringify(body).slice(0, 60))
    t.equal(reply.headers['set-cookie'], undefined)
    if (status === 401) t.strictSame(reply.json(), wrong)
    else t.match(reply.json(), { success: false, message: String })
  }
  const logged = at.lines.map(line => JSON.parse(line) as Record<string, unknown>)
  t.equal(logged.filter(line => line.event === 'auth_failure').length, 6)
  t.match(logged[1], { event: 'auth_failure', what: 'login', peer: '127.0.0.1', user: 'nobody' })
})

t.test('only JSON is taken, and no log-in that another site sends', async t => {
  const at = await testApp(t)
  const form = 'username=alice&password=x'
  for (const type of [
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data; boundary=x',
    'a/b'
  ]) {
    const reply = await at.post('/api/login', form, undefined, { 'content-type': type })
    t.equal(reply.statusCode, 415, type)
    t.match(reply.json(), { success: false, message: String })
  }
  const body = { username: 'alice', password: PASSWORDS.alice }
  const rows: [Record<string, string>, number][] = [
    [{ origin: 'http://localhost:80' }, 200],
    [{ origin: 'http://report.example', host: 'report.example:80' }, 200],
    [{ 'sec-fetch-site': 'same-origin' }, 200],
    [{ origin: 'https://localhost:80' }, 403],
    [{ origin: 'http://localhost:81' }, 403],
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ origin: 'junk' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-site' }, 403]
  ]
  for (const [headers, status] of rows) {
    const reply = await at.post('/api/login', body, undefined, headers)
    t.equal(reply.statusCode, status, JSON.stringify(headers))
    if (status === 403) t.match(reply.json(), { message: /did not come from this page/ })
  }
})

t.test('behind a trusted proxy the origin is the one the browser sees', async t => {
  const at = await testApp(t, { trustProxy: ['127.0.0.1'] })
  const body = { username: 'alice', password: PASSWORDS.alice }
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'report.example' }
  const own = await at.post('/api/login', body, undefined, { ...forwarded, origin: 'https://report.example' })
  t.equal(own.statusCode, 200)
  const other = await at.post('/api/login', body, undefined, { ...forwarded, origin: 'http://localhost:80' })
  t.equal(other.statusCode, 403)
})

t.test('guessing is limited by address; another address is not hindered', async t => {
  const at = await testApp(t)
  const attempt = (remoteAddress: string, username = 'alice', password = 'wrong') =>
    at.app.inject({ method: 'POST', url: '/api/login', payload: { username, password }, remoteAddress })
  const together = await Promise.all(Array.from({ length: 15 }, () => attempt('203.0.113.1')))
  const statuses = together.map(reply => reply.statusCode)
  t.equal(statuses.filter(status => status === 401).length, 10, 'sent all at once, ten are looked at')
  t.equal(statuses.filter(status => status === 429).length, 5)
  const right = await attempt('203.0.113.1', 'victor', PASSWORDS.victor)
  t.equal(right.statusCode, 429, 'even the right password waits')
  t.match(right.headers, { 'retry-after': String })
  t.equal(right.headers['set-cookie'], undefined)
  t.equal((await attempt('203.0.113.2', 'victor', PASSWORDS.victor)).statusCode, 200)
  for (let host = 1; host <= 10; host++) await attempt(`2001:db8::${host}`, 'nobody')
  t.equal((await attempt('2001:db8::ff', 'nobody')).statusCode, 429, 'a /64 is one address')
  t.equal((await attempt('2001:db8:0:1::1', 'nobody')).statusCode, 401)
  t.equal((await attempt('::ffff:203.0.113.1', 'nobody')).statusCode, 429, 'IPv4 on a socket for both')
  t.equal((await attempt('::ffff:203.0.113.3', 'nobody')).statusCode, 401)
  at.clock.now += 10 * MINUTE
  t.equal((await attempt('203.0.113.1', 'victor', PASSWORDS.victor)).statusCode, 200, 'ten minutes later')
})

t.test('guessing one account from many addresses is limited; a success forgives', async t => {
  const at = await testApp(t)
  const attempt = (host: number, username: string, password: string) =>
    at.app.inject({
      method: 'POST',
      url: '/api/login',
      payload: { username, password },
      remoteAddress: `203.0.113.${host}`
    })
  for (let host = 0; host < 29; host++) await attempt(host, 'alice', 'wrong')
  t.equal((await attempt(100, 'alice', PASSWORDS.alice)).statusCode, 200)
  for (let host = 0; host < 30; host++) await attempt(host, 'alice', 'wrong')
  t.equal((await attempt(101, 'alice', PASSWORDS.alice)).statusCode, 429)
  t.equal((await attempt(101, 'victor', PASSWORDS.victor)).statusCode, 200, 'other accounts are not hindered')
})

t.test('hashes as PHP writes them verify, and longer passwords as PHP cuts them', async t => {
  const at = await testApp(t)
  const long = 'x'.repeat(80)
  await at.writeUsers([
    // Made by another implementation, crypt(3), in the spelling of PHP's password_hash.
    {
      username: 'crypt',
      password: '$2y$07$BCryptRequires22Chrcte/VlQH0piJtjXl.0t1XkA8pw9dMXTpOq',
      role: 'admin'
    },
    { username: 'php', password: hashSync('päßword', 5).replace('$2b$', '$2y$'), role: 'viewer' },
    { username: 'long', password: hashSync(long.slice(0, 72), 4).replace('$2b$', '$2y$'), role: 'viewer' },
    { username: 'broken', password: '$2y$10$short', role: 'admin' },
    { username: 'empty', password: '', role: 'admin' }
  ])
  const rows: [string, string, number][] = [
    ['crypt', 'rasmuslerdorf', 200],
    ['crypt', 'rasmuslerdorF', 401],
    ['php', 'päßword', 200],
    ['php', 'passwort', 401],
    ['long', long, 200],
    ['broken', '', 401],
    ['empty', '', 401]
  ]
  for (const [username, password, status] of rows) {
    t.equal((await at.post('/api/login', { username, password })).statusCode, status, username)
  }
})

t.test('an unknown user costs the same check as a wrong password', async t => {
  const at = await testApp(t)
  await at.writeUsers([{ ...USERS[0]!, password: hashSync('x', 10) }])
  const { passwords } = at.app.store
  const costs: string[] = []
  passwords.matches = (_password, hash) => {
    costs.push(/^\$2[aby]\$(\d\d)\$.{53}$/.exec(hash)?.[1] ?? hash)
    return Promise.resolve(false)
  }
  for (const username of ['alice', 'nobody', 'somebody else']) {
    t.equal((await at.post('/api/login', { username, password: 'wrong' })).statusCode, 401)
  }
  t.strictSame(costs, ['10', '10', '10'])
})

t.test(
  'users.json that is missing lets nobody in; one that is corrupt is an error, not an open door',
  async t => {
    const at = await testApp(t)
    const alice = await at.login()
    await writeFile(at.path('settings', 'users.json'), '[{"username":')
    t.equal((await at.get(SESSION, alice)).statusCode, 500)
    t.equal((await at.post('/api/login', { username: 'alice', password: PASSWORDS.alice })).statusCode, 500)
    await at.writeUsers([])
    t.equal((await at.get(SESSION, alice)).statusCode, 401)
    t.equal((await at.post('/api/login', { username: 'alice', password: PASSWORDS.alice })).statusCode, 401)
  }
)

t.test('two server processes on the same folders share sessions and log-outs', async t => {
  const one = await testApp(t)
  const two = await testApp(t, { folders: one.app.config.folders })
  const reply = await one.post('/api/login', { username: 'alice', password: PASSWORDS.alice })
  const alice = loggedIn(reply)
  t.equal((await two.get(SESSION, alice)).statusCode, 200)
  t.equal((await two.post('/api/logout', {}, alice)).statusCode, 200)
  t.equal((await one.get(SESSION, alice)).statusCode, 401)
})
