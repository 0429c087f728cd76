import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startFail2ban } from '../support/fail2ban.js'
import { Installation } from '../support/installation.js'
import { available, createNamespace } from '../support/netns.js'

const skip = available('fail2ban-server', 'fail2ban-client', 'nft') ?? false
const [LISTED, OTHER, OPERATORS, NETWORK] = ['192.0.2.66', '192.0.2.77', '198.51.100.5', '203.0.113.0/24']

t.test("a real fail2ban heeds the server's whitelist", { skip, timeout: 180_000 }, async t => {
  const dir = await mkdtemp(join(tmpdir(), 'f2b-wl-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const host = await createNamespace('host')
  t.teardown(() => host.destroy())
  const at = new Installation(join(dir, 'report'))
  await at.serve(host)
  t.teardown(() => at.stop())
  await at.addHost('web-1')
  const jails =
    `[DEFAULT]\nmaxretry = 3\nbantime = 600\nignoreself = false\nbanaction = nftables-multiport\n` +
    // A jail with an ignoreip of its own passes over the default.
    `[recidive]\nenabled = true\nbackend = polling\nlogpath = ${dir}/auth.log\nignoreip = ${OPERATORS}\n`
  const fail2ban = await startFail2ban(host, dir, jails)
  t.teardown(() => fail2ban.stop())
  await symlink(fail2ban.log, at.path('fail2ban.log'))
  const flags = ['--fail2ban-config', fail2ban.config]
  const sync = () => at.cli([...at.syncArgs('nftables'), ...flags, '--json'], { where: host })
  const pull = async () => {
    const args = ['whitelist-sync', ...at.syncArgs('nftables').slice(1), ...flags, '--json']
    const ended = await at.cli(args, { where: host })
    return { ...ended, told: JSON.parse(ended.out) as { result: string; lifted: string[]; message?: string } }
  }
  const whitelist = (...words: string[]) => at.cli(['whitelist', ...words, ...at.folders])
  const ignored = async (jail: string) => fail2ban.client('get', jail, 'ignoreip')
  const jailD = join(fail2ban.config, 'jail.d')

  await t.test('without entries fail2ban is not touched', async t => {
    const { told, code, err } = await pull()
    t.equal(code, 0, err)
    t.equal(told.result, 'success', 'the text, with no entry in it, is new')
    t.rejects(readdir(jailD))
  })

  await t.test('a banned address is freed, and a network with it', async t => {
    await fail2ban.failedLogins(LISTED)
    await fail2ban.logged(/\[sshd\] Ban 192\.0\.2\.66/)
    await fail2ban.client('set', 'recidive', 'banip', '203.0.113.9', OTHER)
    await whitelist('add', LISTED, NETWORK)
    const synced = await sync()
    t.equal(synced.code, 0, synced.err)
    t.match(await fail2ban.client('banned'), /'sshd': \[\]/)
    t.match(await fail2ban.client('banned'), /'recidive': \['192\.0\.2\.77'\]/, 'nobody else is freed')
    for (const jail of ['sshd', 'recidive']) {
      const list = await ignored(jail)
      t.match(list, LISTED, jail)
      t.match(list, NETWORK, jail)
    }
    t.match(await ignored('recidive'), OPERATORS, "the operator's own stays")
  })

  await t.test('unchanged: nothing written, nothing run', async t => {
    const before = await readdir(at.path('state'))
    const times = () => Promise.all([...before.map(name => at.path('state', name)), jailD].map(changed))
    const [was, log] = [await times(), await readFile(fail2ban.log, 'utf8')]
    const { told, code } = await pull()
    t.equal(code, 0)
    t.equal(told.result, 'unchanged')
    t.same(await times(), was)
    t.equal(await readFile(fail2ban.log, 'utf8'), log)
  })

  await t.test('a listed address that fails logins is not banned', async t => {
    await fail2ban.failedLogins(LISTED)
    await fail2ban.logged(/\[sshd\] Ignore 192\.0\.2\.66 by ip/)
    t.match(await fail2ban.client('banned'), /'sshd': \[\]/)
  })

  await t.test('it holds through a reload, and the settings stay good', async t => {
    await fail2ban.client('reload')
    for (const jail of ['sshd', 'recidive']) t.match(await ignored(jail), LISTED, jail)
    t.match(await ignored('recidive'), OPERATORS)
  })

  await t.test("the operator's later edits count, a new default and a new jail among them", async t => {
    const own = `[DEFAULT]\nignoreip = 198.51.100.8\n[nginx-http-auth]\nenabled = true\nbackend = polling\nlogpath = ${dir}/auth.log\n`
    await host.exec('sh', '-c', 'printf "%s" "$1" > "$2"', 'sh', own, join(jailD, 'own.local'))
    await fail2ban.client('reload')
    t.match(await ignored('sshd'), '198.51.100.8', 'at once')
    t.notMatch(await ignored('nginx-http-auth'), LISTED)
    t.equal((await pull()).told.result, 'success')
    t.match(await ignored('nginx-http-auth'), LISTED)
    await fail2ban.client('reload')
    for (const jail of ['sshd', 'nginx-http-auth']) {
      t.match(await ignored(jail), LISTED, jail)
      t.match(await ignored(jail), '198.51.100.8', jail)
    }
  })

  await t.test('the server knows how the host stands', async t => {
    const status = async () =>
      (JSON.parse((await at.cli(['status', '--json', ...at.folders])).out) as { whitelist: string }[])[0]
        ?.whitelist
    t.equal(await status(), 'in step')
    await whitelist('remove', LISTED)
    t.equal(await status(), 'waits for the host')
  })

  await t.test('a removed address can be banned again; what the operator ignores too stays', async t => {
    await whitelist('add', '198.51.100.8')
    t.equal((await pull()).told.result, 'success')
    await whitelist('remove', '198.51.100.8', NETWORK)
    t.equal((await pull()).told.result, 'success')
    t.notMatch(await ignored('sshd'), LISTED)
    t.notMatch(await ignored('sshd'), NETWORK)
    t.match(await ignored('sshd'), '198.51.100.8')
    t.match(await ignored('recidive'), OPERATORS)
    await fail2ban.failedLogins(LISTED)
    await fail2ban.logged(/\[sshd\] Ban 192\.0\.2\.66[\s\S]*\[sshd\] Ban 192\.0\.2\.66/)
    t.notOk((await readdir(jailD)).includes('zz-fail2ban-report.local'), 'and no file of ours is left')
  })

  await t.test(
    'a copy that cannot be read stops no host: nothing new is blocked, the rest is done',
    async t => {
      const copy = at.path('state', 'whitelist.txt')
      const told = async () => {
        const { code, out } = await sync()
        return { code, ...(JSON.parse(out) as { added: number; removed: number; failures: string[] }) }
      }
      const change = (verb: string, ip: string) =>
        at.cli([verb, ip, '--server', 'web-1', '--jail', 'sshd', ...at.folders])
      await change('block', '203.0.113.1')
      t.match(await told(), { code: 0, added: 1 })
      await rm(copy)
      await mkdir(copy)
      await change('unblock', '203.0.113.1')
      await change('block', '203.0.113.2')
      t.match(await told(), { code: 1, added: 0, removed: 1, failures: [/nothing new is blocked: .*EISDIR/] })
      await rm(copy, { recursive: true })
      await symlink(copy, copy)
      t.match(await told(), { code: 0, added: 1, failures: [] }, 'what can be put right by itself is')
    }
  )

  await t.test('broken settings of the operator are told, and not made worse', async t => {
    await appendFile(join(jailD, 'own.local'), '[sshd]\nbantime = %(nothing)s\n')
    await whitelist('add', LISTED)
    const { told, code } = await pull()
    t.equal(code, 1)
    t.equal(told.result, 'fail')
    t.match(told.message, /fail2ban-client/)
    t.notOk((await readdir(jailD)).includes('zz-fail2ban-report.local'))
    const status = await at.cli(['status', ...at.folders])
    t.match(status.out, /failed: /)
  })
})

const changed = async (path: string) => `${path} ${(await stat(path)).mtimeMs}`
