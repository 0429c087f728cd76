import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startFail2ban } from '../support/fail2ban.js'
import { execute, Installation } from '../support/installation.js'
import { available, createNamespace } from '../support/netns.js'

const skip = available('fail2ban-server', 'fail2ban-client', 'nft', 'curl') ?? false

interface Told {
  command: { id: string; state: string; output: string | null }
}

t.test('commands given by a key reach a host and its real fail2ban', { skip, timeout: 180_000 }, async t => {
  const dir = await mkdtemp(join(tmpdir(), 'f2b-cmd-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const host = await createNamespace('host')
  t.teardown(() => host.destroy())
  const at = new Installation(join(dir, 'report'))
  await at.serve(host)
  t.teardown(() => at.stop())
  const credentials = await at.addHost('web-1')
  const fail2ban = await startFail2ban(
    host,
    dir,
    '[DEFAULT]\nbantime = 600\nbanaction = nftables-multiport\n'
  )
  t.teardown(() => fail2ban.stop())
  await symlink(fail2ban.log, at.path('fail2ban.log'))
  const made = await at.cli(['key', 'add', 'ci', '--role', 'write', '--json', ...at.folders])
  const { secret } = JSON.parse(made.out) as { secret: string }

  const curl = async (path: string, ...more: string[]) => {
    // The header comes by standard input: argv is for everybody to read.
    const words = [...host.prefix, 'curl', '-s', '-H', '@-', ...more, `${at.url}${path}`]
    return JSON.parse((await execute(words, `Authorization: Bearer ${secret}\n`)).out) as Told
  }
  const give = async (command_type: string, params: object = {}) => {
    const body = JSON.stringify({ server_id: 'web-1', command_type, params })
    return (await curl('/api/v1/commands', '-H', 'Content-Type: application/json', '-d', body)).command
  }
  const sync = (firewall = 'nftables') =>
    at.cli([...at.syncArgs(firewall), '--fail2ban-config', fail2ban.config], { where: host })
  const shown = async (id: string) => (await curl(`/api/v1/commands/${id}`)).command

  const ids = []
  for (const [type, params] of [
    ['ban_ip', { jail: 'sshd', ip: '203.0.113.9' }],
    ['list_jails', {}],
    ['jail_status', { jail: 'sshd' }],
    ['health', {}],
    ['blocklist_sync', {}],
    ['whitelist_sync', {}],
    ['jail_status', { jail: 'nginx' }]
  ] as const)
    ids.push((await give(type, params)).id)

  // An existing client's poll: no field of ours in it, and none in its reply.
  const form = new URLSearchParams(credentials).toString()
  const old = await execute([...host.prefix, 'curl', '-s', '-d', form, `${at.url}/endpoint/update.php`])
  t.same(JSON.parse(old.out), { success: true, updates: [] }, 'old clients see nothing of it')

  t.equal((await sync()).code, 0)
  const states = await Promise.all(ids.map(shown))
  t.same(
    states.map(one => one.state),
    ['completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'failed'],
    JSON.stringify(states)
  )
  await fail2ban.logged(/\[sshd\] Ban 203\.0\.113\.9/)
  t.match(await fail2ban.client('banned'), '203.0.113.9')
  t.equal(states[1]?.output, 'sshd')
  t.match(states[2]?.output, /Banned IP list/)
  t.match(JSON.parse(states[3]?.output ?? ''), {
    fail2ban: { running: true, jails: ['sshd'] },
    firewall: { name: 'nftables' }
  })
  t.match(states[6]?.output, /no jail nginx/)

  await fail2ban.client('set', 'sshd', 'unbanip', '203.0.113.9')
  t.equal((await sync()).code, 0)
  t.notMatch(await fail2ban.client('banned'), '203.0.113.9', 'nothing is run twice')

  const shownByCli = await at.cli(['command', 'show', ids[2] ?? '', ...at.folders])
  t.match(shownByCli.out, /jail_status sshd on web-1: completed[\s\S]*Banned IP list/)
  const reload = await at.cli([
    'command',
    'add',
    'fail2ban_reload',
    '--server',
    'web-1',
    '--json',
    ...at.folders
  ])
  t.equal((await sync()).code, 0)
  const { id } = JSON.parse(reload.out) as { id: string }
  t.match(
    await shown(id),
    { state: 'failed', output: /does not allow it: .* has no fail2ban_reload/ },
    "the host's own list counts"
  )
  const listed = await at.cli(['command', 'list', '--server', 'web-1', ...at.folders])
  t.match(listed.out, /fail2ban_reload/)
})
