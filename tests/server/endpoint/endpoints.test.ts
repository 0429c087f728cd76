import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isoTime } from '../../../common/clock.js'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { listOfJail, serverName } from '../../../common/names.js'
import { address } from '../../../common/address.js'
import { WEB1, asBody, asFields, endpointApp, type EndpointApp } from '../../support/endpoint.js'
import { gone } from '../../support/gone.js'
import { ownFolder } from '../../support/own-folder.js'

const web1 = serverName('web-1')
const sshd = listOfJail('sshd')
const ALICE = { kind: 'user', name: 'alice', from: '192.0.2.1' } as const
const EVENT = { timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip: '203.0.113.7', jail: 'sshd' }

const block = (at: EndpointApp, ip: string, want: 'block' | 'unblock' = 'block') =>
  at.app.store.lists.change(web1, sshd, [{ ip: address(ip), want, source: 'manual' }], ALICE)
const listOnDisk = async (at: EndpointApp) =>
  JSON.parse(await readFile(at.path('archive', 'web-1', 'blocklists', sshd), 'utf8')) as BlocklistEntry[]
const index = async (at: EndpointApp) =>
  JSON.parse(await readFile(at.path('archive', 'update.json'), 'utf8')) as unknown
const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter(item => item.isFile())
    .map(item => item.name)
const start = async (
  t: Test,
  ...more: Parameters<typeof endpointApp> extends [string, ...infer R] ? R : never
) => {
  const at = await endpointApp(ownFolder(t), ...more)
  t.teardown(() => at.app.close())
  return at
}

t.test('authentication: each case of the contract has its status and message', async t => {
  const at = await start(t)
  const rows: [Record<string, string>, number, string][] = [
    [{ username: 'nobody' }, 403, 'Authentication failed (user/uuid).'],
    [{ uuid: 'other' }, 403, 'Authentication failed (user/uuid).'],
    [{ password: 'wrong' }, 403, 'Authentication failed (password).'],
    [{ password: '' }, 403, 'Authentication failed (password).']
  ]
  for (const [wrong, status, message] of rows) {
    const reply = await at.post('update.php', asBody(wrong))
    t.equal(reply.statusCode, status)
    t.strictSame(reply.json(), { success: false, message })
    t.match(reply.headers['content-type'], 'application/json')
  }
  t.strictSame((await at.post('update.php', asBody())).json(), { success: true, updates: [] })
  t.strictSame((await at.post('update.php', asFields())).json(), { success: true, updates: [] })
  const failures = at.logs.filter(line => line.event === 'auth_failure')
  t.equal(failures.length, rows.length)
  t.match(failures[0], { what: 'client', peer: '127.0.0.1', user: 'nobody' })
  t.notMatch(JSON.stringify(at.logs), WEB1.password, 'no password in the log')
})

t.test('authentication: client list missing or corrupt', async t => {
  const none = await start(t, {}, '')
  const missing = await none.post('update.php', asBody())
  t.equal(missing.statusCode, 500)
  t.strictSame(missing.json(), { success: false, message: 'Client list not found.' })
  const bad = await start(t, {}, '[{"username":')
  const corrupt = await bad.post('update.php', asBody())
  t.equal(corrupt.statusCode, 500)
  t.strictSame(corrupt.json(), { success: false, message: 'Client list corrupted.' })
  t.equal(
    await readFile(bad.path('settings', 'client-list.json'), 'utf8'),
    '[{"username":',
    'left for its editor'
  )
})

t.test(
  'authentication: a client list that can not be looked at is our fault, and no path is told',
  async t => {
    const at = await start(t)
    const file = at.path('settings', 'client-list.json')
    await rm(file)
    await symlink('client-list.json', file)
    const basic = Buffer.from(`${WEB1.username}:${WEB1.password}`).toString('base64')
    const headers = { authorization: `Basic ${basic}`, 'x-client-uuid': WEB1.uuid }
    for (const reply of [await at.post('update.php', asBody()), await at.post('update.php', '', headers)]) {
      t.equal(reply.statusCode, 500)
      t.strictSame(reply.json(), { success: false, message: 'A file could not be read' })
    }
    t.equal(at.logs.filter(line => line.code === 'UNREADABLE').length, 2)
  }
)

