import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ufwHost } from '../client/firewall/ufw-host.js'
import { apiByCurl } from '../support/api-by-curl.js'
import { PASSWORDS, USERS } from '../support/app.js'
import { BIN, execute, type Installation } from '../support/installation.js'
import { available, createNamespace, joinByVeth, type Namespace } from '../support/netns.js'
import { entriesOf, ipsOf, writeList } from './addresses.js'
import { growth } from './growth.js'
import { median, timeNode, type Run } from './median.js'
import type { BenchRow } from './row.js'
import { withInstallation } from './with-installation.js'

const RUNS = 5
const SIZES = [1000, 10_000, 100_000]
/** Blocks that come to a list. */
const FEW = 100
/** Rules that are made one by one for comparison. */
const ONE_BY_ONE = 200
const UFW_SIZE = 10_000
/** Of which growth is told. */
const UFW_SMALLER = [100, 1000]
/** What somebody writes by hand whose blocklist may hold networks. */
const YARDSTICK = 'nft -f of the same addresses into a set with intervals'

type Taken = [size: number, ms: number][]

/** Whole cold cycles of the client on nftables, beside bare `nft -f` of the same set and `node -e 0`. */
export async function nftablesCycle(): Promise<BenchRow[]> {
  const missing = available('nft', 'curl')
  if (missing !== undefined) return [skipped('client cycle on nftables', missing)]
  const host = await createNamespace('host')
  // Apart: nft 1.0.6 reads other tables' sets too, and neither is to pay for the other's.
  const alone = await createNamespace('alone')
  return withHost(host, 'nftables', async (at, cycle, block) => {
    await cycle()
    const idle: Run[] = []
    const node: Run[] = []
    for (let run = 0; run < RUNS; run++) {
      idle.push(await cycle())
      node.push(await timeNode(host.prefix, ['-e', '0']))
    }
    const rows = [row('cycle, nothing to do', idle, medianOf(node), 'node -e 0')]
    const taken: Taken = []
    const changed: Taken = []
    for (const size of SIZES) {
      const { fresh, few, bare } = await onNftables(at, alone, size, cycle, block)
      taken.push([size, medianOf(fresh)])
      changed.push([size, medianOf(few)])
      rows.push(row(`cycle, ${size} new addresses on nftables`, fresh, bare, YARDSTICK))
      if (size === SIZES.at(-1)) {
        const what = `cycle, ${FEW} blocks by the API in a list of ${size} on nftables`
        rows.push(row(what, few, medianOf(fresh), 'cycle of the whole list'))
      }
    }
    return [
      ...rows,
      growth('cycle with new addresses on nftables', taken),
      growth(`cycle with ${FEW} blocks by the API in a list on nftables`, changed)
    ]
  }).finally(() => alone.destroy())
}

/** A whole cold cycle on ufw, beside `ufw reload` with the same rules and `ufw deny` one by one. */
export async function ufwCycle(): Promise<BenchRow[]> {
  const missing = available('ufw', 'curl')
  if (missing !== undefined) return [skipped('client cycle on ufw', missing)]
  const folder = await mkdtemp(join(tmpdir(), 'f2b-bench-ufw-'))
  const { host, ufw } = await ufwHost(folder)
  try {
    return await withHost(host, 'ufw', async (at, cycle) => {
      await ufw('--force', 'enable')
      const onUfw = async (size: number) => {
        const ips = ipsOf(size)
        const fresh: Run[] = []
        const reload: number[] = []
        for (let run = 0; run < RUNS; run++) {
          await writeList(at, entriesOf(ips, { active: true, pending: true }))
          fresh.push(await cycle())
          reload.push(await timed(() => ufw('reload')))
          await writeList(at, entriesOf(ips, { active: false, pending: true }))
          await cycle()
        }
        return { fresh, reload }
      }
      const taken: Taken = []
      for (const size of UFW_SMALLER) taken.push([size, medianOf((await onUfw(size)).fresh)])
      const { fresh, reload } = await onUfw(UFW_SIZE)
      taken.push([UFW_SIZE, medianOf(fresh)])
      const each = await timed(async () => {
        for (const ip of ipsOf(ONE_BY_ONE)) await ufw('deny', 'from', ip)
      })
      const what = `cycle, ${UFW_SIZE} new addresses on ufw`
      const all = (each / ONE_BY_ONE) * UFW_SIZE
      return [
        row(what, fresh, median(reload), 'ufw reload with the same rules'),
        row(what, fresh, all, `ufw deny one by one, of ${ONE_BY_ONE} extrapolated`),
        growth('cycle with new addresses on ufw', taken)
      ]
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Sets up a server with the host web-1, whose cycles are then timed; all of it is gone at the end. */
async function withHost(
  host: Namespace,
  firewall: string,
  measure: (
    at: Installation,
    cycle: () => Promise<Run>,
    block: (ips: string[]) => Promise<void>
  ) => Promise<BenchRow[]>
): Promise<BenchRow[]> {
  const server = await createNamespace('server')
  return withInstallation(async at => {
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    await mkdir(at.path('settings'), { recursive: true })
    await writeFile(at.path('settings', 'users.json'), JSON.stringify(USERS))
    await at.serve(server, '--host', '10.77.0.1')
    await at.addHost('web-1')
    await writeFile(at.path('fail2ban.log'), '')
    const api = await apiByCurl(at, server, { username: 'alice', password: PASSWORDS.alice })
    const block = (ips: string[]) => api('block', { servers: ['web-1'], jails: ['sshd'], ips })
    return await measure(at, () => timeNode(host.prefix, [BIN, ...at.syncArgs(firewall)]), block)
  }).finally(() => Promise.all([server.destroy(), host.destroy()]))
}

async function onNftables(
  at: Installation,
  alone: Namespace,
  size: number,
  cycle: () => Promise<Run>,
  block: (ips: string[]) => Promise<void>
): Promise<{ fresh: Run[]; few: Run[]; bare: number }> {
  const ips = ipsOf(size)
  const others = ipsOf(size + FEW).slice(size)
  const table = 'add table inet bench\nadd set inet bench s { type ipv4_addr; flags interval; }'
  const script = `add table inet bench\ndelete table inet bench\n${table}\nadd element inet bench s { ${ips.join(', ')} }\n`
  const fresh: Run[] = []
  const few: Run[] = []
  const bare: number[] = []
  for (let run = 0; run < RUNS; run++) {
    await writeList(at, entriesOf(ips, { active: true, pending: true }))
    fresh.push(await cycle())
    await block(others)
    few.push(await cycle())
    bare.push(
      await timed(async () => {
        const { code, err } = await execute([...alone.prefix, 'nft', '-f', '-'], script)
        if (code !== 0) throw new Error(err)
      })
    )
    await writeList(at, entriesOf([...ips, ...others], { active: false, pending: true }))
    await cycle()
  }
  return { fresh, few, bare: median(bare) }
}

const medianOf = (runs: readonly Run[]) => median(runs.map(run => run.ms))

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

function skipped(what: string, why: string): BenchRow {
  return { what, value: `skipped: ${why}`, baseline: '', ratio: null }
}

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
