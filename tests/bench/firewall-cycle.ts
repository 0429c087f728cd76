import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Installation, execute } from '../support/installation.js'
import { available, createNamespace, joinByVeth, type Namespace } from '../support/netns.js'
import { medianMs } from './median.js'
import type { BenchRow } from './row.js'

const RUNS = 5

/** Whole cold cycles of the client on nftables, beside bare `nft -f` of the same set and `node -e 0`. */
export async function firewallCycle(): Promise<BenchRow[]> {
  const missing = available('nft')
  if (missing !== undefined)
    return [{ what: 'client cycle', value: `skipped: ${missing}`, baseline: '', ratio: null }]
  const dir = await mkdtemp(join(tmpdir(), 'f2b-bench-'))
  const [server, host] = [await createNamespace('server'), await createNamespace('host')]
  const at = new Installation(dir)
  try {
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    await at.serve(server, '--host', '10.77.0.1')
    await at.addHost('web-1')
    await writeFile(at.path('fail2ban.log'), '')
    await at.cli(at.syncArgs('nftables'), { where: host })
    const idle = await medianMs(RUNS, () => at.cli(at.syncArgs('nftables'), { where: host }))
    const node = await medianMs(RUNS, () => execute([...host.prefix, process.execPath, '-e', '0']))
    const rows: BenchRow[] = [row('cycle, nothing to do', idle, node, 'node -e 0')]
    for (const size of [1000, 10_000]) rows.push(await fresh(at, host, size))
    return rows
  } finally {
    await at.stop()
    await Promise.all([server.destroy(), host.destroy()])
    await rm(dir, { recursive: true, force: true })
  }
}

async function fresh(at: Installation, host: Namespace, size: number): Promise<BenchRow> {
  const ips = Array.from({ length: size }, (_, n) => `${11 + (n >> 14)}.${(n >> 7) & 127}.${n & 127}.9`)
  const change = async (want: string) => {
    for (let from = 0; from < ips.length; from += 5000) {
      await at.cli([
        want,
        ...ips.slice(from, from + 5000),
        '--server',
        'web-1',
        '--jail',
        'sshd',
        ...at.folders
      ])
    }
  }
  const taken: number[] = []
  for (let run = 0; run < RUNS; run++) {
    await change('block')
    taken.push(await medianMs(1, () => at.cli(at.syncArgs('nftables'), { where: host })))
    await change('unblock')
    await at.cli(at.syncArgs('nftables'), { where: host })
  }
  const table = 'table inet bench { set s { type ipv4_addr; flags interval; } }'
  const script = `add table inet bench\ndelete table inet bench\n${table}\nadd element inet bench s { ${ips.join(', ')} }\n`
  const bare = await medianMs(RUNS, () => execute([...host.prefix, 'nft', '-f', '-'], script))
  const cycle = taken.sort((a, b) => a - b)[Math.floor(RUNS / 2)] ?? NaN
  return row(`cycle, ${size} new addresses on nftables`, cycle, bare, 'nft -f of the same set')
}

function row(what: string, ms: number, baseMs: number, base: string): BenchRow {
  return {
    what,
    value: `${Math.round(ms)} ms`,
    baseline: `${Math.round(baseMs)} ms, ${base}`,
    ratio: ms / baseMs
  }
}
