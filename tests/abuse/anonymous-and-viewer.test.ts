import { mkdir, writeFile } from 'node:fs/promises'
import { hashSync } from '@node-rs/bcrypt'
import t from 'tap'
import { THE_SERVER } from '../../server/store/audit-row.js'
import { cookieOf, loggedIn, PASSWORDS, testApp, USERS, type LoggedIn, type TestApp } from '../support/app.js'
import { asBody, endpointApp, WEB1 } from '../support/endpoint.js'
import { ownFolder } from '../support/own-folder.js'

const SESSION = '/api/session'
const EVERY_ROUTE = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const FIREFOX = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' }
const CURL = { 'user-agent': 'curl/8.14.1' }

/** All of an app's routes, as it tells them itself: a route that is added later is tested too. */
function routesOf(at: TestApp): { method: string; url: string }[] {
  const found: { method: string; url: string }[] = []
  const stack: { depth: number; text: string }[] = []
  for (const line of at.app.printRoutes({ commonPrefix: false }).split('\n')) {
    const match = /^([│├└─ ]*)(\S+) \(([A-Z, ]+)\)$/u.exec(line) ?? /^([│├└─ ]*)(\S+)$/u.exec(line)
    if (match === null) continue
    const depth = (match[1] ?? '').length
    while (stack.length > 0 && stack.at(-1)!.depth >= depth) stack.pop()
    stack.push({ depth, text: match[2] ?? '' })
    const url = stack.map(one => one.text).join('')
    for (const method of (match[3] ?? '').split(', ').filter(one => one !== '')) found.push({ method, url })
  }
  return found
}

/** fail2ban's callbacks: no session counts there, a host's own secret does (tests/server/endpoint/callbacks). */
const BY_HOSTS = new Set(['/api/ban', '/api/unban'])

/** Puts data of every kind there, each with a word that no reply to a stranger may hold. */
async function withSecrets(at: TestApp): Promise<void> {
  await at.writeList('web-1', 'sshd', [{ ip: '203.0.113.1', reason: 'CANARY', active: true, pending: false }])
  await mkdir(at.path('archive', 'web-1', 'fail2ban'))
  const event = { timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip: '203.0.113.1', jail: 'CANARY' }
  await writeFile(
    at.path('archive', 'web-1', 'fail2ban', 'fail2ban-events-20260301.json'),
    JSON.stringify([event])
  )
  await writeFile(
    at.path('archive', 'whitelist.json'),
    JSON.stringify([{ ip: '192.0.2.1', description: 'CANARY' }])
  )
  await writeFile(at.path('archive', 'update.json'), '{"web-1":{"sshd.blocklist.json":true}}')
}

t.test('no route but the log-in, the page and the health check answers a stranger', async t => {
  const at = await testApp(t)
  await withSecrets(at)
  const before = await at.bytes()
  const routes = routesOf(at)
  const api = routes.filter(({ url }) => url.startsWith('/api/') && !url.startsWith('/api/v1/'))
  t.ok(api.length > 12, `routes are found: ${api.length}`)
  for (const { method, url } of routes) {
    for (const payload of [undefined, { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }]) {
      const query = '?server=web-1&jail=sshd&day=20260301&file=sshd.blocklist.json'
      const reply = await at.app.inject({
        method: method as 'GET',
        url: url.replace('*', 'archive/update') + query,
        ...(payload === undefined || method === 'GET' || method === 'HEAD' ? {} : { payload })
      })
      t.notMatch(reply.body, /CANARY|203\.0\.113\.1|192\.0\.2\.1|web-1/, `${method} ${url}`)
      if (!url.startsWith('/api/') || url === '/api/login') continue
      const expected = url.startsWith('/api/v1/') ? [401, 403, 404] : [401, 404]
      t.ok(expected.includes(reply.statusCode), `${method} ${url}: ${reply.statusCode}`)
    }
  }
  t.strictSame(await at.bytes(), before)
})

