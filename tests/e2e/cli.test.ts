import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { BIN, Installation, execute, type Ended } from '../support/installation.js'
import { HOST, block, oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'
import { asUsersDo } from '../support/processes.js'

/** Runs the program with further variables in its environment. */
const inEnv = (env: Record<string, string>, ...words: string[]): Promise<Ended> =>
  execute([
    'env',
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    process.execPath,
    BIN,
    ...words
  ])
const run = (...words: string[]): Promise<Ended> => inEnv({}, ...words)

/** A process of ours with its output as it comes. */
class Program {
  out = ''
  err = ''
  readonly closed: Promise<[number | null, NodeJS.Signals | null]>
  readonly #said = new EventEmitter()
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>

  constructor(t: Test, words: readonly string[], env: Record<string, string> = {}) {
    const all = { ...process.env, ...env }
    this.child = spawn(...asUsersDo([process.execPath, BIN, ...words]), { stdio: 'pipe', env: all })
    this.child.stdin.end()
    for (const name of ['out', 'err'] as const) {
      this.child[`std${name}`].on('data', (chunk: Buffer) => {
        this[name] += chunk.toString()
        this.#said.emit('more')
      })
    }
    this.child.on('close', () => this.#said.emit('more'))
    this.closed = once(this.child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    t.teardown(() => this.child.kill('SIGKILL'))
  }

  /** Resolves once the output holds a text. */
  async says(text: string | RegExp): Promise<void> {
    const there = () => (typeof text === 'string' ? this.#all().includes(text) : text.test(this.#all()))
    while (!there()) {
      if (this.child.exitCode !== null) throw new Error(`it ended without saying ${text}:\n${this.#all()}`)
      await once(this.#said, 'more')
    }
  }

  #all(): string {
    return this.out + this.err
  }
}

t.test('every command has --help with a description, its flags and examples', async t => {
  const commands = [
    ...['', 'serve', 'sync', 'block', 'unblock', 'list', 'status', 'doctor', 'demo'],
    ...['user', 'user add', 'user list', 'user passwd', 'user remove'],
    ...['client', 'client add', 'client list', 'client edit', 'client remove'],
    ...['whitelist', 'whitelist add', 'whitelist-sync', 'key', 'command', 'audit', 'backup', 'restore'],
    ...['import', 'import-htaccess', 'export', 'health', 'install', 'uninstall']
  ]
  for (const command of commands) {
    const words = command.split(' ').filter(word => word !== '')
    const { code, out, err } = await run(...words, '--help')
    t.equal(code, 0, command)
    t.equal(err, '', command)
    t.match(out, new RegExp(`^Usage: fail2ban-report ?${command}`), command)
    t.match(out, /^Examples?:\n +.*fail2ban-report /m, command)
    for (const line of out.split('\n'))
      t.ok(line.length <= 80 || line.startsWith('  fail2ban-report '), `${command}: ${line}`)
    t.notMatch(out, /--(password|uuid)[ ,=]/, `${command}: no secret is a flag`)
  }
  const help = async (...words: string[]) => (await run(...words, '--help')).out.replaceAll(/\s+/g, ' ')
  t.match(await help('serve'), /--port <N> port to listen on; .* \[env: F2BR_PORT\] \[default: 8080\]/)
  t.match(await help('sync'), /\[env: F2BR_WHITELIST_ENABLED\] \[default: yes\]/)
  t.match(await help('block'), /--server <NAME> the host \(required\)/)
  t.notMatch(await help('user', 'list'), /--(download|temp|widest)/)
  const top = await run('--help')
  for (const word of commands.filter(command => command !== '' && !command.includes(' ')))
    t.match(top.out, new RegExp(`^ {2}${word}\\b`, 'm'))
  t.match((await run('--version')).out, /^\d+\.\d+\.\d+\n$/)
})

t.test('wrong use ends with 2, says what is wrong and where help is, and prints no stack', async t => {
  const folders = ['--archive', ownFolder(t, {}), '--settings', t.testdirName]
  for (const [words, message] of [
    [['bogus'], /unknown command 'bogus'/],
    [['--bogus'], /unknown option '--bogus'/],
    [['status', '--bogus'], /unknown option '--bogus'/],
    [['status', 'more'], /too many arguments/],
    [['user'], /Usage: fail2ban-report user/],
    [['user', 'bogus'], /unknown command 'bogus'/],
    [['user', 'add'], /missing required argument 'name'/],
    [['user', 'add', 'x', '--role', 'king', ...folders], /--role: one of admin, viewer is needed/],
    [['client', 'add', '../x', ...folders], /a server name has/],
    [['block'], /missing required argument 'ip'|required option/],
    [['block', '192.0.2.1'], /required option '--server/],
    [['list', '--server', '../x', ...folders], /a server name has/],
    [['doctor', '--side', 'left'], /--side takes server, client or both/],
    [['serve', '--port', '70000'], /--port: a whole number from 0 to 65535/],
    [['serve', '--base-path', 'x y'], /--base-path: a path such as/],
    [['sync', '--firewall', 'wall'], /--firewall: one of auto/],
    [['sync', '--config', '/nowhere.conf'], /--config \/nowhere\.conf can't be read \(ENOENT\)/]
  ] as const) {
    const { code, err, out } = await run(...words)
    t.equal(code, 2, words.join(' '))
    t.match(err, message, words.join(' '))
    t.notMatch(err, /\n +at /, words.join(' '))
    t.equal(out, '', words.join(' '))
  }
})

t.test('a misspelt variable of ours is an error that names the nearest; help still works', async t => {
  const wrong = await inEnv({ F2BR_ARCHVE: '/x' }, 'status')
  t.strictSame([wrong.code, wrong.out], [2, ''])
  t.match(wrong.err, /F2BR_ARCHVE: there is no such setting; the nearest is F2BR_ARCHIVE/)
  t.equal((await inEnv({ F2BR_ARCHVE: '/x' }, 'status', '--help')).code, 0)
  const both = {
    F2BR_ARCHIVE: ownFolder(t, {}),
    F2BR_SETTINGS: t.testdirName,
    F2BR_CONFIG: '/x',
    F2BR_UUID: 'u'
  }
  t.equal((await inEnv(both, 'status')).code, 0, "one environment may hold both sides' settings")
})

t.test('a reader that goes away is no failure; a full disk is one, told without a stack', async t => {
  const child = spawn(...asUsersDo([process.execPath, BIN, '--help']), { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  t.strictSame(await once(child, 'close'), [0, null])
  t.equal(err, '')
  const script = '"$0" "$1" --help >/dev/full'
  const full = await execute(['bash', '-c', script, process.execPath, BIN])
  t.equal(full.code, 1)
  t.equal(full.err, 'error: the output could not be written (ENOSPC)\n')
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  const cycle = await execute([
    'bash',
    '-c',
    '"$0" "$@" >/dev/full',
    process.execPath,
    BIN,
    ...at.syncArgs('dry-run')
  ])
  t.strictSame([cycle.code, cycle.err], [1, full.err], 'a cycle tells it as well')
  const mute = await execute(['bash', '-c', '"$0" "$1" bogus >/dev/full 2>&1', process.execPath, BIN])
  t.equal(mute.code, 2, 'with nobody to tell, it ends all the same')
})

t.test('exit codes of refusals: 1, with the reason; 75 when another run is under way', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  const input = 'a long enough one\n'
  const add = ['user', 'add', 'alice', '--role', 'admin', ...at.folders]
  t.equal((await at.cli(add, { input })).code, 0)
  for (const [words, message] of [
    [add, /there is a user alice already/],
    [['user', 'remove', 'alice', ...at.folders], /last admin/],
    [['client', 'add', HOST, ...at.folders], /there is a client web-1 already/],
    [['block', '192.0.2.1', '--server', 'x', '--jail', 'sshd', ...at.folders], /no host x; there are: web-1/],
    [['block', '127.0.0.1', '--server', HOST, '--jail', 'sshd', ...at.folders], /everything was refused/]
  ] as const) {
    const { code, err } = await at.cli(words, { input })
    t.equal(code, 1, words.join(' '))
    t.match(err, message)
  }
  for (const weak of ['', 'short\n'])
    t.equal((await at.cli(['user', 'add', 'bob', ...at.folders], { input: weak })).code, 2)
  t.equal((await block(at, 'block', '192.0.2.300')).code, 2)
  await mkdir(at.path('state'), { recursive: true })
  const held = createLock(at.path('state', 'sync.lock'))
  t.teardown(held.release)
  await held.taken
  const busy = await at.cli(at.syncArgs('dry-run'))
  t.equal(busy.code, 75, busy.err)
  t.match(busy.err, /Another run is under way/)
})

t.test('doctor: 0 when all is well on both sides, 1 when there is a problem', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  const env = { F2BR_PORT: new URL(at.url).port }
  await at.cli(['user', 'add', 'alice', '--role', 'admin', ...at.folders], { input: 'a long enough one' })
  t.equal((await at.cli(at.syncArgs('dry-run'))).code, 0)
  const words = [
    ...['doctor', '--config', at.path('client.conf'), '--state', at.path('state'), '--firewall', 'dry-run'],
    ...['--log', at.path('fail2ban.log'), '--download', at.path('download'), '--temp', at.path('temp')],
    ...at.folders
  ]
  const well = await inEnv(env, ...words)
  t.equal(well.code, 0, well.out)
  for (const line of well.out.trimEnd().split('\n')) t.match(line, /^ok {7}(server|client): /)

  const conf = await readFile(at.path('client.conf'), 'utf8')
  await writeFile(at.path('client.conf'), conf.replace(/^password = .*/m, 'password = wrong'))
  const wrong = await inEnv(env, ...words, '--json')
  t.equal(wrong.code, 1)
  const found = JSON.parse(wrong.out) as { level: string; side: string; what: string; mend?: string }[]
  t.match(
    found.filter(({ level }) => level !== 'ok'),
    [
      {
        side: 'client',
        level: 'problem',
        what: /403 Authentication failed \(password\)/,
        mend: /client list/
      }
    ]
  )
  t.notMatch(wrong.out, 'password = ')
})

t.test('serve: a first start makes tight folders and says what to do next', async t => {
  const dir = ownFolder(t, {})
  const folders = Object.fromEntries(
    ['archive', 'download', 'temp', 'settings'].map(name => [`F2BR_${name.toUpperCase()}`, join(dir, name)])
  )
  const server = new Program(t, ['serve', '--port', '0'], folders)
  await server.says('listens on')
  for (const name of ['archive', 'download', 'temp', 'settings'])
    t.match(server.err, `Created ${join(dir, name)}`)
  t.match(
    server.err,
    /^Nobody can log in yet\. Add the first admin: +node dist\/program\/bin\.js user add NAME --role admin$/m
  )
  t.match(
    server.err,
    /^No host can sync yet\. Add the first one: +node dist\/program\/bin\.js client add HOST --server-url https:\/\/YOUR-SERVER$/m
  )
  server.child.kill('SIGINT')
  t.strictSame(await server.closed, [0, null])
  const mode = async (...path: string[]) => ((await stat(join(dir, ...path))).mode & 0o777).toString(8)
  t.strictSame(await Promise.all(['archive', 'download', 'temp', 'settings'].map(name => mode(name))), [
    '750',
    '750',
    '700',
    '700'
  ])
  const at = new Installation(dir)
  t.teardown(() => at.stop())
  await at.serve()
  await at.addHost(HOST)
  await block(at, 'block', '192.0.2.1')
  await writeFile(at.path('fail2ban.log'), '')
  t.equal((await at.cli(at.syncArgs('dry-run'))).code, 0)
  await at.stop()
  for (const item of await readdir(join(dir, 'archive'), { recursive: true, withFileTypes: true }))
    t.equal(
      await mode(item.parentPath.slice(dir.length), item.name),
      item.isDirectory() ? '750' : '640',
      item.name
    )
  for (const name of await readdir(join(dir, 'settings'))) t.equal(await mode('settings', name), '600', name)
})

t.test(
  'serve: folders of a checkout, which are empty and open, are closed; those with data stay',
  async t => {
    const dir = ownFolder(t, {
      archive: { '.htaccess': 'an operator’s own' },
      download: { 'web-1': {} },
      temp: {}
    })
    const at = new Installation(dir)
    t.teardown(() => at.stop())
    const mode = async (name: string) => (await stat(join(dir, name))).mode & 0o777
    const download = await mode('download')
    await at.serve()
    t.equal((await mode('archive')) & 0o007, 0)
    t.equal(await mode('download'), download)
    // Apache is told to hand nothing out, as by the files that come with a checkout.
    const denial = (...folder: string[]) => readFile(join(...folder, '.htaccess'), 'utf8').catch(() => 'none')
    const shipped = await denial('archive')
    t.match(shipped, /^Require all denied$/m)
    t.equal(await denial('download'), shipped)
    t.equal(await denial('temp'), shipped)
    t.equal(await denial(dir, 'archive'), 'an operator’s own')
    t.equal(await denial(dir, 'download'), 'none', 'there is data')
    t.equal(await denial(dir, 'temp'), shipped)
    t.equal(await denial(dir, 'settings'), shipped)
    t.equal((await stat(join(dir, 'settings', '.htaccess'))).mode & 0o777, 0o600)
  }
)

t.test('doctor: folders in a web server’s reach are warned of, whatever .htaccess is in them', async t => {
  const at = new Installation(ownFolder(t, { settings: {} }))
  const doctor = async (archive: string) =>
    (await at.cli(['doctor', '--side', 'server', '--archive', archive, '--settings', at.path('settings')]))
      .out
  t.match(await doctor('/var/www/html/Fail2Ban-Report/archive'), /warning .*archive folder .*AllowOverride/)
  t.notMatch(await doctor(at.path('archive')), /AllowOverride/)
})

t.test('serve: a folder that can’t be used is a clear error, not a server that does nothing', async t => {
  for (const [folder, path] of [
    ['archive', '/proc/none/such'],
    ['archive', '/etc/passwd'],
    ['settings', '/etc/passwd']
  ] as const) {
    const at = new Installation(ownFolder(t))
    const args = [
      '--archive',
      at.path('a'),
      '--settings',
      at.path('s'),
      '--download',
      at.path('d'),
      '--temp',
      at.path('t')
    ]
    const ended = await at.cli(['serve', '--port', '0', ...args, `--${folder}`, path])
    t.equal(ended.code, 2, ended.err)
    t.match(ended.err, new RegExp(folder), path)
  }
})

t.test('serve: a port that is taken is a clear error', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => void other.close())
  const { port } = other.address() as AddressInfo
  const dir = ownFolder(t, {})
  const folders = ['archive', 'download', 'temp', 'settings'].flatMap(name => [`--${name}`, join(dir, name)])
  const { code, err } = await run('serve', '--port', String(port), ...folders)
  t.equal(code, 2)
  t.match(err, `can't listen on 127.0.0.1 port ${port} (EADDRINUSE); choose others with --host and --port`)
  t.notMatch(err, /\n +at /)
})

/** An upload of a day's events of which only the first half has been sent. */
async function halfUpload(at: Installation, made: { username: string; password: string; uuid: string }) {
  const day = 'fail2ban-events-20260301.json'
  const part = (field: string, text: string, more = '') =>
    `--b\r\nContent-Disposition: form-data; name="${field}"${more}\r\n\r\n${text}\r\n`
  const { username, password, uuid } = made
  const fields = Object.entries({ username, password, uuid }).map(([name, value]) => part(name, value))
  const body = `${fields.join('')}${part('file', '[]', `; filename="${day}"`)}--b--\r\n`
  const head =
    `POST /endpoint/index.php HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n` +
    `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`
  const socket = connect(Number(new URL(at.url).port), '127.0.0.1')
  let reply = ''
  socket.on('data', chunk => (reply += chunk.toString()))
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  socket.write(head)
  // The server has the request in hand: it asks for the rest.
  await once(socket, 'data')
  socket.write(body.slice(0, body.length / 2))
  return {
    finish: async () => {
      socket.write(body.slice(body.length / 2))
      await closed
      return reply
    },
    destroy: () => socket.destroy()
  }
}

t.test('serve: told to stop, it finishes a slow upload, refuses new ones, and ends with 0', async t => {
  const at = new Installation(ownFolder(t, {}))
  await at.serve()
  t.teardown(() => at.stop())
  const upload = await halfUpload(at, await at.addHost(HOST))
  const stopped = at.stop()
  await refusesConnections(at)
  const reply = await upload.finish()
  t.match(reply, /HTTP\/1\.1 200 OK/)
  t.equal(await stopped, 0)
  t.strictSame(await readdir(at.path('archive', HOST, 'fail2ban')), ['fail2ban-events-20260301.json'])
})

t.test('serve: a second signal ends it at once', async t => {
  const at = new Installation(ownFolder(t, {}))
  await at.serve()
  t.teardown(() => at.stop())
  const upload = await halfUpload(at, await at.addHost(HOST))
  t.teardown(upload.destroy)
  const first = at.stop('SIGINT')
  await refusesConnections(at)
  const began = performance.now()
  t.equal(await at.stop('SIGTERM'), 1)
  t.equal(await first, 1)
  t.ok(performance.now() - began < 5_000)
})

t.test('demo --once shows each step, from pending to active, and leaves nothing', async t => {
  const dir = ownFolder(t, {})
  const demo = new Program(t, ['demo', '--once'], { TMPDIR: dir })
  t.strictSame(await demo.closed, [0, null], demo.err)
  const steps = [...demo.out.matchAll(/^(\d)\. /gm)].map(match => match[1])
  t.strictSame(steps, ['1', '2', '3', '4', '5', '6'])
  t.match(demo.out, /203\.0\.113\.66 +sshd +pending block[^]*203\.0\.113\.66 +sshd +active/)
  t.match(demo.out, /pending became active[^]*its folder is removed/)
  await leavesNothing(t, demo, dir)
})

for (const [when, text] of [
  ['while it stays up', 'end it with Ctrl-C'],
  ['in the middle of a step', '2. an admin'],
  ['before its server listens', '1. a server']
] as const) {
  t.test(`demo ends with 0 and leaves nothing when it is told to stop ${when}`, async t => {
    const dir = ownFolder(t, {})
    const demo = new Program(t, ['demo'], { TMPDIR: dir })
    await demo.says(text)
    if (when === 'while it stays up') t.equal((await fetch(urlOf(demo) + 'healthz')).status, 200)
    demo.child.kill('SIGINT')
    t.strictSame(await demo.closed, [0, null], demo.err)
    t.equal(demo.err, '')
    await leavesNothing(t, demo, dir)
  })
}

const urlOf = (demo: Program) => /it listens on (http\S+)/.exec(demo.out)?.[1] ?? ''

async function leavesNothing(t: Test, demo: Program, dir: string): Promise<void> {
  t.strictSame(await readdir(dir), [], 'no folder')
  const url = urlOf(demo)
  if (url !== '') await t.rejects(fetch(url), 'no server')
  const ours: string[] = []
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const env = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (env.includes(`=${dir}/`)) ours.push(pid)
  }
  t.strictSame(ours, [], 'no process')
}

/** Resolves once the server takes no new connections. */
async function refusesConnections(at: Installation): Promise<void> {
  for (;;) {
    const socket = connect(Number(new URL(at.url).port), '127.0.0.1')
    const refused = await Promise.race([
      once(socket, 'connect').then(() => false),
      once(socket, 'error').then(() => true)
    ]).catch(() => true)
    socket.destroy()
    if (refused) return
  }
}

/** Holds a lock as another run does: it is refreshed until it is released. */
function createLock(path: string): { taken: Promise<unknown>; release: () => void } {
  const script = 'mkdir "$0"; echo; while touch "$0" 2>/dev/null; do read -t 1 && exit; done; true'
  const child = spawn('bash', ['-c', script, path], { stdio: ['pipe', 'pipe', 'ignore'] })
  return { taken: once(child.stdout, 'data'), release: () => void child.kill('SIGKILL') }
}
