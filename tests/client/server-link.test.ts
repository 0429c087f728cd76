import { execFileSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ServerLink, type LinkOptions } from '../../client/server-link.js'
import { listName } from '../../common/names.js'
import { listening } from '../support/listening.js'
import { ownFolder } from '../support/own-folder.js'

const SSHD = listName('sshd.blocklist.json')
const WHO = { username: 'web-1', password: 'correct horse & co', uuid: 'an-uuid' }
const EMPTY = '{"success":true,"updates":[]}'

interface Seen {
  method: string | undefined
  url: string | undefined
  type: string
  body: string
}

function linkTo(t: Test, base: string, more: Partial<LinkOptions> = {}) {
  const retries: string[] = []
  const at = (name: string) => `${base}/base/endpoint/${name}.php`
  const link = new ServerLink({
    urls: { index: at('index'), update: at('update'), download: at('download'), syncback: at('backsync') },
    ...WHO,
    timeout: 5000,
    pauses: [1, 2, 3],
    onRetry: (what, reason) => retries.push(`${what}: ${reason}`),
    ...more
  })
  t.teardown(() => link.close())
  return { link, retries }
}

/** A server that gives these answers in turn, and the last one for ever. */
async function answering(
  t: Test,
  answers: readonly ((response: ServerResponse, request: IncomingMessage) => void)[],
  more: Partial<LinkOptions> = {}
) {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const answer = answers[Math.min(seen.length, answers.length - 1)]
    const item = {
      method: request.method,
      url: request.url,
      type: request.headers['content-type'] ?? '',
      body: ''
    }
    seen.push(item)
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (item.body += chunk))
    request.on('end', () => answer?.(response, request))
  })
  const base = await listening(t, server)
  return { seen, base, ...linkTo(t, base, more) }
}

const says = (status: number, text: string) => (response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(text)
}
const cuts = (response: ServerResponse) => void response.destroy()

t.test('who asks is told when the question is on its way, before it is answered', async t => {
  const events = new EventEmitter()
  const sent = once(events, 'sent')
  const { link } = await answering(t, [response => void sent.then(() => says(200, EMPTY)(response))])
  await link.ask({ have: '' }, () => events.emit('sent'))
  t.pass('a server that waits for that answers')
})

t.test('asking sends the credentials and what it is told in the body, nothing in the URL', async t => {
  const { link, seen } = await answering(t, [says(200, EMPTY)])
  t.strictSame(await link.ask({ have: 'a=1', version: '1' }), { updates: [] })
  t.match(seen, [
    { method: 'POST', url: '/base/endpoint/update.php', type: /^application\/x-www-form-urlencoded/ }
  ])
  t.strictSame(Object.fromEntries(new URLSearchParams(seen[0]?.body)), { ...WHO, have: 'a=1', version: '1' })
})

t.test('a file is sent after the credentials', async t => {
  const { link, seen } = await answering(t, [says(200, '{"success":true}')])
  await link.upload({ name: 'fail2ban-events-20260301.json', text: '[{"ü":1}]' })
  const { url, type = '', body = '' } = seen[0] ?? {}
  t.equal(url, '/base/endpoint/index.php')
  const form = await new Response(body, { headers: { 'content-type': type } }).formData()
  t.strictSame([...form.keys()], ['username', 'password', 'uuid', 'file'])
  t.equal(form.get('password'), WHO.password)
  const file = form.get('file') as File
  t.strictSame([file.name, await file.text()], ['fail2ban-events-20260301.json', '[{"ü":1}]'])
})

t.test('lists are synced back in one request, as file[]', async t => {
  const reply = '{"success":true,"message":"ok","files":["a.blocklist.json","b.blocklist.json"]}'
  const { link, seen } = await answering(t, [says(200, reply)])
  const files = ['a', 'b'].map(jail => ({ name: `${jail}.blocklist.json`, text: '[]' }))
  t.strictSame(await link.syncBack(files), {
    files: ['a.blocklist.json', 'b.blocklist.json'],
    refused: [],
    whole: []
  })
  t.equal(seen.length, 1)
  t.equal(seen[0]?.body.match(/name="file\[\]"; filename="[ab]\.blocklist\.json"/g)?.length, 2)
})

