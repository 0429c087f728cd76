import { mkdir, writeFile } from 'node:fs/promises'
import t from 'tap'
import { testApp } from '../../support/app.js'

const BLOCK = { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }
const READS = [
  '/api/session',
  '/api/servers',
  '/api/blocklists?server=web-1&jail=sshd',
  '/api/days?server=web-1',
  '/api/events?server=web-1&day=20260301',
  '/api/columns?server=web-1&day=20260301',
  '/api/statistics',
  '/api/warnings',
  '/api/address?ip=203.0.113.9',
  '/api/lookups?source=dns&ip=203.0.113.9',
  '/api/settings'
]
const CHANGES: [string, object][] = [
  ['/api/block', BLOCK],
  ['/api/unblock', BLOCK],
  ['/api/logout', {}]
]

t.test('nobody reads or changes anything without a log-in', async t => {
  const at = await testApp(t)
  await at.writeList('web-1', 'sshd', [{ ip: '203.0.113.1' }])
  const before = await at.bytes()
  for (const url of READS) {
    for (const method of ['GET', 'HEAD'] as const) {
      const reply = await at.app.inject({ method, url })
      t.equal(reply.statusCode, 401, `${method} ${url}`)
      if (method === 'GET') t.strictSame(reply.json(), { success: false, message: 'Log in first.' })
    }
  }
  for (const [url, body] of CHANGES) t.equal((await at.post(url, body)).statusCode, 401, url)
  t.equal((await at.post('/api/block', '{', undefined)).statusCode, 401, 'its body is not even read')
  t.strictSame(await at.bytes(), before)
})

t.test('every change needs the CSRF token of its own session and the own origin', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const victor = await at.login('victor')
  const before = await at.bytes()
  const rows: [string, Record<string, string>][] = [
    ['no token', { 'x-csrf-token': '' }],
    ['another text', { 'x-csrf-token': 'x'.repeat(43) }],
    ['a longer text', { 'x-csrf-token': `${alice.csrf}x` }],
    ["another session's token", { 'x-csrf-token': victor.csrf }],
    ['another origin', { origin: 'https://evil.example' }],
    ['an opaque origin', { origin: 'null' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }]
  ]
  for (const [url, body] of CHANGES) {
    for (const [what, headers] of rows) {
      const reply = await at.post(url, body, alice, headers)
      t.equal(reply.statusCode, 403, `${url}: ${what}`)
      t.match(reply.json(), { success: false, message: /did not come from this page/ })
    }
    const bare = await at.post(url, body, { ...alice, headers: { cookie: alice.cookie } })
    t.equal(bare.statusCode, 403, `${url}: header absent`)
  }
  t.strictSame(await at.bytes(), before)
  t.equal((await at.get('/api/session', alice)).statusCode, 200, 'nor was anybody logged out')
  const own = { origin: 'http://localhost:80', 'sec-fetch-site': 'same-origin' }
  t.equal((await at.post('/api/block', BLOCK, alice, own)).statusCode, 200)
})

t.test('a viewer reads all and changes nothing', async t => {
  const at = await testApp(t)
  await at.writeList('web-1', 'sshd', [{ ip: '203.0.113.1' }])
  await writeFile(at.path('archive', 'update.json'), '{}')
  const victor = await at.login('victor')
  const before = await at.bytes()
  for (const url of READS) t.equal((await at.get(url, victor)).statusCode, 200, url)
  for (const url of ['/api/block', '/api/unblock']) {
    const reply = await at.post(url, BLOCK, victor)
    t.equal(reply.statusCode, 403)
    t.strictSame(reply.json(), { success: false, message: 'Your role may not do this: ask an admin.' })
  }
  t.strictSame(await at.bytes(), before)
  t.equal((await at.post('/api/logout', {}, victor)).statusCode, 200)
})