t.test('authentication: an address restriction holds, as one address, CIDR or several', async t => {
  const at = await start(t)
  const file = at.path('settings', 'client-list.json')
  const [entry] = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>[]
  const rows: [unknown, number][] = [
    ['127.0.0.1', 200],
    ['127.0.0.0/8', 200],
    [['10.0.0.1', '::1', '127.0.0.1'], 200],
    ['10.0.0.1', 403],
    [['10.0.0.0/8', '2001:db8::/32'], 403],
    ['nonsense', 403],
    ['', 200]
  ]
  for (const [ip, status] of rows) {
    await writeFile(file, JSON.stringify([{ ...entry, ip }]))
    const reply = await at.post('update.php', asBody())
    t.equal(reply.statusCode, status, JSON.stringify(ip))
    if (status === 403)
      t.strictSame(reply.json(), { success: false, message: 'Authentication failed (ip mismatch).' })
  }
})

t.test('authentication: X-Forwarded-For counts only from a trusted proxy', async t => {
  const hash = await readFile((await start(t)).path('settings', 'client-list.json'), 'utf8')
  const [entry] = JSON.parse(hash) as Record<string, unknown>[]
  const clients = JSON.stringify([{ ...entry, ip: '203.0.113.50' }])
  const forwarded = { 'x-forwarded-for': '203.0.113.50' }
  const closed = await start(t, {}, clients)
  t.equal((await closed.post('update.php', asBody(), forwarded)).statusCode, 403)
  const trusting = await start(t, { trustProxy: ['127.0.0.1'] }, clients)
  t.equal((await trusting.post('update.php', asBody(), forwarded)).statusCode, 200)
})

t.test(
  'authentication: HTTP Basic with X-Client-UUID works, Basic of the web server in front is passed over',
  async t => {
    const at = await start(t)
    const basic = (user: string, password: string) => ({
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    })
    const own = { ...basic(WEB1.username, WEB1.password), 'x-client-uuid': WEB1.uuid }
    t.equal((await at.post('update.php', '', own)).statusCode, 200)
    t.equal((await at.post('update.php', '', { ...own, 'x-client-uuid': 'other' })).statusCode, 403)
    t.equal((await at.post('update.php', '', { ...own, ...basic('web-1', 'wrong') })).statusCode, 403)
    t.equal((await at.post('update.php', asBody(), basic('apache', 'its own'))).statusCode, 200)
    t.equal((await at.post('update.php', '', basic(WEB1.username, WEB1.password))).statusCode, 403)
  }
)

t.test('authentication: failures from one address are limited, and the limit ends', async t => {
  const at = await start(t)
  for (let n = 0; n < 20; n++) await at.post('update.php', asBody({ password: 'wrong' }))
  const limited = await at.post('update.php', asBody())
  t.equal(limited.statusCode, 429)
  t.ok(limited.headers['retry-after'])
  at.clock.now += 61_000
  t.equal((await at.post('update.php', asBody())).statusCode, 200)
})

t.test('authentication: wrong ones sent together pass no limit, and stop nobody else', async t => {
  const at = await start(t)
  let most = 0
  let running = 0
  const { passwords } = at.app.store
  const matches = passwords.matches.bind(passwords)
  passwords.matches = async (...args) => {
    most = Math.max(most, ++running)
    return matches(...args).finally(() => running--)
  }
  const guess = (form: string) => at.post('update.php', form)
  const unknown = await Promise.all(
    Array.from({ length: 60 }, () => guess(asBody({ username: 'nobody', password: 'x' })))
  )
  t.equal(unknown.filter(reply => reply.statusCode === 403).length, 20)
  t.equal(unknown.filter(reply => reply.statusCode === 429).length, 40)
  at.clock.now += 61_000
  most = 0
  const known = await Promise.all(
    Array.from({ length: 60 }, (_, n) => guess(asBody({ password: `wrong ${n}` })))
  )
  t.ok(known.every(reply => reply.statusCode === 403 || reply.statusCode === 429))
  t.ok(most <= 3, `${most} at a time`)
  at.clock.now += 61_000
  const right = await Promise.all(Array.from({ length: 60 }, () => guess(asBody())))
  t.ok(
    right.every(reply => reply.statusCode === 200),
    'the right one, sent by many at once, is checked once'
  )
})

t.test('authentication: a changed client list counts at once, also for a remembered credential', async t => {
  const at = await start(t)
  t.equal((await at.post('update.php', asBody())).statusCode, 200)
  await writeFile(at.path('settings', 'client-list.json'), '[]')
  t.equal((await at.post('update.php', asBody())).statusCode, 403)
})