t.test('a viewer changes nothing: every route that changes asks for an admin', async t => {
  const at = await testApp(t)
  await withSecrets(at)
  const victor = await at.login('victor')
  const before = await at.bytes()
  const changing = routesOf(at).filter(
    ({ method, url }) =>
      url.startsWith('/api/') &&
      !url.startsWith('/api/v1/') &&
      !['GET', 'HEAD'].includes(method) &&
      !/login|logout/.test(url) &&
      !BY_HOSTS.has(url)
  )
  t.ok(changing.length >= 4, `routes are found: ${changing.map(one => one.url).join()}`)
  const bodies = [
    { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] },
    { ips: ['203.0.113.9'] },
    { text: '203.0.113.9' },
    {}
  ]
  for (const { method, url } of changing) {
    for (const payload of bodies) {
      const reply = await at.app.inject({ method: method as 'POST', url, payload, headers: victor.headers })
      t.equal(reply.statusCode, 403, `${method} ${url}`)
      t.match(reply.json(), { success: false, message: /ask an admin/ })
    }
  }
  const tricks = [
    { 'x-http-method-override': 'POST' },
    { 'x-original-url': '/api/block' },
    { 'x-role': 'admin' }
  ]
  for (const headers of tricks) await at.get('/api/servers?role=admin&method=POST', victor, headers)
  for (const method of EVERY_ROUTE.slice(3)) {
    t.equal(
      (await at.app.inject({ method, url: '/api/block', headers: victor.headers })).statusCode,
      404,
      method
    )
  }
  t.strictSame(await at.bytes(), before)
})

t.test('CSRF: no change without the session’s own token, whichever way it is sent', async t => {
  const at = await testApp(t)
  await withSecrets(at)
  const alice = await at.login()
  const victor = await at.login('victor')
  const before = await at.bytes()
  const changing = routesOf(at).filter(
    ({ method, url }) =>
      url.startsWith('/api/') &&
      !url.startsWith('/api/v1/') &&
      method === 'POST' &&
      url !== '/api/login' &&
      !BY_HOSTS.has(url)
  )
  const body = { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }
  for (const { url } of changing) {
    const rows: [string, Record<string, string>, string?][] = [
      ['without', {}],
      ['another’s', { 'x-csrf-token': victor.csrf }],
      ['in a cookie', { cookie: `${alice.cookie}; x-csrf-token=${alice.csrf}` }],
      ['in the query', {}, `?csrf=${alice.csrf}&x-csrf-token=${alice.csrf}`],
      ['cross-site', { 'x-csrf-token': alice.csrf, 'sec-fetch-site': 'cross-site' }],
      ['same-site', { 'x-csrf-token': alice.csrf, 'sec-fetch-site': 'same-site' }],
      ['a foreign origin', { 'x-csrf-token': alice.csrf, origin: 'https://evil.example' }],
      [
        'an origin that begins alike',
        { 'x-csrf-token': alice.csrf, origin: 'http://localhost:80.evil.example' }
      ]
    ]
    for (const [what, headers, query = ''] of rows) {
      const reply = await at.post(url + query, body, undefined, { cookie: alice.cookie, ...headers })
      t.equal(reply.statusCode, 403, `${url} ${what}`)
      t.match(reply.json(), { message: /did not come from this page/ })
    }
  }
  t.strictSame(await at.bytes(), before)
  t.equal((await at.get(SESSION, alice)).statusCode, 200)
})

t.test('session fixation: a planted cookie never becomes a session, and a log-in makes new ids', async t => {
  const at = await testApp(t)
  const thief = await at.login('victor')
  for (const planted of [
    thief.cookie,
    'f2br_session=chosen',
    `f2br_session=${'x'.repeat(64)}.${'y'.repeat(43)}`
  ]) {
    const alice = await at.login('alice', { headers: { cookie: planted } })
    t.not(alice.cookie, planted)
    const after = await at.get(SESSION, undefined, { cookie: planted })
    t.notMatch(after.body, /alice/, 'whoever planted it is not alice')
  }
  const twice = await at.get(SESSION, undefined, { cookie: `f2br_session=junk; ${thief.cookie}` })
  t.equal(twice.statusCode, 401, 'a second cookie of the name does not help the first')
})