t.test('a sync-back tells what was taken and what was not', async t => {
  const errors = '[{"file":"b.blocklist.json","message":"entry 1:\\u001b[31m no"}]'
  const rows = [
    [200, `{"success":true,"files":["a.blocklist.json"],"errors":${errors}}`, ['a.blocklist.json'], 1],
    [400, `{"success":false,"message":"No valid blocklist files uploaded.","errors":${errors}}`, [], 1]
  ] as const
  for (const [status, text, files, count] of rows) {
    const { link } = await answering(t, [says(status, text)])
    const back = await link.syncBack([{ name: 'a.blocklist.json', text: '[]' }])
    t.strictSame(back.files, files)
    t.strictSame(
      back.refused,
      [{ file: 'b.blocklist.json', message: 'entry 1:\ufffd[31m no' }].slice(0, count)
    )
  }
  const bad = ['{"success":false,"message":"no"}', '{}', 'x', '{"success":true,"files":[7]}', '[]']
  for (const text of bad) {
    const { link } = await answering(t, [says(200, text)])
    await t.rejects(link.syncBack([{ name: 'a.blocklist.json', text: '[]' }]), { code: 'REFUSED' }, text)
  }
})

t.test('a download gives the bytes as they are; 404 means there is no copy', async t => {
  const list = '[ {"ip":"203.0.113.1"} ]\n'
  const { link, seen } = await answering(t, [says(200, list), says(404, '{"success":false,"message":"x"}')])
  t.strictSame(await link.download(SSHD), { text: list, changes: false, takesChanges: false })
  t.equal(await link.download(SSHD), undefined)
  t.equal(seen[0]?.url, '/base/endpoint/download.php?file=sshd.blocklist.json')
  t.notMatch(seen[0]?.url, 'correct')
  t.strictSame(Object.fromEntries(new URLSearchParams(seen[0]?.body)), WHO)
})

t.test('names of a lying server never become paths', async t => {
  const tricks = [
    '../../etc/passwd',
    '../sshd.blocklist.json',
    '/etc/sshd.blocklist.json',
    '..\\sshd.blocklist.json',
    'a/b.blocklist.json',
    'sshd.blocklist.json/..',
    'sshd.blocklist.json\u0000',
    'sshd.blocklist.json\n',
    '\nsshd.blocklist.json',
    '%2e%2e%2fsshd.blocklist.json',
    '.blocklist.json',
    'held-lists.json',
    'sshd.blocklist.json.corrupt-1',
    'ſshd.blocklist.json',
    `${'a'.repeat(300)}.blocklist.json`,
    '',
    '__proto__'
  ]
  const text = JSON.stringify({
    success: true,
    updates: [...tricks, SSHD],
    restore: [...tricks, 'X-1_y.blocklist.json']
  })
  const { link } = await answering(t, [says(200, text)])
  t.strictSame(await link.ask({}), { updates: [SSHD], restore: ['X-1_y.blocklist.json'] })
})

t.test('an old server says nothing of lists to restore', async t => {
  const { link } = await answering(t, [
    says(200, EMPTY),
    says(200, '{"success":true,"updates":[],"restore":[]}')
  ])
  t.notOk('restore' in (await link.ask({})))
  t.strictSame((await link.ask({})).restore, [])
})