t.test('other methods get 405 with a JSON body', async t => {
  const at = await start(t)
  for (const endpoint of ['index', 'update', 'download', 'syncback', 'backsync']) {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH'] as const) {
      const reply = await at.app.inject({ method, url: `/endpoint/${endpoint}.php` })
      t.equal(reply.statusCode, 405, `${method} ${endpoint}`)
      t.match(reply.json(), { success: false })
      t.equal(reply.headers.allow, 'POST')
    }
  }
})

t.test('index.php stores a day of events and replaces the older one', async t => {
  const at = await start(t)
  const name = 'fail2ban-events-20260301.json'
  for (const events of [[EVENT], [EVENT, { ...EVENT, action: 'Restore Ban', ip: '2001:db8::1' }], []]) {
    const reply = await at.post('index.php', [...asFields(), ['file', JSON.stringify(events), name]])
    t.strictSame(reply.json(), { success: true, message: 'Events file stored.' })
    const stored = await readFile(at.path('archive', 'web-1', 'fail2ban', name), 'utf8')
    t.equal(stored, JSON.stringify(events))
  }
  const early = await at.post('index.php', [['file', JSON.stringify([EVENT]), name], ...asFields()])
  t.equal(early.statusCode, 200, 'the file may come before the credentials')
  t.strictSame(await filesIn(at.path('temp')), [])
})

t.test('index.php refuses what is no file of the contract, and nothing changes', async t => {
  const at = await start(t)
  const day = 'fail2ban-events-20260301.json'
  const bad = (change: object) => JSON.stringify([{ ...EVENT, ...change }])
  const rows: [string, string, string][] = [
    [day, '[{', 'Invalid JSON in upload.'],
    [day, 'null', 'Invalid content in upload'],
    [day, '{}', 'Invalid content in upload'],
    [day, bad({ action: 'Found' }), 'Invalid content in upload'],
    [day, bad({ ip: '1.2.3.4; drop' }), 'Invalid content in upload'],
    [day, bad({ timestamp: 'yesterday' }), 'Invalid content in upload'],
    [day, bad({ jail: '' }), 'Invalid content in upload'],
    ['events.json', '[]', 'Invalid filename: events.json'],
    ['users.json', '[]', 'Invalid filename'],
    ['.htaccess', '', 'Invalid filename'],
    ['fail2ban-events-20260301.json.php', '[]', 'Invalid filename']
  ]
  for (const [name, content, message] of rows) {
    const reply = await at.post('index.php', [...asFields(), ['file', content, name]])
    t.equal(reply.statusCode, 400, `${name} ${content}`)
    t.match(reply.json(), { success: false })
    t.ok(reply.json<{ message: string }>().message.startsWith(message), reply.body)
  }
  t.strictSame((await at.post('index.php', asFields())).json(), {
    success: false,
    message: 'No file uploaded.'
  })
  const unknown = await at.post('index.php', [...asFields({ password: 'wrong' }), ['file', '[]', day]])
  t.equal(unknown.statusCode, 403)
  t.strictSame(await filesIn(at.path('archive')), [])
  t.strictSame(await filesIn(at.path('temp')), [])
})

t.test('index.php: a path in an upload’s name leads nowhere', async t => {
  const at = await start(t)
  for (const name of [
    '../../other/fail2ban/fail2ban-events-20260301.json',
    '..\\\\fail2ban-events-20260301.json'
  ]) {
    await at.post('index.php', [...asFields(), ['file', '[]', name]])
  }
  t.strictSame(
    await readdir(at.path('archive')).then(names =>
      names.filter(name => !['web-1', 'live.jsonl'].includes(name))
    ),
    []
  )
  t.notOk(existsSync(at.path('other')))
})

t.test('index.php takes a blocklist: confirms, removes, stores the unknown', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  await block(at, '2.2.2.2')
  await block(at, '2.2.2.2', 'unblock')
  const list = await listOnDisk(at)
  const upload = [{ ...list[0], pending: false }]
  const reply = await at.post('index.php', [...asFields(), ['file', JSON.stringify(upload), sshd]])
  t.strictSame(reply.json(), { success: true, message: 'Blocklist updated.' })
  t.strictSame(await listOnDisk(at), upload)
  const fresh = '[{"ip": "9.9.9.9"}]'
  await at.post('index.php', [...asFields(), ['file', fresh, 'nginx.blocklist.json']])
  t.equal(await readFile(at.path('archive', 'web-1', 'blocklists', 'nginx.blocklist.json'), 'utf8'), fresh)
})

