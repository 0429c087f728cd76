import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
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
import t, { type Test } from 'tap'
import { BIN, execute, Installation } from '../support/installation.js'
import { block, HOST } from '../support/one-host.js'
import { asUsersDo } from '../support/processes.js'

const USER = 'nobody'
const idOf = (flag: string) => Number(spawnSync('id', [flag, USER], { encoding: 'utf8' }).stdout)
const skip = process.getuid?.() === 0 ? false : 'needs root'
const PASSWORD = 'a secret of the admin'

interface Found {
  path: string
  mode: string
  uid: number
}

/** Everything below a folder, and the folder. */
async function below(folder: string): Promise<Found[]> {
  const found: Found[] = []
  for (const item of ['', ...(await readdir(folder, { recursive: true }))]) {
    const { mode, uid } = await stat(join(folder, item))
    found.push({ path: join(folder, item), mode: (mode & 0o7777).toString(8), uid })
  }
  return found
}

/** A folder that other users can reach: those of the test runner lie below one of root's. */
async function place(t: Test): Promise<Installation> {
  const dir = await mkdtemp(join(tmpdir(), 'f2br-abuse-'))
  await chmod(dir, 0o755)
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return new Installation(dir)
}

/** Starts `serve`. The process is at hand, for a look at it. */
async function serve(t: Test, at: Installation, ...more: string[]): Promise<ChildProcess> {
  const args = [
    ...[BIN, 'serve', '--port', '0', ...at.folders, '--download', at.path('download')],
    ...['--temp', at.path('temp'), ...more]
  ]
  const server = spawn(...asUsersDo([process.execPath, ...args]), { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(async () => {
    if (server.exitCode !== null || server.signalCode !== null) return
    const closed = once(server, 'close')
    server.kill('SIGKILL')
    await closed
  })
  // Standard error tells it too: the log may go to a file.
  let told = ''
  server.stdout.resume()
  server.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()))
  for (;;) {
    const url = /listens on (http\S+)\/ /.exec(told)?.[1]
    if (url !== undefined) {
      at.url = url
      return server
    }
    if (server.exitCode !== null) throw new Error(told)
    await Promise.race([once(server.stderr, 'data'), once(server, 'close')])
  }
}

