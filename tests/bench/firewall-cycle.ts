import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BIN, Installation, execute } from '../support/installation.js'
import { available, createNamespace, joinByVeth, type Namespace } from '../support/netns.js'
import { ipsOf } from './addresses.js'
import { median, medianMs, timeNode, type Run } from './median.js'
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
    const cycle = () => timeNode(host.prefix, [BIN, ...at.syncArgs('nftables')])
    await cycle()
    const idle: Run[] = []
    const node: Run[] = []
    for (let run = 0; run < RUNS; run++) {
      idle.push(await cycle())
      node.push(await timeNode(host.prefix, ['-e', '0']))
    }
    const rows: BenchRow[] = [row('cycle, nothing to do', idle, medianOf(node), 'node -e 0')]
    for (const size of [1000, 10_000]) rows.push(await fresh(at, host, size, cycle))
    return rows
  } finally {
    await at.stop()
    await Promise.all([server.destroy(), host.destroy()])
    await rm(dir, { recursive: true, force: true })
  }
}

async function fresh(
  at: Installation,
  host: Namespace,
  size: number,
  cycle: () => Promise<Run>
): Promise<BenchRow> {
  const ips = ipsOf(size)
  const change = async (want: 'block' | 'unblock') => {
    for (let from = 0; from < ips.length; from += 5000) {
      const some = ips.slice(from, from + 5000)
      const { code, err } = await at.cli([
        want,
        ...some,
        ...['--server', 'web-1', '--jail', 'sshd'],
        ...at.folders
      ])
      if (code !== 0) throw new Error(err)
    }
  }
  const table = 'add table inet bench\nadd set inet bench s { type ipv4_addr; flags interval; }'
  const script = `add table inet bench\ndelete table inet bench\n${table}\nadd element inet bench s { ${ips.join(', ')} }\n`
  const taken: Run[] = []
  const bare: number[] = []
  for (let run = 0; run < RUNS; run++) {
    await change('block')
    taken.push(await cycle())
    bare.push(
      await medianMs(1, async () => {
        const { code, err } = await execute([...host.prefix, 'nft', '-f', '-'], script)
        if (code !== 0) throw new Error(err)
      })
    )
    await change('unblock')
    await cycle()
  }
  return row(`cycle, ${size} new addresses on nftables`, taken, median(bare), 'nft -f of the same set')
}

const medianOf = (runs: readonly Run[]) => median(runs.map(run => run.ms))

function row(what: string, runs: readonly Run[], baseMs: number, base: string): BenchRow {
  const ms = medianOf(runs)
  return {
    what,
    value: `${Math.round(ms)} ms`,
    baseline: `${Math.round(baseMs)} ms, ${base}`,
    ratio: ms / baseMs,
    peakMb: Math.max(...runs.map(run => run.peakMb))
  }
}