t.test('an upload over the size limit is refused and nothing is left', async t => {
  const at = await start(t, { uploadBytes: 1000 })
  const big = JSON.stringify(Array.from({ length: 50 }, () => EVENT))
  const reply = await at.post('index.php', [...asFields(), ['file', big, 'fail2ban-events-20260301.json']])
  t.equal(reply.statusCode, 413)
  const list = JSON.stringify([{ ip: '1.1.1.1', reason: 'x'.repeat(2000) }])
  const back = await at.post('syncback.php', [...asFields(), ['file[]', list, sshd]])
  t.equal(back.statusCode, 400)
  t.match(back.json(), { success: false, errors: [{ file: sshd }] })
  t.strictSame(await filesIn(at.path('temp')), [])
  t.strictSame(await filesIn(at.path('archive')), [])
})

t.test('the loop: block, hand-over, download, sync-back, active', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  t.strictSame(await index(at), { 'web-1': { [sshd]: true } })
  t.match(await listOnDisk(at), [{ ip: '1.1.1.1', active: true, pending: true }])
  t.strictSame((await at.post('update.php', asBody())).json(), { success: true, updates: [sshd] })
  t.strictSame(await index(at), { 'web-1': { [sshd]: false } })
  const copy = at.path('download', 'web-1', 'blocklists', sshd)
  t.ok(existsSync(copy))
  const reply = await at.post(`download.php?file=${sshd}`, asBody())
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['content-disposition'], `attachment; filename="${sshd}"`)
  t.equal(reply.body, await readFile(at.path('archive', 'web-1', 'blocklists', sshd), 'utf8'))
  await gone(copy)
  t.equal((await at.post(`download.php?file=${sshd}`, asBody())).statusCode, 404, 'a copy is handed out once')
  const applied = reply.json<BlocklistEntry[]>().map(entry => ({ ...entry, pending: false }))
  const back = await at.post('backsync.php', [
    ...asFields(),
    ['file[]', JSON.stringify(applied, null, 4), sshd]
  ])
  t.strictSame(back.json(), { success: true, message: 'All files processed successfully.', files: [sshd] })
  t.strictSame(await index(at), {})
  t.equal(
    await readFile(at.path('archive', 'web-1', 'blocklists', sshd), 'utf8'),
    JSON.stringify(applied, null, 4),
    'the client’s file, exactly'
  )
  t.strictSame(await filesIn(at.path('temp')), [])
})

t.test('a list handed out and never synced back is offered again', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  for (let ask = 0; ask < 3; ask++) {
    t.strictSame((await at.post('update.php', asBody())).json<{ updates: string[] }>().updates, [sshd])
  }
})

t.test('changes made between download and sync-back are kept and offered again', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  await block(at, '2.2.2.2')
  await at.post('update.php', asBody())
  const handed = (await at.post(`download.php?file=${sshd}`, asBody())).json<BlocklistEntry[]>()
  await block(at, '3.3.3.3')
  await block(at, '2.2.2.2', 'unblock')
  const applied = handed.map(entry => ({ ...entry, pending: false }))
  await at.post('syncback.php', [...asFields(), ['file', JSON.stringify(applied), sshd]])
  t.match(await listOnDisk(at), [
    { ip: '1.1.1.1', active: true, pending: false },
    { ip: '2.2.2.2', active: false, pending: true },
    { ip: '3.3.3.3', active: true, pending: true }
  ])
  t.strictSame(await index(at), { 'web-1': { [sshd]: true } })
})

t.test('a sync-back that comes again after an unblock was carried out brings nothing back', async t => {
  const at = await start(t)
  const cycle = async () => {
    await at.post('update.php', asBody())
    const handed = (await at.post(`download.php?file=${sshd}`, asBody())).json<BlocklistEntry[]>()
    const applied = handed.filter(entry => entry.active).map(entry => ({ ...entry, pending: false }))
    const sent = JSON.stringify(applied)
    await at.post('syncback.php', [...asFields(), ['file', sent, sshd]])
    return sent
  }
  await block(at, '1.1.1.1')
  await block(at, '2.2.2.2')
  const late = await cycle()
  await block(at, '1.1.1.1', 'unblock')
  await cycle()
  t.match(await listOnDisk(at), [{ ip: '2.2.2.2', active: true }])
  await at.post('syncback.php', [...asFields(), ['file', late, sshd]])
  t.strictSame(
    (await listOnDisk(at)).map(entry => entry.ip),
    ['2.2.2.2']
  )
  await block(at, '1.1.1.1')
  await at.post('syncback.php', [...asFields(), ['file', late, sshd]])
  t.match(
    (await listOnDisk(at)).find(entry => entry.ip === '1.1.1.1'),
    { active: true, pending: true },
    'a new block stays one'
  )
})

