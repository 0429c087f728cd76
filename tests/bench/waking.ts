import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { available } from '../support/netns.js'
import { WatchingHost } from '../support/watching-host.js'
import { median } from './median.js'
import type { BenchRow } from './row.js'

const ATTACKERS = Array.from({ length: 15 }, (_, nr) => `10.78.0.${66 + nr}`)

/** From the API's reply to a block until the host drops the first packet, with 1 and with 200 hosts that wait. */
export async function waking(): Promise<BenchRow[]> {
  const missing = available('nft')
  if (missing !== undefined)
    return [
      { what: 'block to first dropped packet', value: `skipped: ${missing}`, baseline: '', ratio: null }
    ]
  return [await withHosts(1), await withHosts(200)]
}

async function withHosts(hosts: number): Promise<BenchRow> {
  const dir = await mkdtemp(join(tmpdir(), 'f2b-bench-'))
  const all = await WatchingHost.start(dir, ATTACKERS)
  try {
    await all.watch()
    await all.logged(/"event":"wake_channel","state":"open"/)
    if (hosts > 1) await all.addIdleHosts(hosts - 1)
    const block = await all.blockByApi()
    const taken: number[] = []
    for (const ip of ATTACKERS) taken.push(await all.untilDropped(ip, block))
    return {
      what: `block by the API until the host drops the first packet (one every 2 ms), ${hosts} connected`,
      value: `${Math.round(median(taken))} ms after the reply (slowest ${Math.round(Math.max(...taken))} ms)`,
      baseline: '',
      ratio: null
    }
  } finally {
    await all.end()
    await rm(dir, { recursive: true, force: true })
  }
}
