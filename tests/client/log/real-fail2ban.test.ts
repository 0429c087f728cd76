import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, readFile, readdir, watch, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { JsonFiles } from '../../../common/json-file.js'
import type { BanEvent } from '../../../common/shapes.js'
import { collectEvents } from '../../../client/log/daily-events.js'
import { ownFolder } from '../../support/own-folder.js'

const missing = spawnSync('fail2ban-server', ['--version']).error
const skip = missing === undefined ? false : `fail2ban-server can't be run here: ${missing.message}`

const ODD = 'Odd jail.näme_1'

/** A fail2ban of its own: nothing outside the folder is read or written, and no jail has an action. */
async function configure(dir: string): Promise<void> {
  const jail = (name: string, filter: string) => `[${name}]\nenabled = true\nfilter = ${filter}\n`
  await writeFile(
    join(dir, 'conf/fail2ban.conf'),
    `[Definition]\nloglevel = INFO\nlogtarget = ${dir}/fail2ban.log\nsyslogsocket = auto\nsocket = socket\n` +
      `pidfile = ${dir}/pid\ndbfile = ${dir}/bans.sqlite3\ndbpurgeage = 1d\n`
  )
  await writeFile(
    join(dir, 'conf/jail.conf'),
    '[DEFAULT]\nbantime = 1h\nfindtime = 1h\nmaxretry = 2\nbantime.increment = true\nbackend = polling\n' +
      `ignoreip =\nignoreself = false\nusedns = no\nlogpath = ${dir}/auth.log\naction =\n` +
      jail(ODD, 'host') +
      jail('2222', 'id') +
      // The second ban is longer, so that it lasts until the stop.
      jail('short', 'short') +
      'bantime = 3\nbantime.multipliers = 1 3600\n'
  )
}

t.test('the log of a real fail2ban becomes the events that happened', { skip, timeout: 120_000 }, async t => {
  const dir = ownFolder(t, {
    'auth.log': '',
    conf: {
      'action.d': {},
      'filter.d': {
        'host.conf': '[Definition]\nfailregex = ^\\s*login failure from <HOST>$\n',
        'short.conf': '[Definition]\nfailregex = ^\\s*short failure from <HOST>$\n',
        'id.conf': '[Definition]\nfailregex = ^\\s*id failure <F-ID>.+</F-ID>$\n'
      }
    }
  })
  await configure(dir)
  const log = join(dir, 'fail2ban.log')
  // The socket's path is relative: this folder's is longer than the 107 bytes that a socket's may have.
  const common = ['-c', join(dir, 'conf'), '-s', 'socket', '-p', join(dir, 'pid')]
  let server: ChildProcess | undefined
  t.teardown(async () => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    server.kill('SIGKILL')
    await once(server, 'exit')
  })

  /** Resolves when the log holds the pattern so many times. */
  const logged = async (pattern: RegExp, times = 1) => {
    const done = async () =>
      ((await readFile(log, 'utf8').catch(() => '')).match(pattern)?.length ?? 0) >= times
    const stop = new AbortController()
    const giveUp = setTimeout(() => stop.abort(new Error(`not logged: ${pattern.source}`)), 30_000)
    try {
      // Asked for before the look, so that nothing is missed in between.
      const changes = watch(dir, { signal: stop.signal })[Symbol.asyncIterator]()
      let change = changes.next()
      while (!(await done())) {
        await change
        change = changes.next()
      }
      change.catch(() => undefined)
    } finally {
      clearTimeout(giveUp)
      stop.abort()
    }
  }
  const client = (...args: string[]) => {
    const { status, stderr, stdout } = spawnSync('fail2ban-client', [...common, ...args], {
      cwd: dir,
      encoding: 'utf8'
    })
    t.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`)
  }
  const start = async (times: number) => {
    server = spawn('fail2ban-server', [...common, '-f', 'start'], { cwd: dir, stdio: 'ignore' })
    await logged(/Jail '.*' started/g, 3 * times)
  }
  const stop = async () => {
    const ended = once(server!, 'exit')
    client('stop')
    await ended
  }
  const fail = (what: string) => {
    const line = `${new Date().toISOString()} ${what}\n`
    return appendFile(join(dir, 'auth.log'), line.repeat(2))
  }

  await start(1)
  await fail('login failure from 192.0.2.7')
  await logged(/ Ban 192\.0\.2\.7$/gm)
  await fail('login failure from 2001:db8::7')
  await logged(/ Ban 2001:db8::7$/gm)
  client('set', ODD, 'banip', '203.0.113.0/25')
  await logged(/ Ban 203\.0\.113\.0\/25$/gm)
  await fail('id failure alice smith')
  await fail(`id failure x [${ODD}] Ban 9.9.9.9`)
  await logged(/\[2222\] Ban /g, 2)
  client('set', ODD, 'unbanip', '192.0.2.7')
  await logged(/ Unban 192\.0\.2\.7$/gm)
  await fail('short failure from 198.51.100.9')
  await logged(/ Unban 198\.51\.100\.9$/gm)
  await fail('short failure from 198.51.100.9')
  await logged(/ Increase Ban 198\.51\.100\.9/g)
  const files = new JsonFiles({ clock: Date.now, onSetAside: () => t.fail('nothing is corrupt') })
  const options = { log, eventsDir: join(dir, 'events'), state: join(dir, 'state'), files, clock: Date.now }
  const first = await collectEvents(options)
  await stop()
  await start(2)
  await logged(/ Restore Ban 203\.0\.113\.0\/25$/gm)
  await stop()
  const second = await collectEvents(options)

  const known = new Map<string, string[]>()
  for (const name of (await readdir(options.eventsDir)).sort()) {
    for (const event of JSON.parse(await readFile(join(options.eventsDir, name), 'utf8')) as BanEvent[]) {
      t.equal(event.jail, event.ip === '198.51.100.9' ? 'short' : ODD)
      known.set(event.ip, [...(known.get(event.ip) ?? []), event.action])
    }
  }
  // Up to 1.1.0 every stop lifts the bans, and says so.
  const stopped = ['Unban', 'Restore Ban', 'Unban']
  t.strictSame(Object.fromEntries([...known].sort()), {
    '192.0.2.7': ['Ban', 'Unban'],
    '198.51.100.9': ['Ban', 'Unban', 'Ban', 'Increase Ban', ...stopped],
    '2001:db8::7': ['Ban', ...stopped],
    '203.0.113.0/25': ['Ban', ...stopped]
  })
  t.equal(first.noAddress, 2, 'alice, and the one who chose a name that looks like a ban')
  t.equal(first.newEvents, 8)
  t.equal(second.newEvents, 9)
})