t.test('syncback=overwrite gives the concept’s literal behaviour', async t => {
  const at = await start(t, { syncback: 'overwrite' })
  await block(at, '1.1.1.1')
  await at.post('update.php', asBody())
  await block(at, '3.3.3.3')
  await at.post('syncback.php', [...asFields(), ['file', '[{"ip":"1.1.1.1"}]', sshd]])
  t.strictSame(await listOnDisk(at), [{ ip: '1.1.1.1' }])
  t.strictSame(await index(at), {})
})

t.test('syncback refuses bad lists, keeps the good ones, and names both', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  const before = await readFile(at.path('archive', 'web-1', 'blocklists', sshd), 'utf8')
  const bad: [string, string][] = [
    [sshd, '{'],
    [sshd, '{"ip":"1.1.1.1"}'],
    [sshd, '[{"jail":"sshd"}]'],
    [sshd, '[{"ip":"999.1.1.1"}]'],
    [sshd, '[{"ip":"1.1.1.1; flush ruleset"}]'],
    [sshd, '[{"ip":"1.1.1.1","jail":"nginx"}]'],
    [sshd, '[{"ip":"1.1.1.1","active":"yes"}]'],
    ['evil.json', '[]'],
    ['.blocklist.json', '[]'],
    ['update.json', '{}']
  ]
  for (const [name, content] of bad) {
    const reply = await at.post('syncback.php', [...asFields(), ['file[]', content, name]])
    t.equal(reply.statusCode, 400, content)
    t.match(reply.json(), {
      success: false,
      message: 'No valid blocklist files uploaded.',
      errors: [{ file: name }]
    })
  }
  t.strictSame((await at.post('syncback.php', asFields())).json(), {
    success: false,
    message: 'No files uploaded.'
  })
  t.equal(await readFile(at.path('archive', 'web-1', 'blocklists', sshd), 'utf8'), before)
  const mixed = await at.post('syncback.php', [
    ...asFields(),
    ['file[]', '[{"ip":"nope"}]', sshd],
    ['file[]', '[{"ip":"5.5.5.5"}]', 'nginx.blocklist.json']
  ])
  t.equal(mixed.statusCode, 200)
  t.match(mixed.json(), { success: true, files: ['nginx.blocklist.json'], errors: [{ file: sshd }] })
  t.equal(await readFile(at.path('archive', 'web-1', 'blocklists', sshd), 'utf8'), before)
})

t.test('download.php reaches the client’s own handed-out copies only', async t => {
  const at = await start(t)
  await mkdir(at.path('download', 'web-2', 'blocklists'), { recursive: true })
  await writeFile(at.path('download', 'web-2', 'blocklists', sshd), '[]')
  await block(at, '1.1.1.1')
  t.strictSame((await at.post('download.php', asBody())).json(), {
    success: false,
    message: "Missing 'file' parameter."
  })
  for (const file of [
    sshd,
    '../../web-2/blocklists/sshd.blocklist.json',
    '..%2f..%2fweb-2',
    '%00',
    '/etc/passwd',
    '..'
  ]) {
    const reply = await at.post(`download.php?file=${file}`, asBody())
    t.equal(reply.statusCode, 404, file)
    t.match(reply.json(), { success: false, message: 'Requested blocklist not found.' })
  }
  t.equal((await at.post(`download.php?file=${sshd}`, asBody({ password: 'x' }))).statusCode, 403)
})

t.test(
  'a client that tells what it holds is offered what differs and asked for what the server lost',
  async t => {
    const at = await start(t)
    await block(at, '1.1.1.1')
    await at.post('update.php', asBody())
    const handed = (await at.post(`download.php?file=${sshd}`, asBody())).body
    await at.post('syncback.php', [
      ...asFields(),
      ['file[]', handed.replace('"pending":true', '"pending":false'), sshd]
    ])
    t.strictSame(
      (await at.post('update.php', asBody())).json(),
      { success: true, updates: [] },
      'old clients see no more'
    )
    const hash = (await at.app.store.lists.hash(web1, sshd)) ?? ''
    const told = async (have: string) => (await at.post('update.php', asBody({ have }))).json<unknown>()
    t.strictSame(await told(`${sshd}=${hash}`), { success: true, updates: [], restore: [] })
    t.strictSame(await told(`lost.blocklist.json=00,${sshd}=${hash}`), {
      success: true,
      updates: [],
      restore: ['lost.blocklist.json']
    })
    t.strictSame(await told(''), { success: true, updates: [sshd], restore: [] }, 'a host that lost its copy')
  }
)