t.test('a stolen cookie is of no use with another user agent; the owner’s session goes on', async t => {
  const at = await testApp(t)
  const alice = await at.login('alice', { headers: FIREFOX })
  for (const headers of [CURL, { 'user-agent': '' }, { 'user-agent': `${FIREFOX['user-agent']} ` + 'x' }]) {
    const reply = await at.get(SESSION, alice, headers)
    t.equal(reply.statusCode, 401, headers['user-agent'])
    t.equal(cookieOf(reply), undefined, 'it gets no new cookie')
  }
  const block = { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }
  t.equal((await at.post('/api/block', block, alice, CURL)).statusCode, 401)
  t.equal((await at.post('/api/logout', {}, alice, CURL)).statusCode, 401, 'nor can it log the owner out')
  t.equal((await at.get(SESSION, alice, FIREFOX)).statusCode, 200)
  const told = at.lines.map(line => JSON.parse(line) as Record<string, unknown>)
  t.match(
    told.find(line => line.event === 'session_elsewhere'),
    { user: 'alice', peer: '127.0.0.1' }
  )
  t.notMatch(at.lines.join(''), alice.cookie.slice(13, 60), 'the log does not hold the cookie')
})

t.test('bound to the network by setting, a cookie is of no use from another one', async t => {
  const at = await testApp(t, { sessionBinding: 'network' })
  const alice = await at.login('alice', { remoteAddress: '198.51.100.7' })
  const from = (remoteAddress: string, as: LoggedIn) =>
    at.app.inject({ url: SESSION, headers: as.headers, remoteAddress })
  const rows: [string, number][] = [
    ['198.51.100.7', 200],
    ['198.51.100.200', 200],
    ['::ffff:198.51.100.9', 200],
    ['198.51.101.7', 401],
    ['203.0.113.5', 401],
    ['2001:db8::7', 401]
  ]
  for (const [peer, status] of rows) t.equal((await from(peer, alice)).statusCode, status, peer)
  const six = await at.login('alice', { remoteAddress: '2001:db8:1:2::5' })
  t.equal((await from('2001:db8:1:2:ffff::1', six)).statusCode, 200, 'the same /64')
  t.equal((await from('2001:db8:1:3::5', six)).statusCode, 401)

  const loose = await testApp(t, { folders: at.app.config.folders })
  t.equal(
    (await loose.app.inject({ url: SESSION, headers: alice.headers, remoteAddress: '198.51.100.7' }))
      .statusCode,
    401,
    'a session made under the other setting ends with it'
  )
})

const attempt = (at: TestApp, remoteAddress: string, username: string, password: string) =>
  at.app.inject({ method: 'POST', url: '/api/login', payload: { username, password }, remoteAddress })

t.test('brute force: ten failures an address, thirty an account; time unlocks both', async t => {
  const at = await testApp(t)
  const statuses = async (count: number, peer: (nr: number) => string, user: string) => {
    const replies = await Promise.all(
      Array.from({ length: count }, (_, nr) => attempt(at, peer(nr), user, 'wrong'))
    )
    return replies.filter(reply => reply.statusCode === 401).length
  }
  t.equal(await statuses(40, () => '203.0.113.1', 'alice'), 10, 'one address, at once')
  t.equal(await statuses(40, nr => `203.0.113.${nr + 10}`, 'alice'), 20, 'many addresses, one account')
  const locked = await attempt(at, '198.51.100.1', 'alice', PASSWORDS.alice)
  t.equal(locked.statusCode, 429, 'the account is locked, also for the right password')
  t.match(locked.headers, { 'retry-after': String })
  t.equal((await attempt(at, '198.51.100.2', 'victor', PASSWORDS.victor)).statusCode, 200)
  at.clock.now += 10 * 60_000
  t.equal((await attempt(at, '198.51.100.1', 'alice', PASSWORDS.alice)).statusCode, 200)
  t.equal((await attempt(at, '203.0.113.1', 'alice', PASSWORDS.alice)).statusCode, 200)
})

