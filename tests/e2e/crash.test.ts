import { readFile, readdir, writeFile } from 'node:fs/promises'
import t from 'tap'
import { built, execute, type Installation } from '../support/installation.js'
import { HOST, block, firewall, local, oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'

const STEPS = ['events', 'asked', 'downloaded', 'applied', 'settled', 'synced-back']

/** A cycle that kills itself, without any chance to tidy up, right after a step. */
const killedAfter = (at: Installation, step: string) => {
  const script = `
    const { syncOnce } = await import(process.argv[1])
    const { readClientConfig } = await import(process.argv[2])
    const [file, state, log, step] = process.argv.slice(3)
    const config = readClientConfig({ file, flags: { state, log, firewall: 'dry-run' }, env: {} })
    const onStep = name => name === step && process.kill(process.pid, 'SIGKILL')
    await syncOnce(config, { report: () => undefined, onStep })`
  return execute([
    ...[process.execPath, '--input-type=module', '-e', script],
    ...[built('client/sync.js'), built('client/config/config.js')],
    ...[at.path('client.conf'), at.path('state'), at.path('fail2ban.log'), step]
  ])
}

t.test('a client killed after any step converges with one more cycle', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  let round = 0
  for (const step of STEPS) {
    round++
    const [fresh, gone] = [`203.0.113.${round}`, `198.51.100.${round}`]
    await block(at, 'block', gone)
    t.equal((await at.cli(at.syncArgs('dry-run'))).code, 0)
    await block(at, 'block', fresh)
    await block(at, 'unblock', gone)
    const killed = await killedAfter(at, step)
    t.equal(killed.code, null, `killed after ${step} ${killed.err}`)
    const healed = await at.cli(at.syncArgs('dry-run'))
    t.equal(healed.code, 0, healed.err)
    const list = await at.list(HOST, 'sshd')
    t.match(
      list.find(entry => entry.ip === fresh),
      { active: true, pending: false },
      `${step}: the block is in force`
    )
    t.notOk(
      list.some(entry => entry.ip === gone),
      `${step}: the unblock is done`
    )
    t.strictSame((await firewall(at)).sort(), list.map(entry => entry.ip).sort(), `${step}: firewall = list`)
    t.equal(
      await local(at),
      await readFile(at.path('archive', HOST, 'blocklists', 'sshd.blocklist.json'), 'utf8')
    )
    t.strictSame(await at.index(), {})
  }
  const day = await readFile(at.path('archive', HOST, 'fail2ban', 'fail2ban-events-20260301.json'), 'utf8')
  t.equal((JSON.parse(day) as unknown[]).length, 1, 'no event was lost or doubled')
  for (const folder of ['temp', 'download']) {
    const left = await readdir(at.path(folder), { recursive: true, withFileTypes: true })
    t.strictSame(
      left.filter(item => item.isFile() && item.name !== '.htaccess'),
      [],
      `${folder} is empty`
    )
  }
})

t.test('a server killed right after it took a block still has it', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  await block(at, 'block', '203.0.113.1')
  await at.stop('SIGKILL')
  await at.serve()
  const conf = await readFile(at.path('client.conf'), 'utf8')
  await writeFile(at.path('client.conf'), conf.replace(/^server = .*$/m, `server = ${at.url}`))
  t.equal((await at.cli(at.syncArgs('dry-run'))).code, 0)
  t.match(await at.list(HOST, 'sshd'), [{ ip: '203.0.113.1', active: true, pending: false }])
  t.equal(await at.stop(), 0, 'SIGTERM ends it with 0')
})