t.test('what has expired is handed out as an unblock, to clients that know no expiry too', async t => {
  const at = await start(t)
  const expires = isoTime(at.clock.now + 60_000)
  const wish = { ip: address('1.1.1.1'), want: 'block', source: 'manual', expires } as const
  await at.app.store.lists.change(web1, sshd, [wish], ALICE)
  await at.post('update.php', asBody())
  const handed = (await at.post(`download.php?file=${sshd}`, asBody())).json<BlocklistEntry[]>()
  await at.post('syncback.php', [...asFields(), ['file[]', JSON.stringify(handed), sshd]])
  t.strictSame((await at.post('update.php', asBody())).json<{ updates: string[] }>().updates, [])
  at.clock.now += 61_000
  t.strictSame((await at.post('update.php', asBody())).json<{ updates: string[] }>().updates, [sshd])
  t.match(await listOnDisk(at), [{ ip: '1.1.1.1', active: false, pending: true }])
})

t.test('a corrupt list is set aside, and a block on it is refused until it is restored', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  const path = at.path('archive', 'web-1', 'blocklists', sshd)
  const whole = await readFile(path, 'utf8')
  await writeFile(path, whole.slice(0, 20))
  await t.rejects(block(at, '2.2.2.2'), { code: 'LIST_SET_ASIDE', status: 409 })
  const left = await readdir(join(path, '..'))
  t.equal(left.length, 1)
  t.match(left[0], /^sshd\.blocklist\.json\.corrupt-/)
  t.match(at.logs, [{ event: 'file_set_aside' }])
  const offer = await at.post('update.php', asBody({ have: `${sshd}=00` }))
  t.match(offer.json(), { restore: [sshd] })
  await at.post('index.php', [...asFields(), ['file', whole, sshd]])
  t.strictSame(await block(at, '2.2.2.2'), ['blocked'])
  t.equal((await listOnDisk(at)).length, 2)
})

t.test(
  'a missing update.json is made by whoever asks first, not read out of all lists each time',
  async t => {
    const at = await start(t)
    const loads: string[] = []
    const { files } = at.app.store
    const read = files.read.bind(files)
    files.read = async (path, kind) => {
      loads.push(path)
      return read(path, kind)
    }
    const others = at.path('archive', 'web-2', 'blocklists')
    await mkdir(others, { recursive: true })
    await writeFile(join(others, 'sshd.blocklist.json'), '[{"ip":"192.0.2.1","pending":true}]')
    const looks = () => loads.filter(path => path.startsWith(others)).length
    await Promise.all(Array.from({ length: 20 }, () => at.post('update.php', asBody())))
    t.strictSame(await index(at), { 'web-2': { 'sshd.blocklist.json': true } })
    t.equal(looks(), 1, 'polls that come together read the lists once')
    await rm(at.path('archive', 'update.json'))
    await at.post('syncback.php', [...asFields(), ['file[]', '[]', 'sshd.blocklist.json']])
    t.strictSame(await index(at), { 'web-2': { 'sshd.blocklist.json': true } })
    t.equal(looks(), 2, 'and so does a sync-back')
  }
)

t.test('a corrupt update.json is set aside and forgets no pending change', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  await writeFile(at.path('archive', 'update.json'), '{"web-1":')
  t.strictSame((await at.post('update.php', asBody())).json<{ updates: string[] }>().updates, [sshd])
  t.ok((await readdir(at.path('archive'))).some(name => name.startsWith('update.json.corrupt-')))
})

