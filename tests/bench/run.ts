import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { blocking } from './blocking.js'
import { dashboard } from './dashboard.js'
import { nftablesCycle, ufwCycle } from './firewall-cycle.js'
import { fleet } from './fleet.js'
import { eventsGrowth, fleetGrowth, pageGrowth, statisticsGrowth, updateGrowth } from './growing.js'
import { logParsing } from './log-parsing.js'
import { writeProfiles } from './profiles.js'
import { updateRequests } from './update-requests.js'
import { waking } from './waking.js'
import type { BenchRow } from './row.js'

// `npm run bench`: one table; `npm run bench -- log` runs the rows of one kind.

const KINDS: Record<string, () => Promise<BenchRow[]>> = {
  log: logParsing,
  cycle: nftablesCycle,
  ufw: ufwCycle,
  update: updateRequests,
  blocking,
  fleet,
  waking,
  dashboard,
  'growth-events': eventsGrowth,
  'growth-statistics': statisticsGrowth,
  'growth-page': pageGrowth,
  'growth-update': updateGrowth,
  'growth-fleet': fleetGrowth
}

const wanted = process.argv.slice(2)
if (wanted[0] === 'profiles') {
  await writeProfiles('tests/bench/PROFILES.md')
  process.exit(0)
}
const unknown = wanted.find(name => !(name in KINDS))
if (unknown !== undefined) {
  console.error(`there is no bench ${unknown}; there are ${[...Object.keys(KINDS), 'profiles'].join(', ')}`)
  process.exit(2)
}
const rows: BenchRow[] = []
for (const [name, run] of Object.entries(KINDS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.error(`${name} …`)
  for (const row of await run()) {
    rows.push(row)
    console.error(lineOf(row))
  }
}
const table = [
  '| what | measured | yardstick | ratio | peak MiB |',
  '| --- | --- | --- | --- | --- |',
  ...rows.map(lineOf)
].join('\n')
console.log(table)
if (wanted.length === 0) {
  const head = `# Benchmarks\n\nMedians of at least 5 runs by \`npm run bench\`, Node.js ${process.version}, ${cpus().length} cores. Ratios are against the yardstick in the same run.\n`
  const notes = await readFile('tests/bench/NOTES.md', 'utf8')
  await writeFile('tests/bench/RESULTS.md', `${head}\n${table}\n\n${notes}`)
}

function lineOf({ what, value, baseline, ratio, peakMb }: BenchRow): string {
  return `| ${what} | ${value} | ${baseline} | ${ratio === null ? '' : ratio < 0.01 ? ratio.toPrecision(1) : ratio.toFixed(2)} | ${peakMb === undefined ? '' : Math.round(peakMb)} |`
}
