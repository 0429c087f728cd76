import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { ufwHost } from '../client/firewall/ufw-host.js'
import { apiByCurl } from '../support/api-by-curl.js'
import { Installation } from '../support/installation.js'
import { available, connects, createNamespace, joinByVeth, listen } from '../support/netns.js'
import { ownFolder } from '../support/own-folder.js'

const PORT = 2222
const HOST = 'web-1'
/** Addresses of the attackers' namespace: two single ones and one inside a network, IPv4 and IPv6; one stays free. */
const BAD = ['10.78.0.66', '10.78.5.9', 'fd78::66', 'fd78:0:0:1::9']
const BLOCKED = ['10.78.0.66', '10.78.5.0/24', 'fd78::66', 'fd78:0:0:1::/64']
const FREE = ['10.78.0.7', 'fd78::7']

for (const backend of ['nftables', 'ufw', 'ipset'] as const) {
  const tools = { nftables: ['nft'], ufw: ['ufw', 'iptables'], ipset: ['ipset', 'iptables'] }[backend]
  const skip = available(...tools, 'curl') ?? false
  t.test(
    `a block made by the API drops packets on a host with ${backend}, and is lifted again`,
    { skip },
    async t => {
      const at = new Installation(ownFolder(t, { ufw: {} }))
      const server = await createNamespace('server')
      t.teardown(() => server.destroy())
      const ufw = backend === 'ufw' ? await ufwHost(at.path('ufw')) : undefined
      const host = ufw?.host ?? (await createNamespace('host'))
      t.teardown(() => host.destroy())
      const attacker = await createNamespace('attacker')
      t.teardown(() => attacker.destroy())
      await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
      const cidr = (ip: string) => (ip.includes(':') ? `${ip}/48` : `${ip}/16`)
      await joinByVeth(attacker, [...BAD, ...FREE].map(cidr), host, ['10.78.0.1/16', 'fd78::1/48'])
      await ufw?.ufw('--force', 'enable')
      await ufw?.ufw('allow', `${PORT}/tcp`)
      const close = await listen(host, PORT)
      t.teardown(close)
      await at.serve(server, '--host', '10.77.0.1')
      t.teardown(() => at.stop())
      await at.addHost(HOST)
      await at.cli(['user', 'add', 'alice', '--role', 'admin', ...at.folders], {
        input: 'correct horse battery\n'
      })
      await writeFile(at.path('fail2ban.log'), '')
      const sync = async () => {
        const ended = await at.cli(at.syncArgs(backend), { where: host })
        t.equal(ended.code, 0, ended.err)
      }
      const reaches = (from: string) =>
        connects(attacker, from, from.includes(':') ? 'fd78::1' : '10.78.0.1', PORT)

      for (const from of [...BAD, ...FREE]) t.ok(await reaches(from), `${from} reaches the host at first`)
      const api = await apiByCurl(at, server, { username: 'alice', password: 'correct horse battery' })
      await api('block', { servers: [HOST], jails: ['sshd'], ips: BLOCKED, reason: 'test' })
      t.match(
        await at.list(HOST, 'sshd'),
        BLOCKED.map(ip => ({ ip, active: true, pending: true }))
      )
      t.strictSame(await at.index(), { [HOST]: { 'sshd.blocklist.json': true } })
      await sync()
      t.match(
        await at.list(HOST, 'sshd'),
        BLOCKED.map(ip => ({ ip, active: true, pending: false }))
      )
      t.strictSame(await at.index(), {})
      for (const from of BAD) t.notOk(await reaches(from), `${from} is dropped`)
      for (const from of FREE) t.ok(await reaches(from), `${from} still reaches the host`)

      await api('unblock', { servers: [HOST], jails: ['sshd'], ips: BLOCKED })
      t.match(
        await at.list(HOST, 'sshd'),
        BLOCKED.map(ip => ({ ip, active: false, pending: true }))
      )
      await sync()
      t.strictSame(await at.list(HOST, 'sshd'), [])
      for (const from of [...BAD, ...FREE]) t.ok(await reaches(from), `${from} reaches the host again`)
    }
  )
}
