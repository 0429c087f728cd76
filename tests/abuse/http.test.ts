import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { NO_APACHE, startApache } from '../support/apache.js'
import { testApp, type TestApp } from '../support/app.js'

const PAGES = [
  ['GET', '/'],
  ['GET', '/index.html'],
  ['GET', '/healthz'],
  ['GET', '/api/session'],
  ['GET', '/api/nothing'],
  ['GET', '/nothing'],
  ['GET', '/settings/users.json'],
  ['GET', '/.htaccess'],
  ['GET', '/%zz'],
  ['GET', '/%00'],
  ['GET', `/${'x'.repeat(2000)}`],
  ['POST', '/api/login'],
  ['POST', '/endpoint/update.php'],
  ['GET', '/endpoint/update.php'],
  ['OPTIONS', '/api/block'],
  ['PUT', '/api/block']
] as const

t.test('every reply, errors too, carries the security headers', async t => {
  const at = await testApp(t, { trustProxy: ['127.0.0.1'] })
  for (const [method, url] of PAGES) {
    const plain = await at.app.inject({ method, url })
    const { headers } = plain
    t.match(
      headers,
      { 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' },
      `${method} ${url.slice(0, 40)}`
    )
    const policy = String(headers['content-security-policy'])
    t.match(policy, /(^|;)default-src 'self'/)
    t.match(policy, /(^|;)frame-ancestors 'none'/)
    t.match(policy, /(^|;)base-uri 'none'/)
    t.match(policy, /(^|;)object-src 'none'/)
    t.notMatch(policy, /unsafe|data:|\*|http:/)
    t.equal(headers['cross-origin-opener-policy'], 'same-origin')
    t.equal(headers['cross-origin-resource-policy'], 'same-origin')
    t.equal(headers['strict-transport-security'], undefined, 'not over plain HTTP')
    t.equal(headers['x-powered-by'], undefined)
    t.equal(headers.server, undefined)
    const secure = await at.app.inject({ method, url, headers: { 'x-forwarded-proto': 'https' } })
    t.match(secure.headers['strict-transport-security'], /^max-age=\d{8,}/, 'HSTS over HTTPS')
  }
})

t.test('what browsers may show as a page carries the headers for pages too', async t => {
  const at = await testApp(t)
  for (const url of ['/', '/index.html', '/api/session', '/nothing.css']) {
    t.match(
      (await at.app.inject({ url })).headers,
      {
        'origin-agent-cluster': '?1',
        'x-dns-prefetch-control': 'off',
        'x-download-options': 'noopen',
        'x-permitted-cross-domain-policies': 'none',
        'x-xss-protection': '0'
      },
      url
    )
  }
})

t.test('API replies are never cached by anybody but the browser, and asked about each time', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  for (const url of [
    '/api/session',
    '/api/servers',
    '/api/blocklists?server=web-1&jail=sshd',
    '/api/nothing'
  ]) {
    for (const as of [undefined, alice]) {
      t.match((await at.get(url, as)).headers['cache-control'], /no-store|^private, no-cache$/, url)
    }
  }
})

t.test('CORS is closed: no origin is told that it may read', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  for (const [method, url] of PAGES) {
    for (const origin of ['https://evil.example', 'null', 'http://localhost:80']) {
      const asked = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-csrf-token'
      }
      for (const how of [method, 'OPTIONS'] as const) {
        const reply = await at.app.inject({ method: how, url, headers: { cookie: alice.cookie, ...asked } })
        const told = Object.keys(reply.headers).filter(name => name.startsWith('access-control-'))
        t.strictSame(told, [], `${how} ${url.slice(0, 40)} ${origin}`)
        if (how === 'OPTIONS') t.ok(reply.statusCode >= 400)
      }
    }
  }
})

