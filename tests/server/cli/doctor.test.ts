import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Finding } from '../../../common/findings.js'
import { checkServer } from '../../../server/cli/doctor.js'
import { makeCertificate, NO_OPENSSL } from '../../support/certificates.js'
import { ownFolder } from '../../support/own-folder.js'
import { scratch } from '../../support/scratch.js'

const MINUTE = 60_000
const USERS = [{ username: 'alice', password: 'x', role: 'admin' }]
const CLIENTS = [{ username: 'web-1', password: 'x', uuid: 'u' }]

/** A server's folders with nothing wrong, and what doctor finds in them. */
async function healthy(t: Test, env: Record<string, string> = {}) {
  const dir = ownFolder(t, {})
  const path = (...parts: string[]) => join(dir, ...parts)
  const write = async (file: string, value: unknown, mode = 0o640) => {
    await mkdir(join(file, '..'), { recursive: true, mode: 0o750 })
    await writeFile(file, typeof value === 'string' ? value : JSON.stringify(value), { mode })
  }
  for (const name of ['archive', 'download']) await mkdir(path(name), { mode: 0o750 })
  for (const name of ['temp', 'settings']) await mkdir(path(name), { mode: 0o700 })
  await write(path('settings', 'users.json'), USERS, 0o600)
  await write(path('settings', 'client-list.json'), CLIENTS, 0o600)
  await write(path('settings', 'session-key.json'), { key: 'k'.repeat(64) }, 0o600)
  await write(path('archive', 'update.json'), { 'web-1': { 'sshd.blocklist.json': true } })
  const host = path('archive', 'web-1')
  await write(join(host, 'host.json'), { lastSeen: new Date().toISOString(), clockSkewMs: 20 })
  await write(join(host, 'handover.json'), {})
  await write(join(host, 'gone.json'), {})
  await write(join(host, 'blocklists', 'sshd.blocklist.json'), [{ ip: '192.0.2.1' }])
  await write(join(host, 'fail2ban', 'fail2ban-events-20260301.json'), [])
  const flags = Object.fromEntries(
    ['archive', 'download', 'temp', 'settings'].map(name => [name, path(name)])
  )
  const heard: string[] = []
  // Nobody listens there.
  const all = { F2BR_PORT: '1', ...env }
  const terminal = { err: (text: string) => heard.push(text), env: all } as unknown as Parameters<
    typeof checkServer
  >[1]
  return {
    path,
    write,
    heard,
    find: async (more: object = {}) => checkServer({ side: 'both', ...flags, ...more }, terminal)
  }
}

/** What is not in order. */
const wrong = (found: Finding[]) => found.filter(finding => finding.level !== 'ok')

t.test('when all is well, everything looked at is ok', async t => {
  const { find, heard } = await healthy(t)
  const found = await find()
  t.strictSame(wrong(found), [])
  const told = found.map(finding => finding.what)
  t.match(told, [
    /archive, download, temp and settings can be read and written/,
    /the server does not run, or not there: .*:1\/healthz: ECONNREFUSED/,
    /1 host may sync/,
    /1 user, an admin among them/,
    /the data files are whole/,
    /web-1 asked last at /,
    /of 1 list of web-1, 1 to be fetched/
  ])
  t.strictSame(heard, [])
})

t.test(
  'each folder and settings file that others can get into is a problem, and the mend mends it',
  async t => {
    const { find, path } = await healthy(t)
    for (const [target, mode, what, mend] of [
      [path('archive'), 0o755, /archive folder .* is open to others/, `chmod o-rwx ${path('archive')}`],
      [path('download'), 0o751, /download folder .* is open to others/, `chmod o-rwx ${path('download')}`],
      [path('temp'), 0o750, /temp folder .* is open to others/, `chmod go-rwx ${path('temp')}`],
      [path('settings'), 0o710, /settings folder .* is open to others/, `chmod go-rwx ${path('settings')}`],
      [path('settings', 'users.json'), 0o640, /others can read the user list/, /^chmod 600 .*users\.json$/],
      [path('settings', 'client-list.json'), 0o604, /others can read the client list/, /^chmod 600 /],
      [path('settings', 'session-key.json'), 0o644, /others can read the session key/, /^chmod 600 /]
    ] as const) {
      const right = target.endsWith('.json') ? 0o600 : /archive|download/.test(target) ? 0o750 : 0o700
      await chmod(target, mode)
      const found = wrong(await find())
      t.match(found, [{ level: 'problem', what, mend }], target)
      t.equal(found.length, 1, target)
      await chmod(target, right)
    }
    t.strictSame(wrong(await find()), [])
  }
)

