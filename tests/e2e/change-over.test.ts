import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { Installation, execute } from '../support/installation.js'
import { available, createNamespace, joinByVeth } from '../support/netns.js'
import { HOST, block } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'

const skip = available('nft', 'ipset', 'iptables') ?? false

t.test('a host that changes its firewall leaves no block behind in the former one', { skip }, async t => {
  const at = new Installation(ownFolder(t))
  const [server, host] = [await createNamespace('server'), await createNamespace('host')]
  t.teardown(async () => {
    await at.stop()
    await Promise.all([server.destroy(), host.destroy()])
  })
  await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
  await at.serve(server, '--host', '10.77.0.1')
  await at.addHost(HOST)
  await writeFile(at.path('fail2ban.log'), '')
  const inHost = async (...words: string[]) => (await execute([...host.prefix, ...words])).out
  const sync = (...args: string[]) => at.cli(args, { where: host })

  await block(at, 'block', '203.0.113.1', '203.0.113.2')
  t.equal((await sync(...at.syncArgs('nftables'))).code, 0)
  t.match(await inHost('nft', 'list', 'ruleset'), /table inet fail2ban_report/)

  const changed = await sync(...at.syncArgs('ipset'))
  t.equal(changed.code, 0, changed.err)
  t.match(changed.err, /firewall changed over from=nftables to=ipset/)
  t.notMatch(await inHost('nft', 'list', 'ruleset'), /fail2ban_report/)
  t.match(await inHost('ipset', 'save'), /203\.0\.113\.1/)

  await block(at, 'unblock', '203.0.113.1')
  const again = await sync(...at.syncArgs('ipset'))
  t.notMatch(again.err, /changed over/, 'told once')
  t.match(await at.list(HOST, 'sshd'), [{ ip: '203.0.113.2', active: true, pending: false }])
  t.notMatch(await inHost('ipset', 'save'), /203\.0\.113\.1/)

  await sync(...at.syncArgs('dry-run'))
  t.match(await inHost('ipset', 'save'), /203\.0\.113\.2/, 'a dry run changes nothing')
})
