import { chmod, mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand, type RunCommand } from '../../../common/command.js'
import { ProductError } from '../../../common/errors.js'
import type { Finding } from '../../../common/findings.js'
import { checkClient } from '../../../client/cli/doctor.js'
import { available } from '../../support/netns.js'
import { ownFolder } from '../../support/own-folder.js'
import { ufwHost } from '../firewall/ufw-host.js'

const MINUTE = 60_000

/** A server that answers as ours does, and can be made to answer otherwise. */
async function fakeServer(t: Test) {
  const server = { url: '', get: 405, download: 404, skewMs: 0 }
  const http = createServer((request, reply) => {
    request.resume()
    reply.setHeader('date', new Date(Date.now() + server.skewMs).toUTCString())
    reply.setHeader('connection', 'close')
    reply.statusCode = request.method === 'GET' ? server.get : server.download
    reply.end('{"success":false,"message":"Authentication failed (password)."}')
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  server.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  t.teardown(() => http.close())
  return server
}

/** Programs of this machine, but for a fail2ban that is played: whichever this machine has. */
function withFail2ban(
  fail2ban: { version: string | undefined; ping: number },
  others: RunCommand = runCommand
): RunCommand {
  return async (program, args, options) => {
    if (program !== 'fail2ban-client') return others(program, args, options)
    if (fail2ban.version === undefined) {
      const cause = Object.assign(new Error('spawn ENOENT'), { code: 'ENOENT' })
      throw new ProductError('COMMAND', 'fail2ban-client could not be started', cause)
    }
    if (args.includes('-V')) return { code: 0, stdout: fail2ban.version, stderr: '' }
    return { code: fail2ban.ping, stdout: '', stderr: 'Is fail2ban running?' }
  }
}

/** A host with nothing wrong, and what doctor finds on it. */
async function healthy(t: Test) {
  const dir = ownFolder(t, { state: { blocklists: {}, events: {} }, 'fail2ban.log': '' })
  const path = (...parts: string[]) => join(dir, ...parts)
  for (const name of ['', 'blocklists', 'events']) await chmod(path('state', name), 0o700)
  const server = await fakeServer(t)
  const configure = async (more = '', mode = 0o600) => {
    const own = `username = web-1\npassword = correct-horse\nuuid = u\nfirewall = dry-run\n`
    const where = `log = ${path('fail2ban.log')}\nstate = ${path('state')}\n`
    const address = more.includes('server =') ? '' : `server = ${server.url}\n`
    await writeFile(path('client.conf'), address + own + where + more)
    await chmod(path('client.conf'), mode)
  }
  await configure()
  const output = { out: () => undefined, err: () => undefined, env: {} }
  const fail2ban = { version: '1.0.2' as string | undefined, ping: 0 }
  const run = withFail2ban(fail2ban)
  return {
    path,
    server,
    fail2ban,
    configure,
    find: (more: object = {}, env: Record<string, string> = {}) =>
      checkClient({ side: 'client', config: path('client.conf'), ...more }, { ...output, env }, run)
  }
}

/** What is not in order. */
const wrong = (found: Finding[]) => found.filter(finding => finding.level !== 'ok')

t.test('when all is well, everything looked at is ok', async t => {
  const { find, path } = await healthy(t)
  const found = await find()
  t.strictSame(wrong(found), [])
  const told = found.map(finding => finding.what)
  t.match(told, [
    /fail2ban\.log can be read/,
    /state can be written/,
    /127\.0\.0\.1:\d+ answers/,
    /the server knows this host as web-1/,
    /dry-run holds 0 blocks of ours/
  ])
  await rm(path('state'), { recursive: true })
  t.strictSame(wrong(await find()), [], 'before the first sync')
})

t.test('no client at all is a warning, and a problem for who asks for it', async t => {
  const { find } = await healthy(t)
  t.match(await find({ side: 'both', config: undefined }), [
    { level: 'warning', what: /no client here/, mend: /client add/ }
  ])
  t.match(await find({ config: undefined }), [{ level: 'problem', what: /missing: username/ }])
})

t.test('settings that are missing, bad or open to others', async t => {
  const { find, configure } = await healthy(t)
  for (const [more, mode, level, what, mend] of [
    ['firewall = iptables\n', 0o600, 'problem', /firewall|twice/, /mend the setting named/],
    [
      'colour = red\n',
      0o600,
      'problem',
      /colour in .*client\.conf line \d+: there is no such/,
      /mend the setting/
    ],
    ['', 0o640, 'warning', /holds the password and others can read it/, /^chmod 600 .*client\.conf$/]
  ] as const) {
    await configure(more, mode)
    t.match(wrong(await find()), [{ level, what, mend }], more)
  }
  t.match(await find({ config: '/nowhere.conf' }), [
    { level: 'problem', what: /--config \/nowhere\.conf can't be read \(ENOENT\)/, mend: /--config FILE/ }
  ])
  t.match(await find({}, { F2BR_TIMEOUT: 'soon' }), [{ level: 'problem', what: /F2BR_TIMEOUT/ }])
})

t.test('a password that travels unencrypted is a warning', async t => {
  const { find, configure } = await healthy(t)
  await configure('server = http://192.0.2.1:9\ntimeout = 1\n')
  t.match(wrong(await find()), [
    { level: 'warning', what: /the password goes to 192\.0\.2\.1:9 unencrypted/, mend: 'use https://' }
  ])
})

t.test("fail2ban's log is missing, or nothing has come for a week", async t => {
  const { find, path } = await healthy(t)
  const old = new Date(Date.now() - 8 * 24 * 60 * MINUTE)
  await utimes(path('fail2ban.log'), old, old)
  t.match(wrong(await find()), [
    { level: 'warning', what: /has not changed for 8 days/, mend: /is fail2ban running/ }
  ])
  await rm(path('fail2ban.log'))
  t.match(wrong(await find()), [{ level: 'problem', what: /log: ENOENT/, mend: /name it with --log/ }])
})

t.test('a state folder that others can write to is a problem: they would choose what is blocked', async t => {
  const { find, path } = await healthy(t)
  for (const name of ['', 'blocklists', 'events']) {
    const folder = join(path('state'), name)
    await chmod(folder, 0o722)
    const found = wrong(await find())
    t.match(found, [{ level: 'problem', what: /others can write to/, mend: `chmod go-w ${folder}` }])
    t.equal(found.length, 1)
    await chmod(folder, 0o755)
    t.strictSame(wrong(await find()), [])
  }
})

t.test('an abandoned lock is a warning; one that is held is none', async t => {
  const { find, path } = await healthy(t)
  const lock = path('state', 'sync.lock')
  await mkdir(lock)
  t.strictSame(wrong(await find()), [])
  const old = new Date(Date.now() - 10 * MINUTE)
  await utimes(lock, old, old)
  t.match(wrong(await find()), [
    { level: 'warning', what: `an abandoned lock: ${lock}`, mend: /the next sync takes it over/ }
  ])
})

t.test('a corrupt copy of a list is a warning, at the look that finds it and until it is gone', async t => {
  const { find, path } = await healthy(t)
  await writeFile(path('state', 'blocklists', 'sshd.blocklist.json'), '[{"ip":')
  for (const time of ['first', 'second']) {
    const found = wrong(await find())
    t.match(
      found,
      [{ level: 'warning', what: /a corrupt file was set aside: .*\.corrupt-/, mend: /next sync/ }],
      time
    )
    t.equal(found.length, 1, time)
  }
})

t.test('the server is not there, or something else answers in its place', async t => {
  const { find, configure, server } = await healthy(t)
  server.get = 404
  t.match(wrong(await find()), [
    { level: 'problem', what: /the server answered 404 where 405 is expected/, mend: /base path/ }
  ])
  await configure('server = http://127.0.0.1:1\n')
  t.match(wrong(await find()), [
    { level: 'problem', what: /server: .*ECONNREFUSED/, mend: /check the URL, the network, the certificate/ }
  ])
  t.notOk(
    (await find()).some(({ what }) => what.startsWith('authentication')),
    'what could not be asked is not told of twice'
  )
})

t.test('a fail2ban that does not run is a problem; none at all is fine', async t => {
  const { find, fail2ban } = await healthy(t)
  const told = async (firewall: string) =>
    (await find({ firewall })).filter(({ what }) => what.startsWith('fail2ban '))
  t.match(await told('nftables'), [{ level: 'ok', what: 'fail2ban runs' }])
  fail2ban.ping = 255
  t.match(await told('nftables'), [
    {
      level: 'problem',
      what: /fail2ban is installed and does not run/,
      mend: /systemctl enable --now fail2ban/
    }
  ])
  t.strictSame(await told('dry-run'), [], 'where all is only played, fail2ban is left alone')
  fail2ban.version = undefined
  t.match(await told('nftables'), [{ level: 'ok', what: /not installed/ }])
})

t.test('clocks that differ are a warning', async t => {
  const { find, server } = await healthy(t)
  for (const [skewMs, what] of [
    [-3_600_000, /clocks differ by -3[56]\d\d s/],
    [120_000, /clocks differ by 1[12]\d s/]
  ] as const) {
    server.skewMs = skewMs
    t.match(wrong(await find()), [{ level: 'warning', what, mend: /NTP/ }])
  }
  server.skewMs = 50_000
  t.strictSame(wrong(await find()), [])
})

t.test('wrong credentials are a problem, told in the words of the server', async t => {
  const { find, server } = await healthy(t)
  server.download = 403
  t.match(wrong(await find()), [
    {
      level: 'problem',
      what: /authentication: .*403 Authentication failed \(password\)/,
      mend: /do what the message says/
    }
  ])
})

t.test('drift between the lists and the firewall is a warning', async t => {
  const { find, path } = await healthy(t)
  await writeFile(
    path('state', 'blocklists', 'sshd.blocklist.json'),
    JSON.stringify([
      { ip: '203.0.113.1', active: true },
      { ip: '203.0.113.2', active: true }
    ])
  )
  await writeFile(path('state', 'dry-run-firewall.json'), '["203.0.113.2","203.0.113.3"]')
  const found = await find()
  t.match(wrong(found), [
    { level: 'warning', what: 'drift: 1 to be blocked, 1 to be let in', mend: 'fail2ban-report sync' }
  ])
  t.ok(found.some(({ what }) => what === 'dry-run holds 2 blocks of ours'))
})

t.test(
  'denials that ufw holds beside another firewall are a warning',
  { skip: available('nft', 'ufw', 'iptables') ?? false },
  async t => {
    const { path } = await healthy(t)
    await mkdir(path('ufw'))
    const { host, paths, ufw } = await ufwHost(path('ufw'))
    t.teardown(() => host.destroy())
    const output = { out: () => undefined, err: () => undefined, env: {} }
    const flags = { side: 'client', config: path('client.conf'), firewall: 'nftables' }
    const find = async () =>
      wrong(await checkClient(flags, output, withFail2ban({ version: undefined, ping: 0 }, host.run), paths))
    t.strictSame(await find(), [], 'ufw is off')
    await ufw('--force', 'enable')
    await ufw('allow', '22/tcp')
    t.strictSame(await find(), [], 'it denies nobody')
    await ufw('deny', 'from', '192.0.2.7')
    t.match(await find(), [
      { level: 'warning', what: /^ufw denies 1 .* such as 192\.0\.2\.7: .*nftables/, mend: /ufw delete/ }
    ])
  }
)

t.test('a firewall tool that is missing is a problem that says what to install', async t => {
  const { path } = await healthy(t)
  const missing = async (program: string) => {
    throw new ProductError('COMMAND', `${program} could not be started`)
  }
  const find = (firewall: string) =>
    checkClient(
      { side: 'client', config: path('client.conf'), firewall },
      { out: () => undefined, err: () => undefined, env: {} },
      withFail2ban({ version: undefined, ping: 0 }, missing)
    )
  const { getuid } = process
  t.teardown(() => Object.assign(process, { getuid }))
  Object.assign(process, { getuid: () => 0 })
  for (const [firewall, what] of [
    ['nftables', /nftables does not work here; install nftables/],
    ['ipset', /ipset does not work here; install ipset and iptables/],
    ['auto', /none works here; install nftables .*, or install ipset/]
  ] as const)
    t.match(
      wrong(await find(firewall)),
      [{ level: 'problem', what, mend: /do what the message says/ }],
      firewall
    )
  Object.assign(process, { getuid: () => 1000 })
  t.match(wrong(await find('nftables')), [
    { level: 'problem', what: /only root can change it; run with sudo/ }
  ])
})
