import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ClientBus, type ClientEvents } from '../../../client/bus.js'
import { Fail2ban } from '../../../client/fail2ban/fail2ban.js'
import { sha256 } from '../../../common/sha256.js'
import { WhitelistSync, type WhitelistParts } from '../../../client/whitelist/whitelist-sync.js'
import { ProductError } from '../../../common/errors.js'
import { JsonFiles } from '../../../common/json-file.js'
import { ownFolder } from '../../support/own-folder.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')

/** A fail2ban that is played: what it was asked, and what its one jail ignores. */
class Played {
  readonly calls: string[] = []
  readonly ignored = new Set(['198.51.100.5'])
  banned = ['192.0.2.1', '192.0.2.2', '203.0.113.9']
  version = '1.0.2'
  installed = true
  /** Jails that its settings switch on, and those that run. */
  configured = ['sshd']
  jails = ['sshd']
  /** What a call of `-V` or `ping` fails with. */
  refusal = ''
  running = true
  broken = false
  deaf = false

  run = async (program: string, args: readonly string[], options: { input?: string } = {}) => {
    if (!this.installed) {
      const cause = Object.assign(new Error('spawn fail2ban-client ENOENT'), { code: 'ENOENT' })
      throw new ProductError('COMMAND', 'fail2ban-client could not be started', cause)
    }
    const words = args.filter((_, at) => args[at] !== '-c' && args[at - 1] !== '-c')
    this.calls.push(words.join(' '))
    if (this.refusal !== '' && ['-V', 'ping'].includes(words[0] ?? '')) {
      return { code: 255, stdout: '', stderr: this.refusal }
    }
    if (!this.running && words[0] === 'ping') {
      return { code: 255, stdout: '', stderr: 'Failed to access socket path: x. Is fail2ban running?' }
    }
    const folder = args[args.indexOf('-c') + 1] ?? ''
    const out = await this.#answer(program, words, folder, options.input ?? '')
    return out === undefined ? { code: 255, stdout: 'no', stderr: '' } : { code: 0, stdout: out, stderr: '' }
  }

  async #answer(
    _: string,
    words: readonly string[],
    folder: string,
    input: string
  ): Promise<string | undefined> {
    const [verb = '', , what = '', ...rest] = words
    if (verb === '-V') return this.version
    if (verb === '-d') return this.broken ? undefined : this.#configured(folder)
    if (!this.running) return undefined
    if (verb === '-i') {
      for (const [, item = ''] of input.matchAll(/delignoreip '([^']*)'/g)) this.ignored.delete(item)
    }
    if (what === 'addignoreip') for (const item of rest) this.ignored.add(item)
    if (verb === 'status' && this.deaf) return undefined
    if (verb === 'status') return 'Status\n`- Jail list:\t' + this.jails.join(', ') + '\n'
    if (verb === 'get') return ['ignored:', ...[...this.ignored].map(item => `|- ${item}`)].join('\n')
    if (verb === 'banned') return `[{'sshd': [${this.banned.map(ip => `'${ip}'`).join(', ')}]}]`
    if (verb === 'unban') this.banned = this.banned.filter(ip => !words.includes(ip))
    return ''
  }

  async #configured(folder: string): Promise<string> {
    const ours = await readFile(join(folder, 'jail.d', 'zz-fail2ban-report.local'), 'utf8').catch(() => '')
    const items = (/whitelist = ([^[]*)/.exec(ours)?.[1] ?? '').split(/\s+/).filter(Boolean)
    const words = ['198.51.100.5', ...items].map(item => `'${item}'`).join(', ')
    const lines = (jail: string) =>
      `['add', '${jail}', 'auto']\n['set', '${jail}', 'addignoreip', ${words}]\n`
    return this.configured.map(lines).join('')
  }
}