t.test(
  'brute force: a new password unlocks the account at once, and a session lives through the lock',
  async t => {
    const at = await testApp(t)
    const before = await at.login()
    await Promise.all(Array.from({ length: 40 }, (_, nr) => attempt(at, `203.0.113.${nr}`, 'alice', 'wrong')))
    t.equal((await attempt(at, '198.51.100.1', 'alice', PASSWORDS.alice)).statusCode, 429)
    t.equal((await at.get(SESSION, before)).statusCode, 200, 'who is logged in stays so')
    await at.app.store.users.setPassword('alice', 'a password afresh', THE_SERVER)
    t.equal((await attempt(at, '198.51.100.1', 'alice', 'a password afresh')).statusCode, 200)
    t.equal((await at.get(SESSION, before)).statusCode, 401, 'the new password ended the old session')
  }
)

t.test('a locked account and one that does not exist look the same', async t => {
  const at = await testApp(t)
  const replies: Record<string, string[]> = {}
  for (const user of ['alice', 'nobody', '__proto__', '', 'x'.repeat(256)]) {
    const told: string[] = []
    for (let nr = 0; nr < 32; nr++) {
      const reply = await attempt(at, `2001:db8:${user.length}:${nr}::1`, user, 'wrong')
      told.push(`${reply.statusCode} ${reply.body} ${Object.keys(reply.headers).sort().join()}`)
    }
    replies[user] = told
  }
  for (const told of Object.values(replies)) t.strictSame(told, replies.alice)
})

t.test('an unknown user costs the same bcrypt work as a known one, at the same costs', async t => {
  const at = await testApp(t)
  const costs = [4, 5, 6]
  const users = costs.map((cost, nr) => ({
    username: `user${nr}`,
    password: hashSync('right password', cost),
    role: 'viewer' as const
  }))
  await at.writeUsers(users)
  const { passwords } = at.app.store
  const work: number[] = []
  const matches = passwords.matches.bind(passwords)
  passwords.matches = (password, hash) => {
    work.push(Number(/^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1]))
    return matches(password, hash)
  }
  const workFor = async (username: string) => {
    work.length = 0
    await attempt(at, `2001:db8::${Math.floor(Math.random() * 65_536).toString(16)}:1`, username, 'wrong')
    at.clock.now += 11 * 60_000
    return [...work]
  }
  for (const { username } of users) t.equal((await workFor(username)).length, 1)
  const seen = new Set<number>()
  for (let nr = 0; nr < 40; nr++) {
    const [cost, ...more] = await workFor(`nobody${nr}`)
    t.equal(more.length, 0, 'one verification, as for a known user')
    seen.add(cost!)
    t.strictSame(await workFor(`nobody${nr}`), [cost], 'the same name takes the same work each time')
  }
  t.strictSame([...seen].sort(), costs, 'the costs of the stored hashes, and no other')
})

t.test('clients: unknown user, uuid and wrong password cost one bcrypt each', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const { passwords } = at.app.store
  let count = 0
  const matches = passwords.matches.bind(passwords)
  passwords.matches = (...given) => {
    count++
    return matches(...given)
  }
  for (const wrong of [
    { username: 'nobody' },
    { uuid: 'x' },
    { password: 'x' },
    { username: '', password: '', uuid: '' }
  ]) {
    count = 0
    t.equal((await at.post('update.php', asBody(wrong))).statusCode, 403)
    t.equal(count, 1, JSON.stringify(wrong))
  }
})

