import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { carryOut, type CommandHost } from '../../../client/commands/carry-out.js'
import { CommandLog } from '../../../client/commands/command-log.js'
import { runCommands } from '../../../client/commands/run-commands.js'
import { guardOf } from '../../../client/cycle/protect.js'
import { Fail2ban } from '../../../client/fail2ban/fail2ban.js'
import { address } from '../../../common/address.js'
import { COMMAND_TYPES, type CommandOutcome } from '../../../common/commands.js'
import { ProductError } from '../../../common/errors.js'
import { JsonFiles } from '../../../common/json-file.js'
import { built, execute } from '../../support/installation.js'
import { ownFolder } from '../../support/own-folder.js'

/** A host whose fail2ban is played: what was run stands in `calls`. */
function host(more: Partial<CommandHost> = {}) {
  const calls: string[] = []
  const run = async (_: string, args: readonly string[]) => {
    const words = args.slice(2)
    calls.push(words.join(' '))
    const stdout =
      words[0] === 'status' && words.length === 1
        ? 'Status\n`- Jail list:\tsshd, recidive\n'
        : words[0] === 'banned'
          ? "[{'sshd': ['192.0.2.1']}]"
          : words.join(' ') + '\u001b[31m\n'
    return { code: 0, stdout, stderr: '' }
  }
  const made: CommandHost = {
    allowed: COMMAND_TYPES,
    fail2ban: new Fail2ban(run, { config: '/etc/fail2ban', socket: '' }),
    mayChange: true,
    guard: guardOf([address('192.0.2.10')], [], [], { 4: 8, 6: 19 }, [address('198.51.100.0/24')]),
    whitelistSync: async () => 'synced',
    blocklistSync: () => 'cycled',
    health: async () => 'well',
    ...more
  }
  return { made, calls }
}
const give = (type: string, params: Record<string, unknown> = {}) => ({ id: 'web-1~1', type, params })

t.test('each type does what it says', async t => {
  const cases: [string, Record<string, string>, string, string][] = [
    ['whitelist_sync', {}, 'synced', ''],
    ['blocklist_sync', {}, 'cycled', ''],
    ['health', {}, 'well', ''],
    ['list_jails', {}, 'sshd\nrecidive', 'status'],
    ['list_bans', {}, '{"sshd":["192.0.2.1"]}', 'banned'],
    ['jail_status', { jail: 'sshd' }, 'status sshd\ufffd[31m\n', 'status sshd'],
    ['fail2ban_reload', {}, 'reload\ufffd[31m\n', 'reload'],
    [
      'ban_ip',
      { jail: 'sshd', ip: '203.0.113.9' },
      '203.0.113.9 is banned in sshd',
      'set sshd banip 203.0.113.9'
    ],
    [
      'unban_ip',
      { jail: 'sshd', ip: '203.0.113.9' },
      '203.0.113.9 is let in again by sshd',
      'set sshd unbanip 203.0.113.9'
    ]
  ]
  for (const [type, params, output, call] of cases) {
    const { made, calls } = host()
    t.same(await carryOut(give(type, params), made), { id: 'web-1~1', state: 'completed', output }, type)
    t.equal(calls.at(-1) ?? '', call, type)
  }
})

t.test('what is not to be done is not', async t => {
  const ban = (ip: string, jail = 'sshd') => give('ban_ip', { jail, ip })
  const cases: [string, ReturnType<typeof give>, Partial<CommandHost>, RegExp][] = [
    [
      'not allowed',
      ban('203.0.113.9'),
      { allowed: ['health'] },
      /does not allow it: its setting "commands" has no ban_ip/
    ],
    ['unknown', give('rm'), {}, /knows no rm/],
    ['of Object', give('constructor'), {}, /knows no/],
    ['only played', ban('203.0.113.9'), { mayChange: false }, /dry-run/],
    ['no such jail', ban('203.0.113.9', 'nginx'), {}, /no jail nginx/],
    ['an option', ban('203.0.113.9', '--all'), {}, /dash/],
    ['no address', ban('sshd'), {}, /one address/],
    ['its own address', ban('192.0.2.10'), {}, /own address/],
    ['whitelisted', ban('198.51.100.7'), {}, /whitelist/],
    ['loopback', ban('::1'), {}, /loopback/]
  ]
  for (const [name, given, more, why] of cases) {
    const { made, calls } = host(more)
    t.match(await carryOut(given, made), { state: 'failed', output: why }, name)
    t.notOk(
      calls.some(call => call.includes('banip')),
      name
    )
  }
})