function host(t: Test, more: Partial<WhitelistParts> = {}) {
  const dir = ownFolder(t, { fail2ban: { 'jail.conf': '' } })
  const played = new Played()
  const server: { text: string | Error } = { text: '# head\n192.0.2.1\n203.0.113.0/24\n' }
  const bus = new ClientBus()
  const events: [string, unknown][] = []
  for (const name of ['sync_start', 'sync_complete'] as const) {
    bus.on(name, (event: ClientEvents[typeof name]) => events.push([name, event]))
  }
  const path = join(dir, 'whitelist.txt')
  const sync = new WhitelistSync({
    fetch: async hash => {
      if (server.text instanceof Error) throw server.text
      return sha256(server.text) === hash ? undefined : server.text
    },
    path,
    state: join(dir, 'whitelist.json'),
    files: new JsonFiles({ clock: () => NOW, onSetAside: () => undefined }),
    fail2ban: new Fail2ban(played.run, { config: join(dir, 'fail2ban'), socket: '' }),
    reload: false,
    bus,
    clock: () => NOW,
    lateBans: 0,
    ...more
  })
  const dropIn = () =>
    readFile(join(dir, 'fail2ban', 'jail.d', 'zz-fail2ban-report.local'), 'utf8').catch(() => undefined)
  return { dir, played, server, events, sync, path, dropIn }
}

t.test('a change is written, heeded, lifts bans and is told', async t => {
  const { played, server, events, sync, path, dropIn } = host(t)
  const done = await sync.sync()
  t.match(done, { result: 'success', entries: 2, lifted: ['192.0.2.1', '203.0.113.9'] })
  t.equal(await readFile(path, 'utf8'), server.text)
  t.same([...played.ignored], ['198.51.100.5', '192.0.2.1', '203.0.113.0/24'])
  t.same(played.banned, ['192.0.2.2'])
  t.match(await dropIn(), /\[sshd\]\nignoreip = %\(known\/ignoreip\)s %\(fail2ban_report_whitelist\)s\n/)
  t.same(events, [
    ['sync_start', { what: 'whitelist' }],
    ['sync_complete', { what: 'whitelist', result: 'success', hash: sha256(server.text as string) }]
  ])
  t.match(await sync.report(), { result: 'success', hash: done.hash })

  played.calls.length = 0
  t.equal((await sync.sync()).result, 'unchanged')
  const known = await sync.finish(await sync.begin(done.hash))
  t.equal(known.result, 'unchanged', 'nor when the server told the hash')
  t.same(played.calls, [], 'nothing is run')
})

t.test('what is removed is heeded again; what the operator ignores as well is not', async t => {
  const { played, server, sync, dropIn } = host(t)
  server.text = '192.0.2.1\n198.51.100.5\n'
  await sync.sync()
  server.text = '# empty\n'
  t.equal((await sync.sync()).result, 'success')
  t.same([...played.ignored], ['198.51.100.5'])
  t.equal(await dropIn(), undefined)
})

t.test('our file deleted by hand comes back', async t => {
  const { dir, sync, dropIn } = host(t)
  await sync.sync()
  await rm(join(dir, 'fail2ban', 'jail.d'), { recursive: true })
  t.equal((await sync.sync()).result, 'success')
  t.match(await dropIn(), '192.0.2.1')
})

t.test('a server that cannot be reached: what is here stays, and is told once it is over', async t => {
  const { server, sync, path, played } = host(t)
  await sync.sync()
  const text = server.text
  server.text = new ProductError('NETWORK', 'ECONNREFUSED')
  t.match(await sync.sync(), { result: 'fail', message: /ECONNREFUSED/, entries: 2 })
  t.equal(await readFile(path, 'utf8'), text)
  t.match([...played.ignored], ['198.51.100.5', '192.0.2.1'])
  t.match(await sync.report(), { result: 'fail', message: /ECONNREFUSED/ })
  server.text = text
  t.equal((await sync.sync()).result, 'unchanged')
  t.match(await sync.report(), { result: 'success' })
})

