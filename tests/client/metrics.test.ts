import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { readClientConfig } from '../../client/config/config.js'
import { syncOnce } from '../../client/sync.js'
import { block, oneHost } from '../support/one-host.js'
import { BIN, execute, type Installation } from '../support/installation.js'
import { ownFolder } from '../support/own-folder.js'
import { parseMetrics, valueOf, type Family } from '../support/prometheus.js'

const NAME = 'fail2ban_report_client_'

function figures(found: ReadonlyMap<string, Family>) {
  return (name: string, labels: Record<string, string> = {}) => valueOf(found, NAME + name, labels)
}

async function sync(at: Installation, metricsFile: string, firewall = 'dry-run') {
  const told: { level: string; event: string; message?: unknown }[] = []
  const config = readClientConfig({
    file: at.path('client.conf'),
    flags: { state: at.path('state'), log: at.path('fail2ban.log'), firewall, metricsFile },
    env: {}
  })
  const report = (level: string, fields: { event: string }) => void told.push({ level, ...fields })
  return { run: syncOnce(config, { report }), told }
}

t.test('figures of each cycle, and sums over all of them', async t => {
  const at = await oneHost(ownFolder(t, { collector: {} }))
  t.teardown(() => at.stop())
  const path = at.path('collector', 'fail2ban-report.prom')
  const read = async () => figures(parseMetrics(await readFile(path, 'utf8')))
  await block(at, 'block', '203.0.113.1', '203.0.113.2', '2001:db8::/32')
  const before = Date.now() / 1000
  await (
    await sync(at, path)
  ).run
  let of = await read()
  t.equal((await stat(path)).mode & 0o777, 0o644, 'node_exporter is another user')
  t.same(await readdir(at.path('collector')), ['fail2ban-report.prom'], 'and nothing else is there')
  t.same([of('addresses_in_force', { family: 'ipv4' }), of('addresses_in_force', { family: 'ipv6' })], [2, 1])
  t.same(
    [of('last_cycle_blocked'), of('last_cycle_let_in'), of('blocked_total'), of('let_in_total')],
    [3, 0, 3, 0]
  )
  t.same([of('cycles_total'), of('failed_cycles_total'), of('last_cycle_failures')], [1, 0, 0])
  t.same([of('events_total'), of('addresses_not_in_force'), of('addresses_skipped')], [1, 0, 0])
  t.equal(of('whitelist_in_step'), 1)
  const seconds = of('cycle_duration_seconds') ?? 0
  t.ok(seconds > 0.001 && seconds < 120, String(seconds))
  for (const name of ['last_cycle_timestamp_seconds', 'last_success_timestamp_seconds']) {
    const time = of(name) ?? 0
    t.ok(time >= before && time <= Date.now() / 1000, name)
  }

  const firewall = at.path('state', 'dry-run-firewall.json')
  await writeFile(firewall, '["203.0.113.2", "2001:db8::/32", "192.0.2.66"]')
  await block(at, 'unblock', '203.0.113.2')
  await (
    await sync(at, path)
  ).run
  of = await read()
  t.same(
    [of('last_cycle_blocked'), of('last_cycle_let_in'), of('blocked_total'), of('let_in_total')],
    [1, 2, 4, 2]
  )
  t.equal(of('drift_repaired_total', { kind: 'put_back' }), 1)
  t.equal(of('drift_repaired_total', { kind: 'stray' }), 1)
  t.same([of('cycles_total'), of('events_total')], [2, 1])
  const success = of('last_success_timestamp_seconds') ?? 0

  await at.stop()
  const { failures } = await (await sync(at, path)).run
  of = await read()
  t.ok(failures.length > 0)
  t.same([of('cycles_total'), of('failed_cycles_total'), of('last_cycle_failures')], [3, 1, failures.length])
  t.equal(of('last_success_timestamp_seconds'), success, 'that of the last success')
  t.ok((of('last_cycle_timestamp_seconds') ?? 0) > success)
  t.equal(of('addresses_in_force', { family: 'ipv6' }), 1, 'the firewall was read all the same')
  t.equal(of('whitelist_in_step'), undefined, 'nobody said what it is')

  await rm(firewall)
  await mkdir(firewall)
  await t.rejects((await sync(at, path)).run, { message: /dry-run-firewall/ })
  of = await read()
  t.same([of('cycles_total'), of('failed_cycles_total'), of('last_cycle_failures')], [4, 2, 1], 'broken off')
  t.equal(of('addresses_in_force', { family: 'ipv4' }), undefined, 'what is in force is not known')
  t.equal(of('drift_repaired_total', { kind: 'put_back' }), 1)
})

t.test('figures that can not be written are a warning: the cycle is done', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  await block(at, 'block', '203.0.113.1')
  const path = at.path('no', 'such', 'folder', 'x.prom')
  const { run, told } = await sync(at, path)
  t.match(await run, { added: 1, failures: [] })
  const warnings = told.filter(({ level }) => level !== 'info')
  t.match(warnings, [
    { level: 'warn', event: 'metrics_not_written', message: /metrics_file: .*x\.prom.*ENOENT/ }
  ])
  t.equal(warnings.length, 1)
  await mkdir(path, { recursive: true })
  t.match(await (await sync(at, path)).run, { failures: [] }, 'nor a folder in its place')

  // Sums that are lost begin anew, as Prometheus expects of a counter.
  await writeFile(at.path('state', 'metrics.json'), '{"cycles": -1}')
  const good = at.path('good.prom')
  t.match(await (await sync(at, good)).run, { failures: [] })
  t.equal(figures(parseMetrics(await readFile(good, 'utf8')))('cycles_total'), 1)
})

t.test('prom-client is loaded where a metrics file is asked for, and only there', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  const [hook, list] = [at.path('hook.cjs'), at.path('loaded')]
  // Packages in CommonJS stand in this cache, whoever asked for them.
  const tell = `require('node:fs').writeFileSync(${JSON.stringify(list)}, Object.keys(require.cache).join('\\n'))`
  await writeFile(hook, `process.on('exit', () => ${tell})`)
  const cycle = async (...more: string[]) => {
    const ended = await execute([
      process.execPath,
      '--require',
      hook,
      BIN,
      ...at.syncArgs('dry-run'),
      ...more
    ])
    t.equal(ended.code, 0, ended.err)
    return readFile(list, 'utf8')
  }
  t.notMatch(await cycle(), /node_modules\/prom-client\//)
  const path = at.path('figures.prom')
  t.match(await cycle('--metrics-file', path), /node_modules\/prom-client\//)
  t.equal(figures(parseMetrics(await readFile(path, 'utf8')))('cycles_total'), 1)
})