t.test('a command whose run was ended is answered and not run again', async t => {
  const files = new JsonFiles({ clock: () => 0, onSetAside: () => undefined })
  const log = new CommandLog(files, join(ownFolder(t), 'commands.json'))
  const told: CommandOutcome[] = []
  const parts = {
    host: { ...host().made, health: async () => t.fail('run again') as never },
    log,
    tell: async (outcomes: readonly CommandOutcome[]) => void told.push(...outcomes),
    report: () => undefined
  }
  await log.begin('web-1~1')
  await runCommands([give('health')], parts)
  await runCommands([], parts)
  t.match(told, [{ id: 'web-1~1', state: 'failed', output: /^interrupted/ }])
  t.equal(told.length, 1)
})

t.test('a client killed while it carries out a command runs it at most once', async t => {
  const path = join(ownFolder(t), 'commands.json')
  // What the command does is a line in a file; then it hangs, and so is killed between its beginning and its end.
  const script = `
    const [run, log, json, path] = process.argv.slice(1)
    const { appendFileSync } = await import('node:fs')
    const { runCommands } = await import(run)
    const { CommandLog } = await import(log)
    const { JsonFiles } = await import(json)
    const health = async () => {
      appendFileSync(path + '.ran', 'ran\\n')
      process.kill(process.pid, 'SIGKILL')
    }
    await runCommands([{ id: 'web-1~1', type: 'health', params: {} }], {
      host: { allowed: ['health'], health },
      log: new CommandLog(new JsonFiles({ clock: Date.now, onSetAside() {} }), path),
      tell: async outcomes => console.log(JSON.stringify(outcomes)),
      report() {}
    })`
  const parts = ['client/commands/run-commands.js', 'client/commands/command-log.js', 'common/json-file.js']
  const run = () =>
    execute([process.execPath, '--input-type=module', '-e', script, ...parts.map(built), path])
  const killed = await run()
  t.equal(killed.code, null, killed.err)
  t.equal(killed.out, '')
  const next = await run()
  t.equal(next.code, 0, next.err)
  t.match(JSON.parse(next.out), [{ id: 'web-1~1', state: 'failed', output: /^interrupted/ }])
  t.equal(await readFile(`${path}.ran`, 'utf8'), 'ran\n')
})

t.test('each runs once, whatever the server says; what could not be told is told later', async t => {
  const files = new JsonFiles({ clock: () => 0, onSetAside: () => undefined })
  const log = new CommandLog(files, join(ownFolder(t), 'commands.json'))
  const { made } = host()
  let ran = 0
  const told: CommandOutcome[] = []
  let down = true
  const parts = {
    host: { ...made, health: async () => `run ${++ran}` },
    log,
    tell: async (outcomes: readonly CommandOutcome[]) => {
      if (down) throw new ProductError('NETWORK', 'gone')
      told.push(...outcomes)
    },
    report: () => undefined
  }
  t.match(await runCommands([give('health')], parts), [/not told/])
  t.match(await runCommands([give('health')], parts), [/not told/])
  t.equal(ran, 1)
  down = false
  t.same(await runCommands([give('health')], parts), [])
  t.same(told, [{ id: 'web-1~1', state: 'completed', output: 'run 1' }])
  await runCommands([], parts)
  t.equal(told.length, 1, 'once')
})
