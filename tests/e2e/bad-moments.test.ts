import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { HOST, block, firewall, local, oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'

t.test('two cycles at once exclude each other and end well', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  await block(at, 'block', '203.0.113.1')
  const ended = await Promise.all([1, 2, 3].map(() => at.cli(at.syncArgs('dry-run'))))
  for (const { code, err } of ended) t.ok(code === 0 || code === 75, err)
  t.ok(ended.some(({ code }) => code === 0))
  t.match(await at.list(HOST, 'sshd'), [{ ip: '203.0.113.1', pending: false }])
  t.strictSame(await firewall(at), ['203.0.113.1'])
})

t.test('a download that is cut half-way changes nothing, and the next cycle gets the list whole', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  // More than the sockets on the way hold: what they hold counts as delivered.
  const ips = Array.from({ length: 10_000 }, (_, n) => `203.0.${n >> 8}.${n & 255}`)
  await block(at, 'block', ...ips)
  let cuts = 0
  const target = Number(new URL(at.url).port)
  const proxy = createServer(client => {
    const server = connect(target, '127.0.0.1')
    let asked = ''
    let passed = 0
    client.on('data', chunk => {
      asked = chunk.toString('latin1').includes('download.php') ? 'download' : asked
      server.write(chunk)
    })
    server.on('data', chunk => {
      passed += chunk.length
      if (asked === 'download' && passed > 20_000) {
        cuts++
        client.destroy()
        server.destroy()
      } else client.write(chunk)
    })
    for (const [one, other] of [
      [client, server],
      [server, client]
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => void proxy.close())
  const conf = await readFile(at.path('client.conf'), 'utf8')
  const through = `server = http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  await writeFile(at.path('client.conf'), conf.replace(/^server = .*$/m, through))
  const cut = await at.cli(at.syncArgs('dry-run'))
  t.equal(cut.code, 1)
  t.match(cut.err, /downloading sshd\.blocklist\.json/)
  t.ok(cuts > 0)
  await t.rejects(local(at), { code: 'ENOENT' })
  await writeFile(at.path('client.conf'), conf)
  t.equal((await at.cli(at.syncArgs('dry-run'))).code, 0)
  t.equal((await firewall(at)).length, ips.length)
})

t.test('a host that lost its state, or whose copy is corrupt, gets its lists again', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  await block(at, 'block', '203.0.113.1')
  await at.cli(at.syncArgs('dry-run'))
  await writeFile(at.path('state', 'blocklists', 'sshd.blocklist.json'), '[{"ip":')
  await writeFile(at.path('state', 'dry-run-firewall.json'), '[]')
  const healed = await at.cli(at.syncArgs('dry-run'))
  t.equal(healed.code, 0, healed.err)
  t.match(healed.err, /set aside/)
  t.strictSame(await firewall(at), ['203.0.113.1'])
  t.ok((await readdir(at.path('state', 'blocklists'))).some(name => name.includes('.corrupt-')))
})

t.test('a list that is gone while the server is away lets nobody in', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  await block(at, 'block', '203.0.113.1', '203.0.113.2')
  await at.cli(at.syncArgs('dry-run'))
  const conf = await readFile(at.path('client.conf'), 'utf8')
  const away = conf.replace(/^server = .*$/m, 'server = http://127.0.0.1:1')
  await writeFile(at.path('client.conf'), away)
  for (const lost of ['corrupt', 'missing', 'the whole state']) {
    if (lost === 'corrupt') await writeFile(at.path('state', 'blocklists', 'sshd.blocklist.json'), '{bad')
    if (lost === 'missing') await rm(at.path('state', 'blocklists'), { recursive: true })
    if (lost === 'the whole state') await rm(at.path('state', 'held-lists.json'))
    const ended = await at.cli(at.syncArgs('dry-run'))
    t.equal(ended.code, 1, lost)
    t.strictSame(await firewall(at), ['203.0.113.1', '203.0.113.2'], lost)
    if (lost !== 'the whole state') t.match(ended.err, /copy of sshd\.blocklist\.json is gone/)
  }
  await writeFile(at.path('client.conf'), conf)
  await block(at, 'unblock', '203.0.113.2')
  const healed = await at.cli(at.syncArgs('dry-run'))
  t.equal(healed.code, 0, healed.err)
  t.strictSame(await firewall(at), ['203.0.113.1'])
})

t.test('nobody locks themselves out: server and client refuse', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  for (const ip of ['127.0.0.1', '127.0.0.0/8', '::1', '0.0.0.0/0', '::/0', '128.0.0.0/1']) {
    const refused = await block(at, 'block', ip)
    t.equal(refused.code, 1, `${ip} ${refused.out}`)
  }
  const forced = JSON.stringify([
    { ip: '127.0.0.1', jail: 'sshd', active: true, pending: true },
    { ip: '203.0.113.5' }
  ])
  await block(at, 'block', '203.0.113.5')
  await writeFile(at.path('archive', HOST, 'blocklists', 'sshd.blocklist.json'), forced)
  const synced = await at.cli(at.syncArgs('dry-run'))
  t.match(synced.err, /loopback/)
  t.strictSame(await firewall(at), ['203.0.113.5'])
  t.match(await at.list(HOST, 'sshd'), [{ ip: '127.0.0.1', pending: true }, { ip: '203.0.113.5' }])
})

t.test('the server being away is told, and the firewall is kept in line all the same', async t => {
  const at = await oneHost(ownFolder(t))
  await block(at, 'block', '203.0.113.1')
  await at.cli(at.syncArgs('dry-run'))
  await at.stop()
  await writeFile(at.path('state', 'dry-run-firewall.json'), '["192.0.2.99"]')
  const ended = await at.cli([...at.syncArgs('dry-run'), '--timeout', '1'])
  t.equal(ended.code, 1)
  t.match(ended.err, /could not be reached/)
  t.strictSame(await firewall(at), ['203.0.113.1'])
})
