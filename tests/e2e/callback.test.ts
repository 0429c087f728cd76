import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import type { StoredEvent } from '../../server/store/same-event.js'
import { Installation } from '../support/installation.js'
import { logged } from '../support/logged.js'
import { available, createNamespace, joinByVeth } from '../support/netns.js'

const skip = available('fail2ban-server', 'fail2ban-client', 'curl') ?? false
const ATTACKER = '10.78.0.66'

/** A browser's end of the live channel: prints every message with the time it came, in milliseconds. */
const BROWSER = `
const { LIBRARY, URL, COOKIE: cookie } = process.env
const { WebSocket } = await import(LIBRARY)
const socket = new WebSocket(URL, { headers: { cookie, 'user-agent': 'test' } })
socket.on('open', () => console.log('{"type":"open"}'))
socket.on('message', bytes => console.log(JSON.stringify({ at: Date.now(), ...JSON.parse(bytes) })))
`

t.test(
  'a ban of a real fail2ban is in the browser within a second, and one event with the daily file',
  { skip, timeout: 120_000 },
  async t => {
    // A short path: fail2ban's socket lies in it, and a socket's path has 107 bytes at most.
    const dir = await mkdtemp(join(tmpdir(), 'f2b-e2e-'))
    t.teardown(() => rm(dir, { recursive: true, force: true }))
    const at = new Installation(join(dir, 'report'))
    const [server, host] = [await createNamespace('server'), await createNamespace('host')]
    t.teardown(() => Promise.all([server.destroy(), host.destroy()]))
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    await at.serve(server, '--host', '10.77.0.1', '--base-path', '/Sub')
    t.teardown(() => at.stop())
    await at.addHost('web-1')
    await at.cli(['user', 'add', 'alice', '--role', 'admin', ...at.folders], {
      input: 'correct horse battery\n'
    })

    await host.exec('cp', '-r', '/etc/fail2ban', join(dir, 'conf'))
    await host.exec('rm', '-rf', join(dir, 'conf', 'jail.d'))
    const curlFile = join(dir, 'callback.curl')
    const install = (...more: string[]) =>
      at.cli([
        ...['client', 'install-action', '--config', at.path('client.conf'), '--curl-file', curlFile],
        ...['--fail2ban', join(dir, 'conf'), ...more]
      ])
    t.match((await install('--dry-run')).out, /would write .*action\.d\/fail2ban-report\.conf/)
    await t.rejects(stat(curlFile), 'a dry run writes nothing')
    t.match(await install(), {
      code: 0,
      out: /^written [\s\S]*written [\s\S]*written /,
      err: /unencrypted|^$/
    })
    t.match((await install()).out, /^unchanged [\s\S]*unchanged [\s\S]*unchanged /, 'again: nothing to do')
    t.equal((await stat(curlFile)).mode & 0o777, 0o600)
    const secret = /callback_secret = (\S+)/.exec(await readFile(at.path('client.conf'), 'utf8'))?.[1] ?? ''
    for (const name of ['conf', 'local']) {
      t.notMatch(await readFile(join(dir, 'conf', 'action.d', `fail2ban-report.${name}`), 'utf8'), secret)
    }

    await writeFile(join(dir, 'auth.log'), '')
    await writeFile(
      join(dir, 'conf', 'jail.local'),
      `[DEFAULT]\nbackend = polling\nmaxretry = 3\nbantime = 600\nignoreself = false\n` +
        `[sshd]\nenabled = true\nlogpath = ${dir}/auth.log\naction = fail2ban-report\n`
    )
    const log = at.path('fail2ban.log')
    const common = ['-c', join(dir, 'conf'), '-s', join(dir, 's'), '-p', join(dir, 'p')]
    const [program, ...rest] = host.prefix
    await writeFile(join(dir, 'conf', 'fail2ban.local'), `[Definition]\ndbfile = ${dir}/db\n`)
    const fail2ban = spawn(
      program,
      [...rest, 'fail2ban-server', ...common, '--logtarget', log, '-f', 'start'],
      {
        stdio: 'ignore'
      }
    )
    t.teardown(async () => {
      if (fail2ban.exitCode !== null || fail2ban.signalCode !== null) return
      const ended = once(fail2ban, 'exit')
      fail2ban.kill('SIGKILL')
      await ended
    })
    await logged(at.dir, log, /Jail 'sshd' started/)

    const reply = await server.exec(
      'curl',
      ...['-sSi', '-A', 'test', '-H', 'content-type: application/json'],
      ...[
        '-d',
        JSON.stringify({ username: 'alice', password: 'correct horse battery' }),
        `${at.url}/api/login`
      ]
    )
    const cookie = /set-cookie: ([^;]+)/i.exec(reply)?.[1] ?? ''
    const script = ['--input-type=module', '-e', BROWSER]
    const told = {
      LIBRARY: resolve('node_modules/ws/wrapper.mjs'),
      URL: `${at.url.replace('http', 'ws')}/api/ws`,
      COOKIE: cookie
    }
    const [enter, ...inside] = server.prefix
    const browser = spawn(enter, [...inside, process.execPath, ...script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '', ...told }
    })
    t.teardown(() => void browser.kill('SIGKILL'))
    const lines = createInterface({ input: browser.stdout })[Symbol.asyncIterator]()
    const heard = async (type: string) => {
      for (;;) {
        const line = (await lines.next()) as IteratorResult<string, undefined>
        if (line.value === undefined) throw new Error('the browser has ended')
        const message = JSON.parse(line.value) as {
          type: string
          at: number
          data: Record<string, unknown>
        }
        if (message.type === type) return message
      }
    }
    await heard('open')

    const stamp = new Date()
      .toString()
      .slice(4, 24)
      .replace(/ \d{4} /, ' ')
    // A name that would end a JSON string, a shell's quotes, or run something.
    const user = `x"\\ $(touch ${dir}/run) \`touch ${dir}/run\` '; touch ${dir}/run; <ip> ü\t`
    const line = `${stamp} web-1 sshd[4242]: Failed password for invalid user ${user} from ${ATTACKER} port 4022 ssh2\n`
    await appendFile(join(dir, 'auth.log'), line.repeat(4))
    const ban = await heard('ban_event')
    t.match(ban.data, {
      server: 'web-1',
      ip: ATTACKER,
      jail: 'sshd',
      action: 'Ban',
      via: 'callback',
      failures: 3
    })
    // fail2ban hands each line on without what it read the time from.
    const seen = String(ban.data.logs).split('\n')
    t.ok(seen.length >= 3, 'a line each')
    t.match(seen[0], line.slice(line.indexOf('web-1'), -1).replace('\t', ''))
    await t.rejects(stat(join(dir, 'run')), 'text of an attacker is nothing but text')
    const text = await readFile(log, 'utf8')
    const when = /^(\S+) (\S+),(\d+) .*\[sshd\] Ban /m.exec(text)
    const ms = ban.at - Date.parse(`${when?.[1] ?? ''}T${when?.[2] ?? ''}.${when?.[3] ?? ''}`)
    t.comment(`${ms} ms after fail2ban logged it`)
    t.ok(ms < 5000, 'long before any cycle')

    await host.exec('fail2ban-client', ...common, 'set', 'sshd', 'unbanip', ATTACKER)
    t.match((await heard('unban_event')).data, { ip: ATTACKER, action: 'Unban', via: 'callback' })
    const day = `fail2ban-events-${(when?.[1] ?? '').replaceAll('-', '')}.json`
    const stored = async () =>
      JSON.parse(await readFile(at.path('archive', 'web-1', 'fail2ban', day), 'utf8')) as StoredEvent[]
    t.match(await stored(), [
      { action: 'Ban', via: 'callback' },
      { action: 'Unban', via: 'callback' }
    ])
    const synced = await at.cli(at.syncArgs('dry-run'), { where: host })
    t.equal(synced.code, 0, synced.err)
    const events = await stored()
    t.equal(events.length, 2)
    t.match(events, [
      { action: 'Ban', ip: ATTACKER, jail: 'sshd' },
      { action: 'Unban', ip: ATTACKER }
    ])
    t.notOk(
      events.some(({ via }) => via !== undefined),
      "the log's own lines took their place"
    )
  }
)