t.test('methods are strict: what a route does not take is 404 or 405 and changes nothing', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const before = await at.bytes()
  const rows: [string, string[]][] = [
    ['/api/block', ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']],
    ['/api/logout', ['GET', 'HEAD', 'PUT', 'DELETE']],
    ['/api/login', ['GET', 'HEAD', 'PUT', 'DELETE']],
    ['/api/servers', ['POST', 'PUT', 'DELETE', 'PATCH']],
    ['/healthz', ['POST', 'PUT', 'DELETE']],
    ['/', ['POST', 'PUT', 'DELETE', 'PATCH']],
    ['/endpoint/update.php', ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']]
  ]
  for (const [url, methods] of rows) {
    for (const method of methods) {
      const body = ['GET', 'HEAD'].includes(method) ? {} : { payload: {} }
      const reply = await at.app.inject({ method: method as 'GET', url, headers: alice.headers, ...body })
      t.ok([403, 404, 405, 415].includes(reply.statusCode), `${method} ${url}: ${reply.statusCode}`)
    }
  }
  const overrides: Record<string, string>[] = [
    { 'x-http-method-override': 'POST' },
    { 'x-method-override': 'POST' },
    { 'x-http-method': 'POST' }
  ]
  for (const headers of overrides) t.equal((await at.get('/api/block', alice, headers)).statusCode, 404)
  t.strictSame(await at.bytes(), before)
  t.equal((await at.get('/api/session', alice)).statusCode, 200, 'nor was anybody logged out')
})

t.test('content types are strict: JSON for the API, forms for the endpoints, nothing else', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const block = JSON.stringify({ servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] })
  const types = [
    'text/plain',
    'text/plain; application/json',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/jsonp',
    'application/json-patch+json',
    'application/csp-report',
    '*/*',
    'application',
    'json'
  ]
  for (const type of types) {
    const reply = await at.post('/api/block', block, alice, { 'content-type': type })
    t.equal(reply.statusCode, 415, type)
  }
  const none = await at.app.inject({
    method: 'POST',
    url: '/api/block',
    headers: alice.headers,
    payload: Buffer.from(block)
  })
  t.ok([400, 415].includes(none.statusCode), 'without a type')
  for (const type of ['application/json', 'application/xml', 'text/plain', 'image/png']) {
    const reply = await at.post('/endpoint/update.php', '{"username":"web-1"}', undefined, {
      'content-type': type
    })
    t.ok([403, 415].includes(reply.statusCode), `${type}: ${reply.statusCode}`)
  }
  for (const body of [
    '{"__proto__":{"admin":true}}',
    '{"constructor":{"prototype":{}}}',
    '{"a":',
    '[',
    'null',
    '"x"'
  ]) {
    const reply = await at.post('/api/block', body, alice, { 'content-type': 'application/json' })
    t.equal(reply.statusCode, 400, body)
  }
})

t.test('host-header tricks: no redirect, origin or reply follows a host the browser did not ask', async t => {
  const at = await testApp(t, { basePath: '/base' })
  const hosts = [
    'evil.example',
    'localhost:80@evil.example',
    'evil.example/x?',
    'localhost, evil.example',
    '[::1',
    '',
    'a\tb'
  ]
  for (const host of hosts) {
    for (const url of ['/base', '/base/', '/base/api/session', '/base//evil.example/', '/base/..%2f..']) {
      const reply = await at.app.inject({
        url,
        headers: {
          host,
          'x-forwarded-host': 'evil.example',
          'x-forwarded-proto': 'https',
          forwarded: 'host=evil.example'
        }
      })
      t.notMatch(`${JSON.stringify(reply.headers)}${reply.body}`, /evil\.example/, `${url} ${host}`)
      const { location } = reply.headers
      if (location !== undefined) t.match(location, /^\/base\/$/, `a redirect is a path: ${location}`)
      t.equal(
        reply.headers['strict-transport-security'],
        undefined,
        'a stranger’s X-Forwarded-Proto counts for nothing'
      )
    }
  }
  const { port } = await listening(t)
  for (const target of [
    '//evil.example',
    '//evil.example/',
    '/\\evil.example',
    '/%2fevil.example',
    '/%5cevil.example',
    '/index.html//evil.example/..',
    'http://evil.example/'
  ]) {
    const got = await raw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const [, location = ''] = /^location: (.*)$/im.exec(got) ?? []
    t.notMatch(location, /^(\/[/\\]|\w+:)/, target)
  }
})