t.test(
  'an archive of the 0.5 format works unchanged, and nothing is rewritten until someone changes it',
  async t => {
    const at = await start(t)
    const old = JSON.stringify(
      [
        { ip: '1.1.1.1' },
        { ip: '2.2.2.2', jail: 'sshd', active: false },
        { ip: '3.3.3.3', source: 'action_ban-ip', note: 'a field we do not know' }
      ],
      null,
      4
    )
    await mkdir(at.path('archive', 'web-1', 'blocklists'), { recursive: true })
    const path = at.path('archive', 'web-1', 'blocklists', sshd)
    await writeFile(path, old)
    await writeFile(at.path('archive', 'update.json'), '{}')
    const before = await stat(path)
    const told = await at.post('update.php', asBody({ have: '' }))
    t.match(told.json(), { updates: [sshd] }, 'our client, new on the host, fetches it')
    const handed = (await at.post(`download.php?file=${sshd}`, asBody())).body
    t.equal(handed, old)
    await at.post('syncback.php', [...asFields(), ['file[]', handed, sshd]])
    const after = await stat(path)
    t.equal(after.ino, before.ino)
    t.equal(after.mtimeMs, before.mtimeMs)
    await block(at, '4.4.4.4')
    t.match(await listOnDisk(at), [
      { ip: '1.1.1.1' },
      { ip: '2.2.2.2', active: false },
      { ip: '3.3.3.3', note: 'a field we do not know' },
      { ip: '4.4.4.4', pending: true }
    ])
  }
)

t.test('no data, settings or dot-file is served, whatever the path tricks', async t => {
  const at = await start(t)
  await writeFile(at.path('public', 'index.html'), '<p>page')
  await writeFile(at.path('public', 'stray.json'), '{}')
  await writeFile(at.path('public', '.htaccess'), 'x')
  t.equal((await at.app.inject('/')).body, '<p>page')
  const asked = [
    '/stray.json',
    '/stray%2ejson',
    '/stray%252ejson',
    '/.htaccess',
    '/%2ehtaccess',
    '/archive/update.json',
    '/../settings/client-list.json',
    '/%2e%2e/settings/client-list.json',
    '/%252e%252e/settings/client-list.json',
    '/..%5csettings%5cclient-list.json',
    '/..\\settings\\client-list.json',
    '/stray.json%00.html',
    '/fail2ban-report.config',
    '/cron.sh',
    '/.git/config',
    '/%',
    '/%zz'
  ]
  for (const url of asked) {
    const reply = await at.app.inject({ method: 'GET', url })
    t.ok([403, 404].includes(reply.statusCode), `${url} ${reply.statusCode}`)
    t.notMatch(reply.body, /^\{\}/)
  }
})

t.test('what PHP writes for emptied and filtered arrays is read', async t => {
  const at = await start(t)
  const folder = at.path('archive', 'web-1', 'blocklists')
  await mkdir(folder, { recursive: true })
  const list = '{"0":{"ip":"1.1.1.1"},"2":{"ip":"2.2.2.2","active":true,"pending":true}}'
  await writeFile(join(folder, sshd), list)
  for (const index of ['[]', '{"web-1":[]}']) {
    await writeFile(at.path('archive', 'update.json'), index)
    t.strictSame((await at.post('update.php', asBody())).json<{ updates: string[] }>().updates, [], index)
    t.equal(await readFile(at.path('archive', 'update.json'), 'utf8'), index, 'it is left as it is')
    t.strictSame(at.logs, [])
  }
  await block(at, '3.3.3.3')
  t.match(await listOnDisk(at), [{ ip: '1.1.1.1' }, { ip: '2.2.2.2' }, { ip: '3.3.3.3' }])
  const sent = '{"1":{"ip":"3.3.3.3","pending":false}}'
  t.equal((await at.post('syncback.php', [...asFields(), ['file[]', sent, sshd]])).statusCode, 200)
})

t.test('a form without boundary is the sender’s mistake', async t => {
  const at = await start(t)
  const reply = await at.post('update.php', 'x', { 'content-type': 'multipart/form-data' })
  t.equal(reply.statusCode, 400)
  t.match(reply.json(), { success: false, message: /Malformed form upload/ })
})

t.test('a day the calendar does not have is no events file', async t => {
  const at = await start(t)
  for (const day of ['99999999', '20260230', '20261301', '20250229']) {
    const reply = await at.post('index.php', [...asFields(), ['file', '[]', `fail2ban-events-${day}.json`]])
    t.equal(reply.statusCode, 400, day)
    t.match(reply.json(), { message: /^Invalid filename/ })
  }
})

