import { Counter, Gauge, Registry } from 'prom-client'
import { join } from 'node:path'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { messageOf } from '../common/errors.js'
import type { JsonKind } from '../common/json-file.js'
import { ownVersion } from '../common/package-root.js'
import { shapeCheck } from '../common/shapes.js'
import type { CycleResult } from './cycle/cycle.js'
import type { Host } from './host.js'
import { replaceFile } from './replace-file.js'

const Count = Type.Number({ minimum: 0 })
const Totals = Type.Object({
  cycles: Count,
  failedCycles: Count,
  events: Count,
  added: Count,
  removed: Count,
  putBack: Count,
  strays: Count,
  /** Milliseconds. */
  lastSuccess: Type.Optional(Type.Number())
})
/** What is added up over cycles. Set aside when corrupt: a counter that begins anew is nothing new to Prometheus. */
type Totals = Static<typeof Totals>
const TOTALS: JsonKind<Totals> = {
  check: shapeCheck(Totals),
  empty: () => ({ cycles: 0, failedCycles: 0, events: 0, added: 0, removed: 0, putBack: 0, strays: 0 }),
  corrupt: 'set-aside',
  mode: 0o640,
  rows: false
}
/** node_exporter is another user, and nothing in it is secret. */
const MODE = 0o644

/**
 * Does a cycle and writes its figures for node_exporter's textfile collector, whether it succeeds or not. What keeps
 * them from being written is a warning.
 * @throws what the cycle throws
 */
export async function measured(
  host: Host,
  path: string,
  cycle: () => Promise<CycleResult>
): Promise<CycleResult> {
  const began = performance.now()
  let result: CycleResult | undefined
  try {
    result = await cycle()
    return result
  } finally {
    await write(host, path, result, (performance.now() - began) / 1000).catch((error: unknown) =>
      host.parts.report('warn', {
        event: 'metrics_not_written',
        message: `metrics_file: ${messageOf(error)}`
      })
    )
  }
}

async function write(
  { config, clock, files, lock }: Host,
  path: string,
  result: CycleResult | undefined,
  seconds: number
): Promise<void> {
  await lock.check()
  const now = clock()
  const failures = result === undefined ? 1 : result.failures.length
  const totals = await files.change(join(config.state, 'metrics.json'), TOTALS, ({ value }) => {
    const next = { ...value, cycles: value.cycles + 1 }
    if (failures > 0) next.failedCycles++
    else next.lastSuccess = now
    next.events += result?.newEvents ?? 0
    next.added += result?.added ?? 0
    next.removed += result?.removed ?? 0
    next.putBack += result?.drift.putBack ?? 0
    next.strays += result?.drift.strays ?? 0
    return { value: next, result: next }
  })
  await replaceFile(path, await textOf(result, totals, { now, seconds, failures }), MODE)
}

/** The figures as text. Of a cycle that broke off, what it did not come to is left out. */
async function textOf(
  result: CycleResult | undefined,
  totals: Totals,
  { now, seconds, failures }: { now: number; seconds: number; failures: number }
): Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, value: number | undefined) => {
    if (value !== undefined) new Gauge({ name: `fail2ban_report_client_${name}`, help, registers }).set(value)
  }
  const counter = (name: string, help: string, value: number) =>
    new Counter({ name: `fail2ban_report_client_${name}`, help, registers }).inc(value)
  const build = {
    name: 'fail2ban_report_client_build_info',
    help: 'The version that runs; always 1.',
    registers
  }
  new Gauge({ ...build, labelNames: ['version'] }).set({ version: ownVersion() }, 1)

  gauge('cycle_duration_seconds', 'How long the last cycle took.', seconds)
  gauge('last_cycle_timestamp_seconds', 'When the last cycle ended.', now / 1000)
  const success = totals.lastSuccess === undefined ? undefined : totals.lastSuccess / 1000
  gauge('last_success_timestamp_seconds', 'When the last cycle without a failure ended.', success)
  gauge('last_cycle_failures', 'What failed in the last cycle.', failures)
  counter('cycles_total', 'Cycles.', totals.cycles)
  counter('failed_cycles_total', 'Cycles in which something failed.', totals.failedCycles)
  if (result?.inForce !== undefined) {
    const inForce = new Gauge({
      name: 'fail2ban_report_client_addresses_in_force',
      help: 'Blocks of ours in the firewall as it was read last.',
      labelNames: ['family'] as const,
      registers
    })
    inForce.set({ family: 'ipv4' }, result.inForce[4])
    inForce.set({ family: 'ipv6' }, result.inForce[6])
  }
  const pending = 'Blocks that are asked for and were not there when the firewall was read back.'
  gauge('addresses_not_in_force', pending, result?.notInForce)
  gauge('addresses_skipped', 'Blocks that are asked for and refused on this host.', result?.skipped.length)
  gauge('last_cycle_blocked', 'Blocks made in the last cycle.', result?.added)
  gauge('last_cycle_let_in', 'Blocks ended in the last cycle.', result?.removed)
  counter('blocked_total', 'Blocks made.', totals.added)
  counter('let_in_total', 'Blocks ended.', totals.removed)
  const drift = new Counter({
    name: 'fail2ban_report_client_drift_repaired_total',
    help: 'Blocks that had gone from the firewall and were put back, and blocks of ours there that nothing asked for.',
    labelNames: ['kind'] as const,
    registers
  })
  drift.inc({ kind: 'put_back' }, totals.putBack)
  drift.inc({ kind: 'stray' }, totals.strays)
  counter('events_total', "Events read from fail2ban's log.", totals.events)
  const { whitelistInStep } = result ?? {}
  const inStep = whitelistInStep === undefined ? undefined : Number(whitelistInStep)
  gauge('whitelist_in_step', "1 when this host's copy of the whitelist is what the server told of.", inStep)
  return registry.metrics()
}