const END = 'GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/**
 * Sends bytes as they are and, once a reply has come, a last request that closes the connection: what was hidden in
 * the bytes is answered before it. Gives all that comes back until the other side closes.
 */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let got = ''
  socket.on('data', (chunk: Buffer) => {
    if (got === '') socket.write(END)
    got += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  socket.setTimeout(20_000, () => socket.destroy())
  socket.write(Buffer.from(text, 'latin1'))
  // Not `once`: a reset is an end as good as any, with what came before it.
  await new Promise(resolve => socket.on('close', resolve))
  return got
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(found => Number(found[1]))

/**
 * Requests that two servers in a row might cut apart at different places; each hides a second request that deletes
 * nothing but counts: GET /smuggled.
 */
const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
const chunked = `0\r\n\r\n${HIDDEN}`
const post = (headers: string, body: string, line = 'POST /healthz HTTP/1.1') =>
  `${line}\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n${headers}\r\n\r\n${body}`
const SMUGGLING: Record<string, string> = {
  'CL and TE': post(`Content-Length: ${chunked.length}\r\nTransfer-Encoding: chunked`, chunked),
  'TE and CL': post(`Transfer-Encoding: chunked\r\nContent-Length: ${chunked.length}`, chunked),
  'CL short and TE': post(
    'Content-Length: 4\r\nTransfer-Encoding: chunked',
    `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`
  ),
  'two lengths': post(`Content-Length: 0\r\nContent-Length: ${HIDDEN.length}`, HIDDEN),
  'two lengths in one': post(`Content-Length: 0, ${HIDDEN.length}`, HIDDEN),
  'two equal lengths': post(`Content-Length: 1\r\nContent-Length: 1`, `x${HIDDEN}`),
  'a length with a sign': post('Content-Length: +0', HIDDEN),
  'a negative length': post('Content-Length: -1', HIDDEN),
  'a length in hex': post('Content-Length: 0x0', HIDDEN),
  'a length with a blank within': post('Content-Length: 0 1', HIDDEN),
  'a blank before the colon': post(`Content-Length : ${HIDDEN.length}`, HIDDEN),
  'a blank before the colon of TE': post(
    `Content-Length: ${chunked.length}\r\nTransfer-Encoding : chunked`,
    chunked
  ),
  'a folded header': post(`X: y\r\n Content-Length: ${HIDDEN.length}`, HIDDEN),
  'a folded TE': post(`Content-Length: ${chunked.length}\r\nTransfer-Encoding:\r\n chunked`, chunked),
  'bare LF': post(`Content-Length: 0\nTransfer-Encoding: chunked`, chunked),
  'bare LF throughout': post('Content-Length: 0', HIDDEN).replaceAll('\r\n', '\n'),
  'bare CR': post(`X: y\rTransfer-Encoding: chunked\r\nContent-Length: 0`, HIDDEN),
  'another TE': post(`Content-Length: ${chunked.length}\r\nTransfer-Encoding: xchunked`, chunked),
  'TE twice': post(`Transfer-Encoding: chunked\r\nTransfer-Encoding: identity`, chunked),
  'TE list': post(`Transfer-Encoding: chunked, identity`, chunked),
  'TE with a tab': post(`Content-Length: ${chunked.length}\r\nTransfer-Encoding:\tchunked`, chunked),
  'TE with a vertical tab': post(
    `Content-Length: ${chunked.length}\r\nTransfer-Encoding: \x0bchunked`,
    chunked
  ),
  'a chunk size without end': post('Transfer-Encoding: chunked', `fffffffffffffffff\r\n${HIDDEN}`),
  'a chunk size with a sign': post('Transfer-Encoding: chunked', `+0\r\n\r\n${HIDDEN}`),
  'a chunk extension with LF': post('Transfer-Encoding: chunked', `0;x\ny\r\n\r\n${HIDDEN}`),
  'a NUL in a header': post(`X: \0\r\nContent-Length: 0`, HIDDEN),
  'a header without a name': post(`: x\r\nContent-Length: 0`, HIDDEN),
  'a request line with blanks': post('Content-Length: 0', HIDDEN, 'POST  /healthz  HTTP/1.1'),
  'HTTP/1.0 with TE': post('Transfer-Encoding: chunked', chunked, 'POST /healthz HTTP/1.0'),
  'HTTP/0.9': `GET /smuggled\r\n\r\n`,
  'an absolute request target': `GET http://evil.example/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
  'no host': 'GET /smuggled HTTP/1.1\r\n\r\n',
  'two hosts': 'GET /smuggled HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'upgrade to h2c': post(
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 0',
    ''
  )
}

/** The replies but the one to the last request, which is taken out of what was seen. */
function repliesBeforeEnd(got: string, seen: string[]): number[] {
  const statuses = statusesOf(got)
  if (seen.at(-1) !== '/end') return statuses
  seen.pop()
  return statuses.slice(0, -1)
}

/** Counts requests that arrive at the app, by path. */
async function listening(t: Test): Promise<{ at: TestApp; port: number; seen: string[] }> {
  const at = await testApp(t)
  const seen: string[] = []
  at.app.addHook('onRequest', async request => void seen.push(request.raw.url ?? ''))
  await at.app.listen({ host: '127.0.0.1', port: 0 })
  return { at, port: (at.app.server.address() as AddressInfo).port, seen }
}

/** These can be read in one way only: one request, or one without a body and a second one. Nothing is hidden. */
const PLAIN = new Set([
  'an absolute request target',
  'TE with a tab',
  'a request line with blanks',
  'upgrade to h2c'
])

t.test('request smuggling, straight at the server: nothing ambiguous is taken', async t => {
  const { port, seen } = await listening(t)
  for (const [what, text] of Object.entries(SMUGGLING)) {
    seen.length = 0
    const statuses = repliesBeforeEnd(await raw(port, text), seen)
    if (PLAIN.has(what)) {
      t.ok(seen.length <= statuses.length, `${what}: ${statuses.join()}`)
      continue
    }
    t.notOk(seen.includes('/smuggled'), `${what}: ${statuses.join()}`)
    t.equal(statuses.length, 1, `${what}: one reply`)
    t.ok(
      statuses.every(status => status >= 400),
      `${what}: refused`
    )
  }
  const good = await raw(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  t.strictSame(statusesOf(good), [200])
})

const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${'A'.repeat(22)}==`
].join('\r\n')
const JUNK = 'a:\r\n'.repeat(1000)

t.test('an upgrade that is refused ends its connection, whoever refused it', async t => {
  const { port } = await listening(t)
  const rows: Record<string, [number, string]> = {
    'no route': [404, `GET /nothing HTTP/1.1\r\nHost: x\r\n${UPGRADE}`],
    'a route for requests': [404, `GET /healthz HTTP/1.1\r\nHost: x\r\n${UPGRADE}`],
    'a route for sockets': [401, `GET /api/ws HTTP/1.1\r\nHost: x\r\n${UPGRADE}`],
    "a data file's path": [404, `GET /x.json HTTP/1.1\r\nHost: x\r\n${UPGRADE}`],
    'two hosts': [400, `GET /nothing HTTP/1.1\r\nHost: x\r\nHost: y\r\n${UPGRADE}`],
    'headers that Node.js drops': [431, `GET /nothing HTTP/1.1\r\nHost: x\r\n${JUNK}${UPGRADE}`],
    h2c: [404, `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c`]
  }
  for (const [what, [status, text]] of Object.entries(rows)) {
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')))
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
    socket.write(`${text}\r\n\r\n`)
    await t.resolves(closed, what)
    t.strictSame(statusesOf(got), [status], what)
    socket.destroy()
  }
})

t.test('a request with more headers than Node.js tells of is refused, not taken for less', async t => {
  const { port } = await listening(t)
  const get = (headers: string) => raw(port, `GET /healthz HTTP/1.1\r\nHost: x\r\n${headers}\r\n`)
  t.strictSame(
    statusesOf(await get(`${JUNK}X-Forwarded-For: 192.0.2.1\r\n`)),
    [431],
    'and ends the connection'
  )
  t.strictSame(statusesOf(await get('a:\r\n'.repeat(998))), [200, 404], 'as many as it tells of are taken')
})

t.test('a reply to a request that is no HTTP tells nothing of the server', async t => {
  const { port } = await listening(t)
  for (const text of [
    '\x16\x03\x01\x00\xa5\x01',
    'SSH-2.0-x\r\n',
    'GET\r\n\r\n',
    `GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`
  ]) {
    const got = await raw(port, text)
    t.notMatch(got, /node|fastify|at .*\.js|\/work|\/tmp/i)
    for (const status of statusesOf(got)) t.ok(status >= 400)
  }
})

/** A real Apache in front of the server, with as little between as can be. @returns its port */
async function apache(t: Test, backend: number): Promise<number> {
  const { port } = await startApache(t, ['proxy', 'proxy_http'], () => [
    'ProxyPreserveHost On',
    `ProxyPass / http://127.0.0.1:${backend}/`,
    `ProxyPassReverse / http://127.0.0.1:${backend}/`
  ])
  return port
}

t.test(
  'request smuggling, through Apache’s mod_proxy: what Apache sees as one request stays one',
  { skip: NO_APACHE },
  async t => {
    const { at, port: backend, seen } = await listening(t)
    await at.writeList('web-1', 'sshd', [])
    const port = await apache(t, backend)
    const good = await raw(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    t.strictSame(statusesOf(good), [200], 'the way is open')
    for (const [what, text] of Object.entries(SMUGGLING)) {
      seen.length = 0
      const got = await raw(port, text)
      const before = repliesBeforeEnd(got, seen)
      // Apache replies to HTTP/0.9 without a status line.
      const replies = what === 'HTTP/0.9' && got !== '' ? 1 : before.length
      t.ok(
        seen.length <= replies,
        `${what}: the server saw ${seen.join()} and Apache replied ${before.join()}`
      )
      const hidden = seen.filter(url => url === '/smuggled').length
      t.ok(
        hidden <= Math.max(0, replies - (text.startsWith('POST') ? 1 : 0)),
        `${what}: no request without its own reply`
      )
    }
    for (const path of [
      '/settings/users.json',
      '/%2e%2e/settings/users.json',
      '/..%2fsettings%2fusers.json',
      '/.htaccess',
      '/archive/update.json',
      '/index.html%00',
      '/%2ehtaccess',
      '/a/..;/settings/users.json'
    ]) {
      const got = await raw(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      for (const status of statusesOf(got)) t.ok([400, 403, 404].includes(status), `${path}: ${status}`)
      t.notMatch(got, /\$2y\$|"web-1"/)
    }
  }
)