t.test('changes are taken as JSON only', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
    const reply = await at.post('/api/block', JSON.stringify(BLOCK), alice, { 'content-type': type })
    t.equal(reply.statusCode, 415, type)
  }
  const broken = await at.post('/api/block', '{"servers":', alice, { 'content-type': 'application/json' })
  t.equal(broken.statusCode, 400)
  t.match(broken.json(), { success: false, message: String })
  const huge = JSON.stringify({ ...BLOCK, reason: 'x'.repeat(5 * 1024 * 1024) })
  const reply = await at.post('/api/block', huge, alice, { 'content-type': 'application/json' })
  t.equal(reply.statusCode, 413)
})

t.test('the page is served without a log-in, under a strict policy', async t => {
  const at = await testApp(t, { basePath: '/Fail2Ban-Report' })
  for (const [name, type] of [
    ['', 'text/html'],
    ['index.html', 'text/html'],
    ['style.css', 'text/css'],
    ['icon.svg', 'image/svg']
  ] as const) {
    const reply = await at.get(`/Fail2Ban-Report/${name}`)
    t.equal(reply.statusCode, 200, name)
    t.match(reply.headers['content-type'], type)
    t.match(reply.headers['content-security-policy'], /default-src 'self';/)
    t.notMatch(reply.headers['content-security-policy'], /unsafe/)
    t.match(reply.headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' })
  }
  const page = (await at.get('/Fail2Ban-Report/')).body
  t.notMatch(page, /<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=/, 'nothing inline')
  t.notMatch(page, /(?:src|href)="(?:\/|https?:)/, 'relative addresses: any base path works')
  t.equal((await at.get('/index.html')).statusCode, 404, 'nothing outside the base path')
  t.match(await at.get('/Fail2Ban-Report?view=events'), {
    statusCode: 301,
    headers: { location: '/Fail2Ban-Report/?view=events', 'x-content-type-options': 'nosniff' }
  })
  t.equal((await at.get('/Fail2Ban-Reportx')).statusCode, 404)
})

t.test('data, settings and dot-files are never served, whatever the path tricks', async t => {
  const at = await testApp(t, { basePath: '/base' })
  const alice = await at.login('alice', { url: '/base/api/login' })
  await mkdir(at.path('archive', 'web-1', 'blocklists'), { recursive: true })
  await writeFile(at.path('archive', 'update.json'), '{"web-1":{}}')
  const paths = [
    '.htaccess',
    '.htpasswd',
    '.git/config',
    '%2ehtaccess',
    '%252ehtaccess',
    'tsconfig.json',
    'tsconfig%2ejson',
    'tsconfig%252ejson',
    'TSCONFIG.JSON',
    'tsconfig.json/',
    'tsconfig.json%00.html',
    'index.html%00',
    'archive/update.json',
    '../archive/update.json',
    '..%2farchive%2fupdate.json',
    '%2e%2e/archive/update.json',
    '%2e%2e%2fsettings%2fusers.json',
    '%252e%252e%252fsettings%252fusers.json',
    '..%5csettings%5cusers.json',
    '..\\settings\\users.json',
    '....//settings/users.json',
    'settings/users.json',
    'settings/fail2ban-report.config',
    'build.sh',
    '%c0%ae%c0%ae/users.json',
    '%zz',
    'api/../../settings/users.json',
    'api/.htaccess',
    'api/servers.json',
    'api/blocklists/sshd.blocklist.json'
  ]
  for (const path of paths) {
    for (const as of [undefined, alice]) {
      const reply = await at.get(`/base/${path}`, as)
      t.ok([403, 404].includes(reply.statusCode), `${path} ${reply.statusCode}`)
      t.notMatch(reply.body, /web-1|\$2y\$|compilerOptions/)
      t.match(reply.json(), { success: false, message: String })
    }
  }
  const names = ['../settings', '..', '.', 'web-1/..', 'web-1%2f..', 'web-1%00', '%2e%2e%2fsettings', 'nope']
  for (const name of names) {
    const reply = await at.get(`/base/api/days?server=${name}`, alice)
    t.equal(reply.statusCode, 404, `server=${name}`)
  }
  for (const jail of ['..%2f..%2fupdate', '%00', 'users.json', '']) {
    const reply = await at.get(`/base/api/blocklists?server=web-1&jail=${jail}`, alice)
    t.ok([400, 404].includes(reply.statusCode), `jail=${jail} ${reply.statusCode}`)
  }
})