t.test('a server that sends what is no whitelist changes nothing', async t => {
  const { server, sync, path } = host(t)
  await sync.sync()
  for (const text of ['<html>', '0.0.0.0/0\n']) {
    server.text = text
    t.match(await sync.sync(), { result: 'fail', entries: 2 })
    t.match(await readFile(path, 'utf8'), '192.0.2.1')
  }
})

t.test('settings of fail2ban that are broken: told, tried again, nothing of ours left in them', async t => {
  const { played, sync, dropIn } = host(t)
  played.broken = true
  t.match(await sync.sync(), { result: 'fail', message: /-d|ended with code/ })
  t.equal(await dropIn(), undefined)
  played.broken = false
  t.equal((await sync.sync()).result, 'success')
})

t.test('a jail that could not be told is told by the next sync, of what to take back as well', async t => {
  const { played, server, sync } = host(t)
  await sync.sync()
  server.text = '203.0.113.0/24\n'
  played.deaf = true
  t.match(await sync.sync(), { result: 'fail', message: /status/ })
  played.deaf = false
  t.equal((await sync.sync()).result, 'success')
  t.same([...played.ignored], ['198.51.100.5', '203.0.113.0/24'])
})

t.test('fail2ban 1.1.1 reads the file itself', async t => {
  const { played, sync, path, server } = host(t)
  played.version = '1.1.1'
  await sync.sync()
  t.ok(played.ignored.has(`file:${path}`))
  server.text = '192.0.2.2\n'
  t.match(await sync.sync(), { result: 'success', lifted: ['192.0.2.2'] })
  t.same([...played.ignored], ['198.51.100.5', `file:${path}`])
})

t.test('fail2ban left alone, not installed, not running', async t => {
  const alone = host(t, { fail2ban: undefined })
  t.equal((await alone.sync.sync()).result, 'success')
  t.same(alone.played.calls, [])
  t.same(await alone.sync.addresses(), ['192.0.2.1', '203.0.113.0/24'], 'the firewall is still told')
  const absent = host(t)
  absent.played.installed = false
  t.equal((await absent.sync.sync()).result, 'success')
  t.equal(await absent.dropIn(), undefined)
  t.equal((await absent.sync.sync()).result, 'unchanged')
  absent.played.installed = true
  t.equal((await absent.sync.sync()).result, 'success', 'installed later, it is told')
  t.ok(absent.played.ignored.has('192.0.2.1'))
  const stopped = host(t)
  stopped.played.running = false
  const notHeeded = { result: 'fail', message: /fail2ban does not heed the whitelist: it does not run/ }
  t.match(await stopped.sync.sync(), notHeeded)
  t.match(await stopped.dropIn(), '192.0.2.1', 'it holds from the start on')
  t.match(await stopped.sync.sync(), notHeeded, 'as long as it does not run')
  t.match(await stopped.sync.report(), notHeeded, 'the server is told')
  stopped.played.running = true
  t.match(await stopped.sync.sync(), { result: 'success', lifted: ['192.0.2.1', '203.0.113.9'] })
  t.ok(stopped.played.ignored.has('192.0.2.1'), 'one that read its settings before is told as well')
  stopped.played.running = false
  t.equal((await stopped.sync.sync()).result, 'unchanged', 'a cycle with nothing to do runs nothing')
  t.match(await stopped.sync.sync(true), notHeeded, 'whitelist-sync asks')
  t.match(await stopped.sync.sync(), notHeeded, 'and cycles look again from then on')
  stopped.played.running = true
  t.equal((await stopped.sync.sync()).result, 'unchanged')
  t.match(await stopped.sync.report(), { result: 'success' })
  absent.played.installed = false
  t.equal((await absent.sync.sync(true)).result, 'unchanged', 'a host without fail2ban is fine')
})