t.test(
  'clients: guesses sent all at once are stopped at the limit, and others are served meanwhile',
  async t => {
    const costly = hashSync(WEB1.password, 10)
    const at = await endpointApp(ownFolder(t), {}, JSON.stringify([{ ...WEB1, password: costly, ip: '' }]))
    t.teardown(() => at.app.close())
    let checked = 0
    const { passwords } = at.app.store
    const matches = passwords.matches.bind(passwords)
    passwords.matches = (password, hash) => {
      checked++
      return matches(password, hash)
    }
    const guess = (nr: number) =>
      at.app.inject({
        method: 'POST',
        url: '/endpoint/update.php',
        payload: asBody({ password: `guess ${nr}` }),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        remoteAddress: '203.0.113.66'
      })
    const guesses = Promise.all(Array.from({ length: 300 }, (_, nr) => guess(nr)))
    const healthy = await at.app.inject({ url: '/healthz' })
    t.equal(healthy.statusCode, 200, 'the file system is not starved')
    const statuses = (await guesses).map(reply => reply.statusCode)
    t.ok(checked <= 23, `bcrypt ran ${checked} times: the limit, and the few that were under way`)
    t.strictSame([...new Set(statuses)].sort(), [403, 429])
    t.equal((await at.post('update.php', asBody())).statusCode, 200, 'another address is not hindered')
  }
)

t.test('a flood of log-ins from everywhere ends in 503, not in memory without end', async t => {
  const at = await testApp(t)
  const { passwords } = at.app.store
  const hash = hashSync('x', 4)
  const started = Array.from({ length: 2500 }, () =>
    passwords.matches('guess', hash).then(
      () => 200,
      (error: unknown) => (error as { status: number }).status
    )
  )
  const statuses = await Promise.all(started)
  t.equal(
    statuses.filter(status => status === 503).length,
    2500 - statuses.filter(status => status === 200).length
  )
  t.ok(statuses.filter(status => status === 503).length >= 400)
  t.equal(await passwords.matches('x', hash), true, 'and passes')
})

t.test('a user who is removed or changed is out at once, with every open session', async t => {
  const at = await testApp(t)
  const [alice, victor] = USERS
  const block = { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }
  const rows: [string, typeof USERS, number][] = [
    ['removed', [victor!], 401],
    ['demoted', [{ ...alice!, role: 'viewer' }, victor!], 401],
    ['given another password', [{ ...alice!, password: hashSync('other', 4) }, victor!], 401],
    ['renamed', [{ ...alice!, username: 'alice2' }, victor!], 401]
  ]
  for (const [what, users, status] of rows) {
    await at.writeUsers(USERS)
    const sessions = [await at.login(), await at.login()]
    await at.writeUsers(users)
    const before = await at.bytes()
    for (const session of sessions) {
      t.equal((await at.get(SESSION, session)).statusCode, status, what)
      t.equal((await at.post('/api/block', block, session)).statusCode, status)
    }
    t.strictSame(await at.bytes(), before)
  }
  await at.writeUsers(USERS)
  const elevated = await at.login('victor')
  await at.writeUsers([alice!, { ...victor!, role: 'admin' }])
  t.equal((await at.post('/api/block', block, elevated)).statusCode, 401, 'a new role needs a new log-in')
})

t.test('the log-in takes no large body, and tells nothing but success or failure', async t => {
  const at = await testApp(t)
  const huge = await at.post('/api/login', { username: 'alice', password: 'x'.repeat(64 * 1024) })
  t.equal(huge.statusCode, 413)
  const reply = await at.post('/api/login', { username: 'alice', password: PASSWORDS.alice })
  t.strictSame(Object.keys(reply.json()).sort(), ['csrf', 'expires', 'role', 'success', 'user'])
  t.notMatch(reply.body, /\$2[aby]\$/)
  t.equal(loggedIn(reply).cookie.includes('alice has'), false)
})