t.test('a reply that is no JSON, of another shape or not a success is refused, and not repeated', async t => {
  const rows = [
    [200, '<html>It works!</html>', /no JSON reply; is the URL right\?/],
    [200, '', /no JSON reply/],
    [200, '{"success":true,"updates":[', /no JSON reply/],
    [200, '{"success":true}', /asking for updates: 200/],
    [200, '{"success":true,"updates":"sshd.blocklist.json"}', /200/],
    [200, '{"success":true,"updates":[1]}', /200/],
    [200, `{"success":true,"updates":${JSON.stringify(Array(10_001).fill(SSHD))}}`, /200/],
    [200, 'null', /no JSON reply/],
    [200, '{"success":false,"updates":[],"message":"not now"}', /200 not now/],
    [301, '', /301 no JSON reply; is the URL right\?/],
    [400, '{"success":false,"message":"bad \\u001b[2J thing"}', /400 bad \ufffd\[2J thing/],
    [
      403,
      '{"success":false,"message":"Authentication failed (password)."}',
      /403 Authentication failed \(password\)/
    ],
    [404, '<h1>Not Found</h1>', /404 no JSON reply; is the URL right\?/],
    [405, '{"success":false,"message":"Method not allowed."}', /405/],
    [413, '{"success":false,"message":"Upload too large"}', /413/],
    [500, '{"success":false,"message":"Client list not found."}', /500 Client list not found/]
  ] as const
  for (const [status, text, message] of rows) {
    const { link, seen, retries } = await answering(t, [says(status, text)])
    await t.rejects(link.ask({}), { code: 'REFUSED', message }, `${status} ${text.slice(0, 60)}`)
    t.equal(seen.length, 1)
    t.strictSame(retries, [])
  }
  const { link } = await answering(t, [says(403, '{"success":false,"message":"no"}')])
  await t.rejects(link.download(SSHD), {
    code: 'REFUSED',
    message: /downloading sshd\.blocklist\.json: 403 no/
  })
  await t.rejects(link.upload({ name: 'x', text: '' }), { code: 'REFUSED', message: /uploading x: 403 no/ })
  await t.rejects(link.syncBack([]), { code: 'REFUSED', message: /syncing back: 403 no/ })
})

t.test('a redirection is not followed: the password goes where it was meant to go', async t => {
  const other = await answering(t, [says(200, EMPTY)])
  const { link } = await answering(t, [
    response => void response.writeHead(307, { location: `${other.base}/base/endpoint/update.php` }).end()
  ])
  await t.rejects(link.ask({}), { code: 'REFUSED', message: /307/ })
  t.equal(other.seen.length, 0)
})

t.test('a reply without end is cut off, told by name, and not repeated', async t => {
  let sent = 0
  const { link, seen } = await answering(t, [
    response => {
      response.writeHead(200)
      const chunk = Buffer.alloc(1 << 20, ' ')
      const more = () => {
        while (!response.destroyed) {
          sent += chunk.length
          if (!response.write(chunk)) return
        }
      }
      response.on('drain', more)
      more()
    }
  ])
  await t.rejects(link.ask({}), {
    code: 'REFUSED',
    message: /asking for updates: the reply is longer than 4194304 /
  })
  t.equal(seen.length, 1)
  t.ok(sent < 64 << 20, `${sent} bytes left the server`)
})

t.test('what may pass is repeated after pauses, and told', async t => {
  for (const status of [408, 429, 502, 503, 504]) {
    const { link, seen, retries } = await answering(t, [
      says(status, 'x'),
      says(status, 'x'),
      says(200, EMPTY)
    ])
    t.strictSame(await link.ask({}), { updates: [] })
    t.equal(seen.length, 3)
    t.equal(seen[2]?.body, seen[0]?.body, 'the same request')
    t.strictSame(retries, Array(2).fill(`asking for updates: the server answered ${status}`))
  }
  const { link, seen } = await answering(t, [says(503, '{"success":false,"message":"busy"}')])
  await t.rejects(link.ask({}), { code: 'REFUSED', message: /503 busy/ })
  t.equal(seen.length, 4, 'as often as there are pauses, and once')
})

t.test('a connection that breaks is repeated, forms and all', async t => {
  const half = (response: ServerResponse) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('{"success":', () => response.destroy())
  }
  const { link, seen, retries } = await answering(t, [cuts, half, says(200, '{"success":true}')])
  await link.upload({ name: 'fail2ban-events-20260301.json', text: '[]' })
  t.equal(seen.length, 3)
  for (const { body } of seen)
    t.match(body, /correct horse[^]*filename="fail2ban-events-20260301\.json"[^]*\[\]/)
  t.equal(retries.length, 2)
})

t.test('a server that is not there is tried with growing pauses, then told', async t => {
  const base = await listening(t, createTcpServer())
  const times: number[] = []
  const { link, retries } = linkTo(t, base.replace(/\d+$/, '1'), {
    pauses: [30, 90],
    onRetry: (_, reason) => {
      times.push(performance.now())
      retries.push(reason)
    }
  })
  await t.rejects(link.ask({}), {
    code: 'NETWORK',
    message: 'The server could not be reached: asking for updates at http://127.0.0.1:1: ECONNREFUSED'
  })
  const ended = performance.now()
  t.strictSame(retries, ['ECONNREFUSED', 'ECONNREFUSED'])
  const [first = 0, second = 0] = times
  t.ok(second - first >= 22, 'first pause')
  t.ok(ended - second >= 67, 'second pause')
})

t.test('a server that keeps silent is given up, wherever it stops', async t => {
  const never = () => undefined
  const stops = (response: ServerResponse) => void response.writeHead(200).write('{"success":')
  const limits = { timeout: 200, pauses: [1] }
  for (const [answer, reason] of [
    [never, 'HEADERS_TIMEOUT'],
    [stops, 'BODY_TIMEOUT']
  ] as const) {
    const { link, seen } = await answering(t, [answer], limits)
    await t.rejects(link.ask({}), { code: 'NETWORK', message: new RegExp(`${reason}$`) })
    t.equal(seen.length, 2)
  }
  const mute = await listening(t, createTcpServer(), 'https')
  await t.rejects(linkTo(t, mute, limits).link.ask({}), {
    code: 'NETWORK',
    message: /CONNECT_TIMEOUT$/
  })
})