t.test('a fail2ban that is just starting is looked at until its jails run', async t => {
  let now = NOW
  const { played, sync } = host(t, { clock: () => now })
  played.configured = ['sshd', 'recidive']
  played.jails = []
  await sync.sync()
  t.notOk(played.ignored.has('192.0.2.1'), 'nobody was there to be told')
  played.jails = ['sshd']
  t.equal((await sync.sync()).result, 'success')
  t.ok(played.ignored.has('192.0.2.1'))
  now += 11 * 60_000
  await sync.sync()
  played.calls.length = 0
  t.equal((await sync.sync()).result, 'unchanged')
  t.same(played.calls, [], 'a jail that does not run at all is not waited for for ever')
})

t.test('a fail2ban that gives no answer is not taken for one that is not there', async t => {
  const { played, server, sync, dropIn } = host(t)
  await sync.sync()
  server.text = '203.0.113.0/24\n'
  played.refusal = 'Permission denied to socket: x, (you must be root)'
  t.match(await sync.sync(), { result: 'fail', message: /Permission denied/ })
  t.match(await sync.report(), { result: 'fail' })
  await t.rejects(sync.withdraw(), { code: 'COMMAND' })
  t.equal(await dropIn(), undefined, 'what needs no fail2ban is taken back all the same')
  played.refusal = ''
  t.equal((await sync.sync()).result, 'success')
  t.same([...played.ignored], ['198.51.100.5', '203.0.113.0/24'], 'what was told before is not forgotten')
})

t.test('switched off, everything is taken back', async t => {
  const { played, sync, dropIn, path } = host(t)
  await sync.sync()
  await sync.withdraw()
  t.same([...played.ignored], ['198.51.100.5'])
  t.equal(await dropIn(), undefined)
  t.equal(await readFile(path, 'utf8'), '')
  played.calls.length = 0
  await sync.withdraw()
  t.same(played.calls, [])
})

t.test('switched off after fail2ban was removed, its settings hold nothing of ours', async t => {
  const { played, sync, dropIn, dir } = host(t)
  await sync.sync()
  played.installed = false
  await sync.withdraw()
  t.equal(await dropIn(), undefined)
  t.same(JSON.parse(await readFile(join(dir, 'whitelist.json'), 'utf8')), {})
})

t.test('the copy is there before fail2ban is looked at', async t => {
  const { played, sync } = host(t)
  const begun = await sync.begin()
  t.same(await sync.addresses(), ['192.0.2.1', '203.0.113.0/24'])
  t.same(played.calls, [])
  t.match(await sync.finish(begun), { result: 'success', entries: 2 })
  t.ok(played.ignored.has('192.0.2.1'))
})

t.test('a copy that cannot be read is fetched anew, whatever the server knows of it', async t => {
  const { server, sync, path, played } = host(t)
  const known = (await sync.sync()).hash
  await rm(path)
  await symlink(path, path)
  await t.rejects(sync.addresses(), { code: 'UNREADABLE' })
  t.match(await sync.report(), { result: 'fail', hash: '', message: /ELOOP/ })
  t.match(await sync.finish(await sync.begin(known)), { result: 'success', hash: known, entries: 2 })
  t.equal(await readFile(path, 'utf8'), server.text)
  await rm(path)
  await mkdir(path)
  played.calls.length = 0
  t.match(await sync.sync(), { result: 'fail', hash: '', entries: 0 })
  t.match(await sync.report(), { result: 'fail', message: /EISDIR/ })
  t.same(played.calls, [], 'what fail2ban heeds stays')
})

t.test('a copy edited by hand protects with what can be read of it', async t => {
  const { sync, path } = host(t)
  await writeFile(path, 'nonsense\n192.0.2.9\n0.0.0.0/0\n')
  t.same(await sync.addresses(), ['192.0.2.9'])
})

t.test('reload on change', async t => {
  const { played, sync, dir } = host(t, { reload: true })
  mkdirSync(join(dir, 'fail2ban', 'jail.d'), { recursive: true })
  writeFileSync(join(dir, 'fail2ban', 'jail.d', 'own.local'), '')
  await sync.sync()
  t.ok(played.calls.includes('reload'))
})
