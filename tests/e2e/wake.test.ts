import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { watchNftables } from '../support/in-force.js'
import { Installation } from '../support/installation.js'
import { logged } from '../support/logged.js'
import { available, connects, createNamespace, joinByVeth, listen } from '../support/netns.js'
import { addAdmin, blockByApi, watchOn } from '../support/watching-host.js'

const skip = available('nft', 'curl') ?? false
const [ATTACKER, SECOND, THIRD] = ['10.78.0.66', '10.78.0.67', '10.78.0.68'] as const

t.test(
  'a block made by the API, by another server process or by the command line is in force at once',
  { skip, timeout: 120_000 },
  async t => {
    const at = new Installation(t.testdir())
    const other = new Installation(at.dir)
    const [server, host, attacker] = [
      await createNamespace('server'),
      await createNamespace('host'),
      await createNamespace('attacker')
    ]
    t.teardown(() => Promise.all([server.destroy(), host.destroy(), attacker.destroy()]))
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    const all = [ATTACKER, SECOND, THIRD].map(ip => `${ip}/24`)
    await joinByVeth(attacker, all, host, ['10.78.0.1/24'])
    t.teardown(await listen(host, 2222))
    for (const one of [at, other]) {
      await one.serve(server, '--host', '10.77.0.1')
      t.teardown(() => one.stop())
    }
    await at.addHost('web-1')
    await addAdmin(at)
    await writeFile(at.path('fail2ban.log'), '')
    await writeFile(at.path('client.log'), '')

    const client = watchOn(at, host)
    t.teardown(() => void client.kill('SIGKILL'))
    await logged(at.dir, at.path('client.log'), /"event":"wake_channel","state":"open"/)
    await logged(at.dir, at.path('client.log'), /"step":"synced-back"/)
    const nftables = await watchNftables(host.prefix)
    t.teardown(() => nftables.end())
    for (const [what, ip, block] of [
      ['the API', ATTACKER, await blockByApi(at, server)],
      ['another process on the archive', SECOND, await blockByApi(other, server)],
      [
        'the command line',
        THIRD,
        (ip: string) => at.cli(['block', ip, '--server', 'web-1', '--jail', 'sshd', ...at.folders])
      ]
    ] as const) {
      t.ok(await connects(attacker, ip, '10.78.0.1', 2222))
      await block(ip)
      const replied = performance.now()
      const ms = (await nftables.added(ip)) - replied
      t.comment(`${what}: ${Math.round(ms)} ms after the reply`)
      // Speed is measured in tests/bench/waking.ts; unwoken, the host would come in an hour.
      t.ok(ms < 10_000)
      t.notOk(await connects(attacker, ip, '10.78.0.1', 2222), 'its packets are dropped')
    }
    const begun = performance.now()
    const ended = once(client, 'exit')
    client.kill('SIGTERM')
    t.strictSame(await ended, [0, null])
    t.ok(performance.now() - begun < 2000, 'told to stop, it stops')
  }
)