t.test('told to stop, it waits neither for a server nor for a pause', async t => {
  const silent = new AbortController()
  const { link, seen } = await answering(t, [() => silent.abort()], {
    timeout: 60_000,
    signal: silent.signal
  })
  await t.rejects(link.ask({}), { code: 'NETWORK', message: /asking for updates at http:.*: told to stop$/ })
  await t.rejects(link.download(SSHD), { code: 'NETWORK', message: /told to stop$/ })
  t.equal(seen.length, 1)
  const pausing = new AbortController()
  const other = await answering(t, [says(503, 'x')], {
    ...{ pauses: [60_000], signal: pausing.signal },
    onRetry: () => setImmediate(() => pausing.abort())
  })
  await t.rejects(other.link.ask({}), { code: 'NETWORK', message: /told to stop$/ })
  t.equal(other.seen.length, 1)
})

t.test('certificates are checked: an authority that is named is trusted, no other', async t => {
  const dir = ownFolder(t)
  const path = (name: string) => join(dir, name)
  const certificate = (name: string, names: string) =>
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '2'
        ],
        ...['-subj', '/CN=test', '-addext', `subjectAltName=${names}`],
        ...['-keyout', path(`${name}.key`), '-out', path(`${name}.pem`)]
      ],
      { stdio: 'pipe', timeout: 20_000 }
    )
  certificate('ours', 'IP:127.0.0.1')
  certificate('other', 'IP:127.0.0.1')
  certificate('elsewhere', 'DNS:reports.example')
  const secure = (name: string) =>
    listening(
      t,
      createTlsServer(
        { key: readFileSync(path(`${name}.key`)), cert: readFileSync(path(`${name}.pem`)) },
        (request, response) => {
          bodies.push(request.url)
          request.resume().on('end', () => says(200, EMPTY)(response))
        }
      ),
      'https'
    )
  const bodies: unknown[] = []
  const base = await secure('ours')
  const hint = /DEPTH_ZERO_SELF_SIGNED_CERT; name the authority's certificate with --ca-file$/
  for (const more of [{}, { caFile: path('other.pem') }]) {
    const { link, retries } = linkTo(t, base, more)
    await t.rejects(link.ask({}), { code: 'NETWORK', message: hint })
    t.strictSame(retries, [], 'the next attempt would see the same certificate')
  }
  const plain = linkTo(t, base.replace('https', 'http'), { pauses: [] }).link
  await t.rejects(plain.ask({}), { code: 'NETWORK', message: /; is it a server of https:\/\/\?$/ })
  await t.rejects(plain.upload({ name: 'x.json', text: '' }), { message: /is it a server of https:/ })
  const { base: unencrypted } = await answering(t, [says(200, EMPTY)])
  const tls = linkTo(t, unencrypted.replace('http', 'https'), { pauses: [] }).link
  await t.rejects(tls.ask({}), { code: 'NETWORK', message: /; is it a server of http:\/\/\?$/ })
  const name = await secure('elsewhere')
  await t.rejects(linkTo(t, name, { caFile: path('elsewhere.pem') }).link.ask({}), {
    code: 'NETWORK',
    message: /ERR_TLS_CERT_ALTNAME_INVALID$/
  })
  t.strictSame(bodies, [], 'none of them was told the password')
  t.strictSame(await linkTo(t, base, { caFile: path('ours.pem') }).link.ask({}), { updates: [] })
  const missing = () => linkTo(t, base, { caFile: path('missing.pem') })
  t.throws(missing, { code: 'CONFIG', message: /ca_file .*missing\.pem can't be read \(ENOENT\)/ })
  writeFileSync(path('empty.pem'), 'no certificate')
  await t.rejects(linkTo(t, base, { caFile: path('empty.pem') }).link.ask({}), Error, 'trusts nobody')
})

t.test('no error and no retry tells a secret', async t => {
  const { link, retries } = await answering(t, [cuts])
  const error: unknown = await link.ask({}).catch((thrown: unknown) => thrown)
  t.match(error, { code: 'NETWORK' })
  const told = [String(error), ...retries].join()
  t.notMatch(told, 'correct')
  t.notMatch(told, WHO.uuid)
})

t.test('what is to be mended after a refusal depends on what the server says', async t => {
  for (const [message, hint] of [
    ['Authentication failed (ip mismatch).', /client edit HOST --ip"/],
    ['Authentication failed (password).', /client edit --renew-password"/]
  ] as const) {
    const { link } = await answering(t, [says(403, JSON.stringify({ success: false, message }))])
    await t.rejects(link.ask({}), { code: 'REFUSED', message: hint })
  }
})
