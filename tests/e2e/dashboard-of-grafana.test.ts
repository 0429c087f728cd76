import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { block, HOST, oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'
import { parseMetrics, seriesNames, type Family } from '../support/prometheus.js'

interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { refId: string; expr: string }[]
}
interface Dashboard {
  schemaVersion: number
  panels: Panel[]
  templating: { list: { name: string; type: string; definition?: string }[] }
}

/** Set by Prometheus itself, or by what Grafana asks for. */
const GIVEN_LABELS = ['instance', 'job', 'le']
const NAME = /\b(?:fail2ban_report|process|nodejs)_\w+/g

async function dashboard(): Promise<Dashboard> {
  return JSON.parse(await readFile('server/deploy/grafana/fail2ban-report.json', 'utf8')) as Dashboard
}

/** What a server and a client that run tell. */
async function scrapes(t: Test): Promise<Map<string, Family>> {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  const file = at.path('figures.prom')
  await block(at, 'block', '203.0.113.1')
  const { code, err } = await at.cli([...at.syncArgs('dry-run'), '--metrics-file', file])
  t.equal(code, 0, err)
  const added = await at.cli(['key', 'add', 'prometheus', '--role', 'read', '--json', ...at.folders])
  const { secret } = JSON.parse(added.out) as { secret: string }
  const reply = await fetch(`${at.url}/metrics`, { headers: { authorization: `Bearer ${secret}` } })
  t.equal(reply.status, 200)
  const ofServer = parseMetrics(await reply.text())
  t.ok(ofServer.get('fail2ban_report_host_in_step')?.samples.some(({ labels }) => labels.host === HOST))
  return new Map([...ofServer, ...parseMetrics(await readFile(file, 'utf8'))])
}

/** Labels that a family's samples have. */
function labelsOf(families: ReadonlyMap<string, Family>, series: string): Set<string> {
  const samples = [...families.values()].flatMap(family => family.samples)
  return new Set(samples.filter(({ name }) => name === series).flatMap(({ labels }) => Object.keys(labels)))
}

t.test('a dashboard Grafana can take: every panel once, at a place of its own', async t => {
  const { panels, schemaVersion } = await dashboard()
  t.ok(schemaVersion >= 39)
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'ids')
  const titles = panels.filter(({ type }) => type !== 'row').map(({ title }) => title)
  t.ok(titles.every(title => title !== ''))
  const taken = new Set<string>()
  for (const { title, type, targets = [], gridPos } of panels) {
    const { x, y, w, h } = gridPos
    t.ok(x + w <= 24, title)
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        if (taken.has(`${column} ${line}`)) t.fail(`${title} lies over another`)
        taken.add(`${column} ${line}`)
      }
    }
    t.equal(targets.length > 0, type !== 'row', title)
    t.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title)
  }
})

t.test('every figure and label a panel asks for is there, and every figure of ours has a panel', async t => {
  const { panels, templating } = await dashboard()
  const families = await scrapes(t)
  const known = seriesNames(families)
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  const asked = [...expressions, ...templating.list.flatMap(({ definition = [] }) => definition)]
  const variables = templating.list.map(({ name }) => name)
  const used = new Set<string>()
  for (const query of asked) {
    const names = query.match(NAME) ?? []
    t.ok(names.length > 0, query)
    t.strictSame(
      names.filter(name => !known.has(name)),
      [],
      query
    )
    for (const name of names) used.add(name)
    const labels = new Set([...GIVEN_LABELS, ...names.flatMap(name => [...labelsOf(families, name)])])
    const matched = [...query.matchAll(/[{,](\w+)(?:=~|!~|!=|=)"/g)].map(([, label]) => label ?? '')
    const grouped = [...query.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(/, */)
    )
    t.strictSame(
      [...matched, ...grouped].filter(label => !labels.has(label)),
      [],
      query
    )
    const withoutText = query.replaceAll(/"[^"]*"/g, '""')
    for (const pair of ['()', '{}', '[]']) {
      const count = (one = '') => withoutText.split(one).length
      t.equal(count(pair[0]), count(pair[1]), query)
    }
    const asks = [...query.matchAll(/\$(\w+)/g)].map(([, name]) => name ?? '')
    t.strictSame(
      asks.filter(name => name !== '__rate_interval' && !variables.includes(name)),
      [],
      query
    )
  }
  const whole = (name: string) => [name, `${name}_bucket`, `${name}_count`].some(series => used.has(series))
  const ours = [...families.keys()].filter(name => name.startsWith('fail2ban_report_'))
  // What the sums and the log tell as well.
  const without = ['fail2ban_report_client_last_cycle_blocked', 'fail2ban_report_client_last_cycle_let_in']
  t.strictSame(ours.filter(name => !whole(name)).sort(), without)
})