/** An admin logs in, a host syncs twice with a block in between: every kind of file is made. */
async function live(
  at: Installation
): Promise<{ password: string; uuid: string; cookie: string; output: string }> {
  const user = await at.cli(['user', 'add', 'alice', '--role', 'admin', ...at.folders], {
    input: `${PASSWORD}\n`
  })
  const { password, uuid } = await at.addHost(HOST)
  const line = '2026-03-01 10:00:00,123 fail2ban.actions        [812]: NOTICE  [sshd] Ban 192.0.2.1\n'
  await writeFile(at.path('fail2ban.log'), line)
  const login = await fetch(`${at.url}/api/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'alice', password: PASSWORD })
  })
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? ''
  const { csrf } = (await login.json()) as { csrf: string }
  await fetch(`${at.url}/api/logout`, {
    method: 'POST',
    headers: { cookie, 'x-csrf-token': csrf, 'content-type': 'application/json' },
    body: '{}'
  })
  let output = user.out + user.err
  for (const ip of ['198.51.100.1', '198.51.100.2']) {
    for (const run of [await block(at, 'block', ip), await at.cli(at.syncArgs('dry-run'))])
      output += run.out + run.err
  }
  return { password, uuid, cookie, output }
}

/** What is there of processes of ours, as every user of the machine may see it, and their environment. */
async function commandLines(): Promise<string> {
  let found = ''
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    found += await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  }
  return found
}

t.test('no data or secret can be read by others; secrets by nobody but their owner', async t => {
  const at = await place(t)
  await serve(t, at)
  await live(at)
  for (const folder of ['archive', 'download', 'temp', 'settings', 'state']) {
    for (const { path, mode } of await below(at.path(folder)))
      t.match(mode, /^[67][045]0$/, `${path} ${mode}`)
  }
  const secrets = await below(at.path('settings'))
  t.ok(secrets.length >= 4)
  for (const { path, mode } of secrets) t.match(mode, /^[67]00$/, `${path} ${mode}`)
  for (const folder of ['temp', 'state']) t.equal((await below(at.path(folder)))[0]!.mode, '700')
})

t.test(
  'started as root with --user, the server drops to that user, and so does root’s command line',
  { skip },
  async t => {
    const at = await place(t)
    const log = at.path('log', 'server.log')
    const uid = idOf('-u')
    const server = await serve(t, at, '--user', USER)
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
    t.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'), 'real, effective, saved')
    const gid = idOf('-g')
    t.match(status, new RegExp(`^Gid:\\t${gid}\\t${gid}\\t${gid}\\t${gid}$`, 'm'))
    t.match(status, new RegExp(`^Groups:\\t${gid} ?$`, 'm'), 'none of root’s groups')
    t.match(status, /^CapEff:\t0+$/m, 'no capability is left')
    for (const thread of await readdir(`/proc/${server.pid}/task`)) {
      t.match(
        await readFile(`/proc/${server.pid}/task/${thread}/status`, 'utf8'),
        new RegExp(`^Uid:\\t${uid}\\t${uid}`, 'm')
      )
    }
    await live(at)
    for (const folder of ['archive', 'download', 'temp', 'settings']) {
      for (const { path, uid: owner } of await below(at.path(folder))) t.equal(owner, uid, path)
    }
    t.equal((await fetch(`${at.url}/healthz`)).status, 200)

    await serve(t, at, '--user', USER, '--log-file', log)
    t.equal((await stat(log)).uid, uid, 'a log file too')
    t.equal((await stat(log)).mode & 0o777, 0o640)
  }
)

t.test(
  '--user says what is wrong: no such user, root itself, not started as root, folders of another',
  { skip },
  async t => {
    const at = await place(t)
    const words = (user: string) => [
      process.execPath,
      BIN,
      'serve',
      '--port',
      '0',
      ...at.folders,
      '--download',
      at.path('download'),
      '--temp',
      at.path('temp'),
      '--user',
      user
    ]
    for (const user of ['no-such-user', 'root', '0', '-u', 'a b', '$(id)', '../x']) {
      const { code, err } = await execute(words(user))
      t.equal(code, 2, user)
      t.match(err, /--user/, user)
    }
    for (const name of ['archive', 'download', 'temp', 'settings']) {
      await mkdir(at.path(name), { mode: 0o700 })
      await writeFile(at.path(name, 'x.json'), '{}')
    }
    const foreign = await execute(words(USER))
    t.equal(foreign.code, 2)
    t.match(foreign.err, /folder can't be read and written.*chown -R/)
    const dropped = [
      'setpriv',
      `--reuid=${idOf('-u')}`,
      `--regid=${idOf('-g')}`,
      '--clear-groups',
      ...words('daemon')
    ]
    const other = await execute(dropped)
    t.equal(other.code, 2)
  }
)

t.test('root’s command line follows no link that the server’s user has planted', { skip }, async t => {
  const at = await place(t)
  const [uid, gid] = [idOf('-u'), idOf('-g')]
  for (const name of ['archive', 'download', 'temp', 'settings']) {
    await mkdir(at.path(name), { mode: 0o700 })
    await chown(at.path(name), uid, gid)
  }
  await mkdir(at.path('roots'), { mode: 0o700 })
  await writeFile(at.path('roots', 'users.json'), '[]', { mode: 0o600 })
  await symlink(at.path('roots', 'users.json'), at.path('settings', 'users.json'))
  const added = await at.cli(['user', 'add', 'mallory', '--role', 'admin', ...at.folders], {
    input: `${PASSWORD}\n`
  })
  t.not(added.code, 0, 'settings may be links, but root reads them as their owner would')
  t.equal(await readFile(at.path('roots', 'users.json'), 'utf8'), '[]')
  t.equal((await stat(at.path('roots', 'users.json'))).uid, 0)
})

t.test('secrets are never in argv, in the output, in the log or in the archive', async t => {
  const at = await place(t)
  let log = ''
  const server = await serve(t, at)
  server.stdout?.on('data', (chunk: Buffer) => (log += chunk.toString()))
  server.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()))
  let seen = ''
  const looking = setInterval(() => void commandLines().then(found => (seen += found)), 50)
  t.teardown(() => clearInterval(looking))
  const { password, uuid, cookie, output } = await live(at)
  clearInterval(looking)
  for (const text of [password.slice(0, -1) + 'x', `${PASSWORD}x`]) {
    const body = new URLSearchParams({ username: HOST, password: text, uuid })
    log += await (await fetch(`${at.url}/endpoint/update.php`, { method: 'POST', body })).text()
    const wrong = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'alice', password: text })
    }
    log += await (await fetch(`${at.url}/api/login`, wrong)).text()
    const basic = Buffer.from(`${HOST}:${text}`).toString('base64')
    const asked = await fetch(`${at.url}/api/v1/whitelist/plain`, {
      headers: { authorization: `Basic ${basic}`, 'x-client-uuid': uuid }
    })
    log += await asked.text()
  }
  const key = (JSON.parse(await readFile(at.path('settings', 'session-key.json'), 'utf8')) as { key: string })
    .key
  const hashes = [
    ...(await readFile(at.path('settings', 'users.json'), 'utf8')).matchAll(/\$2y\$[^"]+/g)
  ].map(found => found[0])
  const secrets = { password, PASSWORD, uuid, key, cookie: cookie.slice(13, 60), hash: hashes[0]! }
  t.match(seen, 'serve', 'command lines were seen')
  t.match(log, 'auth_failure', 'the log was seen')
  const state = (
    await Promise.all(
      (await readdir(at.path('state'), { recursive: true })).map(name =>
        readFile(at.path('state', name), 'utf8').catch(() => '')
      )
    )
  ).join('')
  const archive = (
    await Promise.all(
      (await readdir(at.path('archive'), { recursive: true })).map(name =>
        readFile(at.path('archive', name), 'utf8').catch(() => '')
      )
    )
  ).join('')
  for (const [name, secret] of Object.entries(secrets)) {
    t.ok(secret.length > 8, name)
    for (const [where, text] of Object.entries({ argv: seen, output, log, state, archive })) {
      t.notOk(text.includes(secret), `${name} in ${where}`)
    }
  }
})

t.test('a flag cannot carry a secret, and programs the client runs do not inherit one', async t => {
  for (const flag of ['--password', '--uuid']) {
    const { code, err } = await execute([process.execPath, BIN, 'sync', flag, PASSWORD])
    t.equal(code, 2, flag)
    t.match(err, /unknown option/)
  }
  // As a process of its own: the test runner adds variables to all that its processes start.
  const script =
    "import { runCommand } from './dist/common/command.js'; console.log(await runCommand('env', []))"
  const words = [process.execPath, '--input-type=module', '-e', script]
  const { code, out } = await execute(['env', `F2BR_PASSWORD=${PASSWORD}`, 'HOME=/root', ...words])
  t.equal(code, 0)
  t.match(out, /PATH=/)
  t.notMatch(out, PASSWORD)
  t.notMatch(out, /F2BR_|HOME=|NODE_/)
})