t.test('a folder that is missing is a problem', async t => {
  const { find, path } = await healthy(t)
  await rm(path('temp'), { recursive: true })
  t.match(wrong(await find()), [
    { level: 'problem', what: /the temp folder can't be/, mend: /make the folders/ }
  ])
})

t.test('no server at all is a warning, and a problem for who asks for it', async t => {
  const { find, path } = await healthy(t)
  const settings = path('none')
  t.match(await find({ settings }), [
    { level: 'warning', what: /no server here: .*none/, mend: /fail2ban-report serve/ }
  ])
  t.match(await find({ settings, side: 'server' }), [{ level: 'problem', what: /no server here/ }])
})

t.test('nobody who could log in or sync is a warning that says how to add one', async t => {
  const { find, path, write } = await healthy(t)
  await write(path('settings', 'users.json'), [{ username: 'victor', password: 'x', role: 'viewer' }])
  t.match(wrong(await find()), [
    { level: 'warning', what: 'no admin can log in', mend: / user add NAME --role admin$/ }
  ])
  await write(path('settings', 'users.json'), USERS)
  await write(path('settings', 'client-list.json'), [])
  t.match(wrong(await find()), [
    { level: 'warning', what: 'no host may sync', mend: / client add HOST --server-url https:/ }
  ])
})

t.test('a corrupt whitelist and corrupt settings are a problem and stay as they are', async t => {
  const { find, path, write } = await healthy(t)
  for (const [folder, name, good] of [
    ['settings', 'users.json', USERS],
    ['settings', 'client-list.json', CLIENTS],
    ['settings', 'session-key.json', { key: 'k'.repeat(64) }],
    ['archive', 'whitelist.json', []]
  ] as const) {
    await write(path(folder, name), '{"half')
    const [found, ...others] = wrong(await find()).filter(finding => finding.level === 'problem')
    t.match(found, { what: /corrupt/, mend: /mend the file by hand/ }, name)
    t.strictSame(others, [], name)
    t.notOk(
      (await readdir(path(folder))).some(file => file.includes('.corrupt-')),
      name
    )
    await write(path(folder, name), good)
  }
  t.strictSame(wrong(await find()), [])
})

t.test(
  'a corrupt data file of any kind is a problem, set aside at once and told of until it is gone',
  async t => {
    for (const parts of [
      ['archive', 'update.json'],
      ['archive', 'web-1', 'host.json'],
      ['archive', 'web-1', 'handover.json'],
      ['archive', 'web-1', 'gone.json'],
      ['archive', 'web-1', 'blocklists', 'sshd.blocklist.json'],
      ['archive', 'web-1', 'fail2ban', 'fail2ban-events-20260301.json'],
      ['settings', 'ended-sessions.json']
    ]) {
      const { find, path, write, heard } = await healthy(t)
      const file = path(...parts)
      const name = parts.at(-1) ?? ''
      await write(file, '{"half')
      for (const time of ['first', 'second']) {
        const problems = (await find()).filter(finding => finding.level === 'problem')
        const what = new RegExp(`a corrupt file was set aside: .*/${name}\\.corrupt-`)
        t.match(
          problems,
          [{ what, mend: /mend it and put it back .* or delete it/ }],
          `${name}, ${time} look`
        )
        t.equal(problems.length, 1, `${name}, ${time} look`)
      }
      t.match(heard, [/was corrupt/], name)
      const folder = join(file, '..')
      const copy = (await readdir(folder)).find(item => item.startsWith(`${name}.corrupt-`)) ?? ''
      await rm(join(folder, copy))
      t.strictSame(
        (await find()).filter(finding => finding.level === 'problem'),
        [],
        `${name} when the copy is gone`
      )
    }
  }
)

t.test('an abandoned lock is a warning; one that is held is none', async t => {
  const { find, path } = await healthy(t)
  const old = new Date(Date.now() - 10 * MINUTE)
  for (const parts of [
    ['archive', 'update.json.lock'],
    ['archive', 'web-1', 'blocklists', 'sshd.blocklist.json.lock'],
    ['settings', 'users.json.lock']
  ]) {
    const lock = path(...parts)
    await mkdir(lock)
    t.strictSame(wrong(await find()), [], 'held')
    await utimes(lock, old, old)
    t.match(wrong(await find()), [
      { level: 'warning', what: `an abandoned lock: ${lock}`, mend: /the next writer takes it over/ }
    ])
    await rm(lock, { recursive: true })
  }
})

t.test('a host that is quiet, or never asked, or whose clock is wrong, is a warning', async t => {
  const { find, path, write } = await healthy(t)
  const host = path('archive', 'web-1', 'host.json')
  const ago = (ms: number) => new Date(Date.now() - ms).toISOString()
  for (const [value, what, mend] of [
    [{ lastSeen: ago(16 * MINUTE) }, /web-1 has not asked since 20/, /doctor --side client" on web-1/],
    [{ lastSeen: 'never mind' }, /web-1 has not asked since never mind/, /doctor --side client" on web-1/],
    [{}, /web-1 has never asked/, /doctor --side client" on web-1/],
    [{ lastSeen: ago(0), clockSkewMs: 61_000 }, /web-1's clock differs by 61 s/, /NTP/],
    [{ lastSeen: ago(0), clockSkewMs: -3_600_000 }, /web-1's clock differs by -3600 s/, /NTP/]
  ] as const) {
    await write(host, value)
    const found = wrong(await find())
    t.match(found, [{ level: 'warning', what, mend }])
    t.equal(found.length, 1)
  }
  await write(host, { lastSeen: ago(14 * MINUTE), clockSkewMs: -59_000 })
  t.strictSame(wrong(await find()), [])
})

t.test('the password file: hashes, mode, whether it can be read', async t => {
  const file = join(scratch(t), '.htpasswd')
  const { find } = await healthy(t, { F2BR_HTPASSWD: file })
  const problem = async () => wrong(await find())
  t.match(await problem(), [{ level: 'problem', what: /can't be read \(ENOENT\)/, mend: /htpasswd -B/ }])
  await writeFile(file, 'front:$apr1$a$b\n', { mode: 0o640 })
  t.match(await problem(), [{ level: 'problem', what: /line 1 \(front\): not a bcrypt hash/ }])
  await writeFile(file, `front:$2y$05$${'a'.repeat(53)}\n`)
  t.strictSame(await problem(), [])
  t.match(
    (await find()).map(({ what }) => what),
    /the password file .* has 1 user/
  )
  await chmod(file, 0o644)
  t.match(await problem(), [
    { level: 'problem', what: /others can read the password file/, mend: /^chmod o-rwx / }
  ])
})

t.test(
  'certificate and key: whether they fit, when they end, who can read the key',
  { skip: NO_OPENSSL },
  async t => {
    const dir = scratch(t)
    const [good, soon, ended] = [
      makeCertificate(dir, 'good'),
      makeCertificate(dir, 'soon', [], 3),
      makeCertificate(dir, 'ended', [], -1)
    ]
    const found = async (F2BR_TLS_CERT: string, F2BR_TLS_KEY: string) =>
      wrong(await (await healthy(t, { F2BR_TLS_CERT, F2BR_TLS_KEY })).find())
    t.strictSame(await found(good.cert, good.key), [])
    t.match(await found(soon.cert, soon.key), [
      { level: 'warning', what: /valid from .* until/, mend: /renew it/ }
    ])
    t.match(await found(ended.cert, ended.key), [{ level: 'problem', mend: /renew it/ }])
    t.match(await found(good.cert, soon.key), [
      { level: 'problem', what: /is not the key of the certificate/ }
    ])
    t.match(await found(good.cert, '/nowhere'), [{ level: 'problem', what: /ENOENT/ }])
    await chmod(good.key, 0o644)
    t.match(await found(good.cert, good.key), [{ level: 'problem', what: /others can read the private key/ }])
  }
)

t.test(
  'what root can read and the server can’t is a problem',
  {
    skip: NO_OPENSSL || (spawnSync('runuser', ['-u', 'nobody', 'true']).status === 0 ? false : 'needs root')
  },
  async t => {
    const { cert, key } = makeCertificate(scratch(t), 'one')
    const { find } = await healthy(t, { F2BR_TLS_CERT: cert, F2BR_TLS_KEY: key, F2BR_USER: 'nobody' })
    t.match(wrong(await find()).slice(-2), [
      {
        level: 'problem',
        what: /nobody, the user that the server runs as, can't read .*one\.pem/,
        mend: /install -o nobody/
      },
      { level: 'problem', what: /can't read .*one\.key/ }
    ])
  }
)

t.test('a list that was set aside counts among those that wait', async t => {
  const { path, find } = await healthy(t)
  const list = path('archive', 'web-1', 'blocklists', 'sshd.blocklist.json')
  await rename(list, `${list}.corrupt-2026-03-01T120000`)
  t.match(
    (await find()).find(finding => finding.what.includes('to be fetched'))?.what,
    /^of 1 list of web-1, 1 /
  )
})

t.test(
  'a folder that root can use and the server can’t is a problem, and the mend mends it',
  { skip: spawnSync('runuser', ['-u', 'nobody', 'true']).status === 0 ? false : 'needs root' },
  async t => {
    const dir = scratch(t)
    await chmod(dir, 0o755)
    const folders = Object.fromEntries(
      ['archive', 'download', 'temp', 'settings'].map(name => [name, join(dir, name)])
    )
    for (const path of Object.values(folders)) await mkdir(path, { mode: 0o700 })
    const { find } = await healthy(t, { F2BR_USER: 'nobody' })
    const problems = async () =>
      (await find(folders)).filter(({ what }) => what.includes('the user that the server runs as'))
    const found = await problems()
    t.match(found, [
      {
        level: 'problem',
        what: `nobody, the user that the server runs as, can't read and write the archive folder ${folders.archive}`
      },
      { what: /download folder/ },
      { what: /temp folder/ },
      { what: /settings folder/ }
    ])
    for (const { mend = '' } of found) {
      const [commands = ''] = mend.split(', and')
      t.equal(spawnSync('sh', ['-c', commands]).status, 0, commands)
    }
    t.strictSame(await problems(), [])
    await chmod(folders.archive ?? '', 0)
    t.match(await problems(), [{ what: /archive folder/ }])
  }
)

t.test('whether the server answers where it is configured to', async t => {
  let reply = { code: 200, text: '{"status":"ok"}' }
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/healthz' ? reply.code : 404
    response.end(reply.text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const port = String((server.address() as AddressInfo).port)
  const conf = join(scratch(t), 'server.conf')
  await writeFile(conf, `port = ${port}\n`)
  const { find } = await healthy(t, { F2BR_SERVER_CONFIG: conf, F2BR_PORT: port })
  const unnamed = await healthy(t, { F2BR_PORT: port })
  const told = async (from: typeof find) => (await from()).find(({ what }) => what.includes('/healthz'))
  t.match(await told(find), { level: 'ok', what: /^the server answers: http:\/\/127/ })
  reply = { code: 507, text: '{"success":false,"message":"The archive folder, such as it is"}' }
  t.match(await told(find), { level: 'problem', what: /answered 507: The archive folder/, mend: /mend what/ })
  t.match(await told(unnamed.find), { level: 'problem', what: /answered 507/ })
  reply = { code: 404, text: '<html>' }
  t.match(await told(find), { level: 'problem', what: /answered 404$/ })
  t.match(await told(unnamed.find), { level: 'ok', what: /another program answers where it would/ })
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
  t.match(await told(find), { level: 'problem', what: /does not run.*ECONNREFUSED/, mend: /start it: / })
  t.match(await told(unnamed.find), { level: 'ok', what: /does not run/ })
})
