import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  appendFile,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { withFileLock } from '../../common/file-lock.js'
import { ufwHost } from '../client/firewall/ufw-host.js'
import { startFail2ban } from '../support/fail2ban.js'
import { BIN, Installation, execute } from '../support/installation.js'
import { available, bind, createNamespace, type Namespace } from '../support/netns.js'
import { HOST, block, oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'

const has = (tool: string) => spawnSync('which', [tool]).status === 0
const UNITS = 'etc/systemd/system'
const filesOf = async (folder: string) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter(item => !item.isDirectory())
    .map(item => join(item.parentPath, item.name).slice(folder.length + 1))
    .sort()

t.test(
  'install puts the services of both sides below a prefix, again and again, and uninstall takes them away',
  async t => {
    const at = new Installation(ownFolder(t, { prefix: {} }))
    const prefix = at.path('prefix')
    const run = (...args: string[]) => at.cli([...args, '--prefix', prefix])
    t.match((await run('install', 'server', '--dry-run')).out, /would be:\nnew .*fail2ban-report\.service/)
    t.strictSame(await filesOf(prefix), [], 'a dry run writes nothing')

    for (const side of ['server', 'client']) {
      const ended = await run('install', side)
      t.equal(ended.code, 0, ended.err)
      const again = await run('install', side, '--json')
      const { files } = JSON.parse(again.out) as { files: { what: string }[] }
      t.strictSame([...new Set(files.map(file => file.what))], ['same'], `${side} again`)
    }
    t.strictSame(await filesOf(prefix), [
      'etc/fail2ban-report/server.conf',
      'etc/logrotate.d/fail2ban-report',
      'etc/logrotate.d/fail2ban-report-client',
      `${UNITS}/fail2ban-report-sync.service`,
      `${UNITS}/fail2ban-report-sync.timer`,
      `${UNITS}/fail2ban-report.service`,
      'etc/sysusers.d/fail2ban-report.conf',
      'etc/tmpfiles.d/fail2ban-report.conf'
    ])

    await run('install', 'client', '--by', 'cron')
    t.match(
      await readFile(join(prefix, 'etc/cron.d/fail2ban-report'), 'utf8'),
      new RegExp(`^\\*/5 \\* \\* \\* \\* root ${process.execPath} ${BIN} sync >/dev/null$`, 'm')
    )
    t.notMatch(await filesOf(prefix), [/sync\.timer/], 'one way to run it at a time')
    await run('install', 'client', '--by', 'watch')
    t.notOk((await filesOf(prefix)).includes('etc/cron.d/fail2ban-report'))

    // What somebody edited or made is not overwritten, and nothing else is written either.
    const unit = join(prefix, UNITS, 'fail2ban-report.service')
    const edited = (await readFile(unit, 'utf8')) + 'Environment=MINE=1\n'
    await writeFile(unit, edited)
    const settings = join(prefix, 'etc/fail2ban-report/server.conf')
    await writeFile(settings, 'port = 9000\n')
    const refused = await run('install', 'server', '--user', 'www-data')
    t.equal(refused.code, 1)
    t.match(refused.err, `edited since: ${unit}`)
    t.equal(await readFile(unit, 'utf8'), edited)
    t.notMatch(await readFile(join(prefix, 'etc/tmpfiles.d/fail2ban-report.conf'), 'utf8'), /www-data/)
    await symlink('/dev/null', join(prefix, UNITS, 'fail2ban-report-sync.service'))
    t.match(
      (await run('install', 'client')).err,
      /fail2ban-report-sync\.service; move it away/,
      'a masked unit stays'
    )

    const gone = await run('uninstall', 'server')
    t.match(gone.out, `kept: edited  ${unit}`)
    await run('uninstall', 'client')
    t.strictSame(await filesOf(prefix), [
      'etc/fail2ban-report/server.conf',
      `${UNITS}/fail2ban-report-sync.service`,
      `${UNITS}/fail2ban-report.service`
    ])
    t.match((await run('install', 'both')).err, /server or client/)
    t.match((await run('uninstall', 'server', '--firewall')).err, /nothing in the firewall/)
  }
)

const mayMount = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0
t.test(
  'install makes the user and the folders, and root’s commands then find them and write as that user',
  { skip: !(mayMount && has('systemd-sysusers')) && 'needs root, mount namespaces and systemd-sysusers' },
  async t => {
    const at = new Installation(ownFolder(t, { etc: {}, lib: {} }))
    // This machine's /etc and /var/lib, but copies of them.
    const inside = (...words: string[]) =>
      execute([
        ...['unshare', '-m', '--propagation', 'private', 'sh', '-c'],
        'mount --bind "$1" /etc && mount --bind "$2" /var/lib && shift 2 && exec "$@"',
        ...['sh', at.path('etc'), at.path('lib'), ...words]
      ])
    const cli = (...args: string[]) => inside(process.execPath, BIN, ...args)
    spawnSync('cp', ['-a', '/etc/.', at.path('etc')])
    const installed = await cli('install', 'server')
    t.equal(installed.code, 0, installed.err)
    const uid = Number((await inside('id', '-u', 'fail2ban-report')).out)
    t.ok(uid > 0)
    t.equal((await cli('client', 'add', 'web-1')).code, 0)
    const list = await stat(at.path('lib', 'fail2ban-report-server', 'settings', 'client-list.json'))
    t.equal(list.uid, uid)
    t.equal(list.mode & 0o777, 0o600)
    t.notMatch((await cli('install', 'server')).out, /^(new|renewed)/m, 'again: nothing to do')

    // Used in place: what was said once is kept.
    await mkdir(at.path('lib', 'php'))
    const archive = '/var/lib/php'
    t.equal((await cli('install', 'server', '--user', 'www-data', '--archive', archive)).code, 0)
    t.notMatch((await cli('install', 'server')).out, /^(new|renewed)/m)
    const unit = await readFile(at.path('etc', 'systemd/system/fail2ban-report.service'), 'utf8')
    t.match(unit, /^User=www-data$/m)
    t.match(unit, /^ReadWritePaths=\/var\/lib\/php /m)

    t.equal((await cli('uninstall', 'server')).code, 0)
    t.match((await cli('client', 'list')).out, /web-1/, 'the data stays, and where it is')
  }
)

t.test('systemd, logrotate and the server itself take what is installed', async t => {
  const at = new Installation(ownFolder(t, { prefix: {}, old: {} }))
  const prefix = at.path('prefix')
  const folders = ['archive', 'download', 'temp', 'settings'].flatMap(name => [
    `--${name}`,
    at.path('old', name)
  ])
  // In an order in which all units stay for the look at them.
  await at.cli(['install', 'server', '--prefix', prefix])
  await at.cli(['install', 'client', '--prefix', join(prefix, 'watch'), '--by', 'watch'])
  await at.cli(['install', 'client', '--prefix', prefix])
  const units = [
    ...['fail2ban-report.service', 'fail2ban-report-sync.service', 'fail2ban-report-sync.timer'].map(name =>
      join(prefix, UNITS, name)
    ),
    join(prefix, 'watch', UNITS, 'fail2ban-report-watch.service')
  ]
  t.test('systemd-analyze verify', { skip: !has('systemd-analyze') && 'needs systemd-analyze' }, async t => {
    for (const unit of units) {
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' })
      t.equal(status, 0, unit)
      t.equal(stdout + stderr, '', 'nothing to complain of')
    }
    const most = { [units[0]!]: 1.5, [units[1]!]: 2.7, [units[3]!]: 2.7 }
    for (const [unit, score] of Object.entries(most)) {
      const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', unit], {
        encoding: 'utf8'
      })
      const told = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1])
      t.ok(told <= score, `${unit}: ${told}, as the guides say ${score}`)
    }
  })
  t.test('sysusers and tmpfiles', { skip: !has('systemd-sysusers') && 'needs systemd-sysusers' }, async t => {
    for (const name of ['passwd', 'group']) await writeFile(join(prefix, 'etc', name), '')
    const users = ['--root', prefix, join(prefix, 'etc/sysusers.d/fail2ban-report.conf')]
    t.equal(spawnSync('systemd-sysusers', users).status, 0)
    t.match(await readFile(join(prefix, 'etc/passwd'), 'utf8'), /^fail2ban-report:.*nologin$/m)
    const made = ['--root', prefix, '--create', join(prefix, 'etc/tmpfiles.d/fail2ban-report.conf')]
    if (process.getuid?.() === 0) {
      t.equal(spawnSync('systemd-tmpfiles', made).status, 0)
      const { mode, uid } = await stat(join(prefix, 'var/lib/fail2ban-report-server/settings'))
      t.equal(mode & 0o777, 0o700)
      t.not(uid, 0)
    }
  })
  t.test('logrotate', { skip: !has('logrotate') && 'needs logrotate' }, async t => {
    await at.cli(['install', 'server', '--prefix', join(prefix, 'lr'), '--user', 'www-data', ...folders])
    for (const path of ['lr/etc/logrotate.d/fail2ban-report', 'etc/logrotate.d/fail2ban-report-client']) {
      const { status, stderr } = spawnSync('logrotate', ['-d', join(prefix, path)], { encoding: 'utf8' })
      t.equal(status, 0, stderr)
      t.notMatch(stderr, /error/i)
    }
  })

  // An installation that is used in place: every command finds its folders by the settings file.
  const other = join(prefix, 'in-place')
  await at.cli(['install', 'server', '--prefix', other, '--user', 'www-data', ...folders])
  const file = join(other, 'etc/fail2ban-report/server.conf')
  t.match(
    await readFile(join(other, UNITS, 'fail2ban-report.service'), 'utf8'),
    `ReadWritePaths=${at.path('old')}/archive`
  )
  const cli = (...args: string[]) =>
    execute(['env', `F2BR_SERVER_CONFIG=${file}`, process.execPath, BIN, ...args])
  t.equal((await cli('client', 'add', 'web-1')).code, 0)
  t.match(await readFile(at.path('old', 'settings', 'client-list.json'), 'utf8'), /web-1/)
  t.match((await cli('client', 'list')).out, /web-1/)
  await writeFile(file, 'archiv = /tmp\n')
  const bad = await cli('status')
  t.equal(bad.code, 2)
  t.match(bad.err, /archiv in .*server\.conf line 1: there is no such setting; the nearest is archive/)
  for (const [words, err] of [
    [['install', 'server', '--by', 'cron'], /--by is for the client's side/],
    [['install', 'client', '--user', 'x'], /--user is for the server's side/],
    [['uninstall', 'server', '--config', 'x'], /--config is for the client's side/]
  ] as const)
    t.match(await at.cli([...words, '--prefix', at.path('none')]), { code: 2, err })
})

/** Puts what was installed below a prefix in the place of this machine's own, for a namespace only. */
async function bindInstalled(host: Namespace, prefix: string): Promise<void> {
  for (const folder of [UNITS, 'etc/logrotate.d', 'etc/cron.d']) {
    await mkdir(join(prefix, folder), { recursive: true })
    if (existsSync(`/${folder}`)) await bind(host, join(prefix, folder), `/${folder}`)
  }
}

const skip = available('ufw', 'iptables', 'ip6tables', 'nft', 'ipset', 'setpriv') ?? false

t.test(
  'what the unit leaves of root is enough for every firewall, and uninstall --firewall clears them',
  { skip },
  async t => {
    const at = await oneHost(ownFolder(t, { ufw: {}, lists: {}, events: {}, prefix: {} }))
    const { host, ufw } = await ufwHost(at.path('ufw'))
    t.teardown(async () => {
      await at.stop()
      await host.destroy()
    })
    // As the old client left them: to the web server's user, in a log folder that is closed to others.
    const OTHER = 33
    for (const name of ['lists', 'events']) await chown(at.path(name), OTHER, OTHER)
    const config = at.path('client.conf')
    const dirs = `state = ${at.path('state')}\nevents_dir = ${at.path('events')}\nblocklist_dir = ${at.path('lists')}\nclient_log = ${at.path('logs', 'client.log')}\nmetrics_file = ${at.path('collector', 'x.prom')}\n`
    for (const name of ['logs', 'collector']) await mkdir(at.path(name))
    await writeFile(config, (await readFile(config, 'utf8')) + dirs)
    const installed = await at.cli(['install', 'client', '--prefix', at.path('prefix'), '--config', config])
    t.equal(installed.code, 0, installed.err)
    const unit = await readFile(join(at.path('prefix'), UNITS, 'fail2ban-report-sync.service'), 'utf8')
    for (const folder of ['lists', 'events', 'logs', 'collector'])
      t.match(unit, new RegExp(`ReadWritePaths=.*${at.path(folder)} `))
    const capabilities = /^CapabilityBoundingSet=(.+)$/m.exec(unit)![1]!.toLowerCase().split(' ')
    const bounds = ['-all', ...capabilities.map(one => one.replace('cap_', '+'))].join(',')

    await block(at, 'block', '203.0.113.1', '203.0.113.2')
    // The server is outside the namespace: lists are fetched first, as a dry run does.
    t.equal((await at.cli(at.syncArgs('dry-run'))).code, 0)
    await ufw('--force', 'enable')
    for (const firewall of ['nftables', 'ufw', 'ipset']) {
      // Something to write into the folder of others.
      const line = `2026-03-02 10:00:00,123 fail2ban.actions        [812]: NOTICE  [${firewall}] Ban 192.0.2.9\n`
      await appendFile(at.path('fail2ban.log'), line)
      const drop = ['setpriv', '--bounding-set', bounds, '--inh-caps', '-all', '--no-new-privs', '--']
      const ended = await execute([
        ...[
          ...host.prefix,
          ...drop,
          process.execPath,
          BIN,
          ...at.syncArgs(firewall),
          '--timeout',
          '1',
          '--json'
        ]
      ])
      t.match(ended.out, /"added":2/, `${firewall}: ${ended.err}`)
      t.match(ended.out, /"notInForce":0/, firewall)
      t.match(ended.out, /"newEvents":1/, `${firewall}: ${ended.err}`)
    }
    t.equal(
      (await stat(at.path('lists', 'sshd.blocklist.json'))).uid,
      OTHER,
      'files stay of those they belong to'
    )
    t.equal((await at.list(HOST, 'sshd')).length, 2)

    // Blocks in all three at once: the last one used, and what others left.
    await execute([...host.prefix, process.execPath, BIN, ...at.syncArgs('nftables'), '--timeout', '1'])
    await execute([...host.prefix, process.execPath, BIN, ...at.syncArgs('ufw'), '--timeout', '1'])
    await ufw('deny', 'from', '198.51.100.7')
    const uninstall = (...words: string[]) =>
      execute([...host.prefix, process.execPath, BIN, 'uninstall', 'client', '--firewall', ...words])
    const refused = await uninstall('--prefix', at.path('prefix'))
    t.equal(refused.code, 2)
    t.match(refused.err, /--prefix leaves it alone/)
    t.match(await ufw('status'), /203\.0\.113/, 'nothing was cleared')

    await bindInstalled(host, at.path('prefix'))
    // Held as a cycle holds it.
    await withFileLock(at.path('state', 'sync'), async () => {
      const busy = await uninstall('--config', config)
      t.equal(busy.code, 75, busy.err)
      t.match(await ufw('status'), /203\.0\.113/, 'a cycle would put them back')
    })
    const gone = await uninstall('--config', config)
    t.equal(gone.code, 0, gone.err)
    t.match(gone.out, /cleared: nftables, ufw, ipset/)
    t.notMatch(await host.exec('nft', 'list', 'ruleset'), /fail2ban_report/)
    const status = await ufw('status')
    t.notMatch(status, /203\.0\.113/)
    t.match(status, /198\.51\.100\.7/, 'rules by other hands stay')
    t.notMatch(await host.exec('ipset', 'save'), /203\.0\.113/)
  }
)

/** What ProtectSystem=strict does: all is read-only but the words of ReadWritePaths, and a /tmp of its own. */
const READ_ONLY = `set -e
for path in $1; do
  bare=\${path#-}
  if [ "$path" = "$bare" ] || [ -e "$bare" ]; then mount --bind "$bare" "$bare"; fi
done
for point in / "$(stat -c %m "$2")"; do mount -o remount,ro,bind "$point"; done
shift 2
exec "$@"`

t.test(
  'a service that may write where its unit says puts the whitelist in force, and uninstall takes it back',
  { skip: available('fail2ban-server', 'nft') ?? false, timeout: 120_000 },
  async t => {
    // Short, for fail2ban's socket.
    const dir = await mkdtemp(join(tmpdir(), 'f2b-in-'))
    t.teardown(() => rm(dir, { recursive: true, force: true }))
    const host = await createNamespace('host')
    t.teardown(() => host.destroy())
    const at = new Installation(join(dir, 'report'))
    await at.serve(host)
    t.teardown(() => at.stop())
    await at.addHost(HOST)
    const fail2ban = await startFail2ban(host, dir, '[DEFAULT]\nignoreself = false\n')
    t.teardown(() => fail2ban.stop())
    await symlink(fail2ban.log, at.path('fail2ban.log'))
    const folders = ['state', 'state/events', 'state/blocklists', 'copy', 'tmp'].map(name => at.path(name))
    const jailD = join(fail2ban.config, 'jail.d')
    for (const folder of [...folders, jailD]) await mkdir(folder)
    const config = at.path('client.conf')
    const places = {
      state: at.path('state'),
      log: fail2ban.log,
      firewall: 'nftables',
      fail2ban_config: fail2ban.config,
      whitelist_path: at.path('copy', 'whitelist.txt')
    }
    await appendFile(
      config,
      Object.entries(places)
        .map(pair => `${pair.join(' = ')}\n`)
        .join('')
    )
    await at.cli(['whitelist', 'add', '192.0.2.66', ...at.folders])

    const prefix = at.path('prefix')
    await at.cli(['install', 'client', '--prefix', prefix, '--config', config])
    const unit = await readFile(join(prefix, UNITS, 'fail2ban-report-sync.service'), 'utf8')
    const writes = /^ReadWritePaths=(.+)$/m.exec(unit)![1]!
    const shut = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', READ_ONLY, 'sh']
    const inService = (...words: string[]) =>
      execute([
        ...[...host.prefix, 'env', `TMPDIR=${at.path('tmp')}`],
        ...[...shut, `${writes} ${at.path('tmp')}`, dir, ...words]
      ])
    t.match((await inService('touch', at.path('elsewhere'))).err, /Read-only file system/)
    const ended = await inService(process.execPath, BIN, 'sync', '--config', config)
    t.equal(ended.code, 0, ended.out + ended.err)
    t.match(await readFile(places.whitelist_path, 'utf8'), /192\.0\.2\.66/)
    t.match(await readdir(jailD), ['00-fail2ban-report.conf', 'zz-fail2ban-report.local'])
    t.match(await fail2ban.client('get', 'sshd', 'ignoreip'), /192\.0\.2\.66/)

    const action = join(fail2ban.config, 'action.d', 'fail2ban-report.conf')
    await writeFile(action, '')
    await bindInstalled(host, prefix)
    const uninstall = ['uninstall', 'client', '--config', config]
    t.match((await at.cli([...uninstall, '--dry-run'], { where: host })).out, `rm -f ${action}`)
    t.match(await readdir(jailD), ['00-fail2ban-report.conf'], 'a dry run changes nothing')
    const gone = await at.cli(uninstall, { where: host })
    t.equal(gone.code, 0, gone.err)
    t.match(gone.out, /no longer heeds this product.s whitelist/)
    t.match(gone.out, `rm -f ${action}`, 'what is left is named')
    t.strictSame(await readdir(jailD), [])
    t.equal(await readFile(places.whitelist_path, 'utf8'), '')
    t.notMatch(await fail2ban.client('get', 'sshd', 'ignoreip'), /192\.0\.2\.66/)
  }
)