t.test('a time beyond all years can’t make a list unchangeable', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  const late = (lastModified: string) => JSON.stringify([{ ip: '1.1.1.1', lastModified, pending: false }])
  const send = (text: string) => at.post('syncback.php', [...asFields(), ['file[]', text, sshd]])
  t.equal((await send(late('9999-12-31T23:59:59-12:00'))).statusCode, 400)
  const path = at.path('archive', 'web-1', 'blocklists', sshd)
  for (const stamp of [
    '+275760-09-13T00:00:00.000Z',
    '9999-12-31T23:59:59-12:00',
    '9999-12-31T23:59:59.999Z'
  ]) {
    await writeFile(path, late(stamp))
    await at.post('update.php', asBody({ have: '' }))
    t.strictSame(await block(at, '1.1.1.1', 'unblock'), ['unblocked'], stamp)
  }
})

t.test('a list that can’t be read doesn’t keep the others from their host', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  await symlink('/dev/null', at.path('archive', 'web-1', 'blocklists', 'apache.blocklist.json'))
  const reply = await at.post('update.php', asBody({ have: '' }))
  t.strictSame(reply.json<{ updates: string[] }>().updates, [sshd])
  t.match(at.logs, [{ event: 'list_not_offered', list: 'apache.blocklist.json' }])
  await rm(at.path('archive', 'web-1', 'blocklists', sshd))
  await rm(at.path('archive', 'update.json'))
  t.equal(
    (await at.post('update.php', asBody({ have: '' }))).statusCode,
    500,
    'there is nothing else to give'
  )
})

t.test('an unblock between two hand-overs that are both out survives both sync-backs', async t => {
  const at = await start(t)
  await block(at, '1.1.1.1')
  const handOver = async () => {
    at.clock.now += 60_000
    await at.post('update.php', asBody())
    return (await at.post(`download.php?file=${sshd}`, asBody())).json<BlocklistEntry[]>()
  }
  const [mine] = await handOver()
  at.clock.now += 60_000
  await block(at, '1.1.1.1', 'unblock')
  await handOver()
  at.clock.now += 60_000
  // An old client stamps what it puts in force by its own clock.
  const stamped = [{ ...mine, pending: false, lastModified: isoTime(at.clock.now) }]
  await at.post('syncback.php', [...asFields(), ['file[]', JSON.stringify(stamped), sshd]])
  t.match(await listOnDisk(at), [{ ip: '1.1.1.1', active: false, pending: true }])
  t.match((await at.post('update.php', asBody())).json(), { updates: [sshd] })
  await at.post('syncback.php', [...asFields(), ['file[]', '[]', sshd]])
  t.strictSame(await listOnDisk(at), [])
  t.strictSame(await index(at), {})
})

t.test('healthz answers, and says so when a folder is not usable', async t => {
  const at = await start(t)
  const reply = await at.app.inject('/healthz')
  t.strictSame(reply.json(), { status: 'ok' })
})

t.test('index.php: a day that is overtaken by a later upload of it does not replace that', async t => {
  const at = await start(t)
  const url = await at.app.listen({ host: '127.0.0.1', port: 0 })
  const name = 'fail2ban-events-20260301.json'
  const form = new FormData()
  for (const [field, value] of Object.entries(WEB1)) form.set(field, value)
  form.set('file', new Blob([JSON.stringify([EVENT])]), name)
  const whole = new Request(url, { method: 'POST', body: form })
  const body = Buffer.from(await whole.clone().arrayBuffer())
  const headers = { 'content-type': whole.headers.get('content-type') ?? '', 'content-length': body.length }
  // The host is killed when all but the last bytes are sent; they come late.
  const early = request(`${url}/endpoint/index.php`, { method: 'POST', headers })
  early.write(body.subarray(0, -10))
  while ((await filesIn(at.path('temp'))).length === 0) await new Promise(setImmediate)
  const later = [EVENT, { ...EVENT, timestamp: '2026-03-01 10:00:01,000' }]
  t.match(await at.post('index.php', [...asFields(), ['file', JSON.stringify(later), name]]), {
    statusCode: 200
  })
  early.end(body.subarray(-10))
  const [reply] = (await once(early, 'response')) as [{ statusCode: number }]
  t.equal(reply.statusCode, 200)
  const stored = await readFile(at.path('archive', 'web-1', 'fail2ban', name), 'utf8')
  t.strictSame(JSON.parse(stored), later)
  t.match(await at.post('index.php', [...asFields(), ['file', JSON.stringify([EVENT]), name]]), {
    statusCode: 200
  })
  const replaced = await readFile(at.path('archive', 'web-1', 'fail2ban', name), 'utf8')
  t.strictSame(JSON.parse(replaced), [EVENT], 'one that comes later replaces it, whatever it holds')
})
