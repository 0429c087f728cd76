import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { BanEvent } from '../../common/shapes.js'
import { startFail2ban } from '../support/fail2ban.js'
import { Installation } from '../support/installation.js'
import { available, connects, createNamespace, joinByVeth, listen } from '../support/netns.js'

const skip = available('fail2ban-server', 'fail2ban-client', 'nft') ?? false
const ATTACKER = '10.78.0.66'

t.test(
  'failed logins on a host become a ban of a real fail2ban, an event on the server, and a block',
  { skip, timeout: 120_000 },
  async t => {
    // A short path: fail2ban's socket lies in it, and a socket's path has 107 bytes at most.
    const dir = await mkdtemp(join(tmpdir(), 'f2b-e2e-'))
    t.teardown(() => rm(dir, { recursive: true, force: true }))
    const at = new Installation(join(dir, 'report'))
    const [server, host, attacker] = [
      await createNamespace('server'),
      await createNamespace('host'),
      await createNamespace('attacker')
    ]
    t.teardown(() => Promise.all([server.destroy(), host.destroy(), attacker.destroy()]))
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    await joinByVeth(attacker, [`${ATTACKER}/24`], host, ['10.78.0.1/24'])
    t.teardown(await listen(host, 2222))
    await at.serve(server, '--host', '10.77.0.1')
    t.teardown(() => at.stop())
    await at.addHost('web-1')

    const jails = `[DEFAULT]\nmaxretry = 3\nbantime = 600\nignoreself = false\nbanaction = nftables-multiport\n`
    const fail2ban = await startFail2ban(host, dir, jails)
    t.teardown(() => fail2ban.stop())
    await symlink(fail2ban.log, at.path('fail2ban.log'))

    await fail2ban.failedLogins(ATTACKER)
    await fail2ban.logged(/\[sshd\] Ban 10\.78\.0\.66/)
    const synced = await at.cli(at.syncArgs('nftables'), { where: host })
    t.equal(synced.code, 0, synced.err)
    const day = `fail2ban-events-${(await readFile(fail2ban.log, 'utf8')).slice(0, 10).replaceAll('-', '')}.json`
    const events = JSON.parse(
      await readFile(at.path('archive', 'web-1', 'fail2ban', day), 'utf8')
    ) as BanEvent[]
    t.match(events, [{ action: 'Ban', ip: ATTACKER, jail: 'sshd' }])

    await at.cli(['block', ATTACKER, '--server', 'web-1', '--jail', 'sshd', ...at.folders])
    t.equal((await at.cli(at.syncArgs('nftables'), { where: host })).code, 0)
    await fail2ban.client('set', 'sshd', 'unbanip', ATTACKER)
    t.notOk(await connects(attacker, ATTACKER, '10.78.0.1', 2222), 'our block holds when fail2ban lets go')
    t.match(await host.exec('nft', 'list', 'ruleset'), /f2b-table/, 'beside fail2ban’s own table')
  }
)
