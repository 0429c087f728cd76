import { counted } from '../../common/counted.js'
import type { Command } from 'commander'
import { isoTime } from '../../common/clock.js'
import { messageOf, ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { addFlags } from '../../common/settings.js'
import { runUntilStopped } from '../../common/stop-signals.js'
import { ClientBus } from '../bus.js'
import { readClientConfig, SYNC_SETTINGS, type ClientConfig } from '../config/config.js'
import type { CycleResult, Report } from '../cycle/cycle.js'
import { readAuthority } from '../server-link.js'
import { clientLog, syncOnce } from '../sync.js'
import { watchAndSync } from '../watch.js'
import { syncWhitelistOnce } from '../whitelist/on-host.js'
import type { WhitelistResult } from '../whitelist/whitelist-sync.js'

/** Where a command writes to. */
export interface Output {
  out(text: string): void
  err(text: string): void
  env: Readonly<Record<string, string | undefined>>
}

/** `sync`: one cycle for cron, or cycles for ever with `--watch`; `whitelist-sync`: the whitelist alone. */
export function addSyncCommand(program: Command, output: Output): void {
  addWhitelistSync(program, output)
  addFlags(
    program
      .command('sync')
      .description('one cycle of this host: log, events, lists, firewall, and back')
      .option('--config <FILE>', 'client.conf, or the config.env of an existing client [env: F2BR_CONFIG]'),
    SYNC_SETTINGS
  )
    .option(
      '--watch',
      'go on: every --interval seconds, soon after fail2ban logs something, and when the server has something'
    )
    .option('--json', 'print JSON for machines instead of text')
    .addHelpText(
      'after',
      '\nExit code 0: done, or nothing to do. 1: something failed, standard error says\nwhat. 2: bad setting. 75: another run is under way.\n\nExamples:\n  fail2ban-report sync\n  fail2ban-report sync --config /etc/fail2ban-report/client.conf --firewall nftables\n  fail2ban-report sync --watch --interval 60'
    )
    .action(async (flags: Record<string, unknown>) => {
      const config = configOf(flags, output)
      if (flags.watch === true) await watchForEver(config, output, flags.json === true)
      else await once(config, output, flags.json === true)
    })
}

function addWhitelistSync(program: Command, output: Output): void {
  addFlags(
    program
      .command('whitelist-sync')
      .description("fetch the server's whitelist and let fail2ban here heed it, without the rest of a cycle")
      .option('--config <FILE>', 'client.conf, or the config.env of an existing client [env: F2BR_CONFIG]'),
    SYNC_SETTINGS
  )
    .option('--json', 'print JSON for machines instead of text')
    .addHelpText(
      'after',
      '\nExit code 0: done, or nothing to do. 1: something failed. 2: bad setting.\n75: another run is under way.\n\nExample:\n  fail2ban-report whitelist-sync'
    )
    .action(async (flags: Record<string, unknown>) => {
      const config = configOf(flags, output)
      const report = await reporter(config, output)
      const bus = loggedBus(report)
      bus.emit('sync_requested', { what: 'whitelist', by: 'whitelist-sync' })
      const result = await syncWhitelistOnce(config, { report, bus }, true)
      output.out(flags.json === true ? JSON.stringify(result) : whitelistInWords(result))
      if (result.result === 'fail') process.exitCode = 1
    })
}

function configOf(flags: Record<string, unknown>, output: Output): Readonly<ClientConfig> {
  const file = typeof flags.config === 'string' ? flags.config : undefined
  const config = readClientConfig({ file, flags, env: output.env })
  for (const { what, mend } of config.warnings) output.err(`warning: ${what}: ${mend}`)
  return config
}

/** A bus whose events stand in the client's log; a failure is told where it is dealt with. */
function loggedBus(report: Report): ClientBus {
  const bus = new ClientBus()
  for (const event of ['sync_start', 'sync_complete', 'sync_requested'] as const) {
    bus.on(event, fields => report('info', { event, ...fields }))
  }
  return bus
}

async function once(config: Readonly<ClientConfig>, output: Output, json: boolean): Promise<void> {
  const report = await reporter(config, output)
  const result = await syncOnce(config, { report, bus: loggedBus(report) })
  output.out(json ? JSON.stringify(result) : inWords(result))
  if (result.failures.length > 0) process.exitCode = 1
}

async function watchForEver(config: Readonly<ClientConfig>, output: Output, json: boolean): Promise<void> {
  const out = stamped(text => output.out(text))
  const err = stamped(text => output.err(text))
  const report = await reporter(config, { ...output, err }, json ? err : out)
  const bus = loggedBus(report)
  const { interval, log, urls } = config
  const server = new URL(urls.update).origin
  report('info', { event: 'watching', server, interval, log })
  let away = false
  const cycle = async (signal: AbortSignal) => {
    try {
      const result = await syncOnce(config, { report, bus, signal })
      if (result.answered && away) report('info', { event: 'server_back', server })
      away = !result.answered
      if (json) output.out(JSON.stringify(result))
      else if (didSomething(result)) out(inWords(result))
    } catch (error) {
      // The next cycle may do better: a watch ends only when it is told to.
      report('error', { event: 'failed', message: messageOf(error) })
      return error instanceof ProductError && error.code === 'BUSY' ? 'busy' : undefined
    }
    return undefined
  }
  const whitelist = async (signal: AbortSignal) => {
    try {
      const { message } = await syncWhitelistOnce(config, { report, bus, signal })
      if (message !== undefined)
        report('error', { event: 'whitelist_failed', message: `whitelist: ${message}` })
    } catch (error) {
      report('error', { event: 'failed', message: messageOf(error) })
    }
  }
  await runUntilStopped(signal =>
    watchAndSync({
      log: config.log,
      interval: config.interval * 1000,
      signal,
      cycle: () => cycle(signal),
      bus,
      ...(config.whitelist.enabled
        ? { between: { interval: config.whitelist.interval * 1000, work: () => whitelist(signal) } }
        : {}),
      ...(config.wakeUrl === undefined ? {} : { channel: channelOf(config, config.wakeUrl, report, signal) })
    })
  )
}

function channelOf(
  config: Readonly<ClientConfig>,
  url: string,
  report: Report,
  signal: AbortSignal
): (wake: () => void) => Promise<void> {
  const ca = config.caFile === undefined ? undefined : readAuthority(config.caFile)
  const { username, password, uuid, timeout } = config
  return async wake => {
    // A cycle from cron has no use for it.
    const { holdWakeChannel } = await import('../wake-channel.js')
    await holdWakeChannel({ url, username, password, uuid, ca, timeout, wake, report, signal })
  }
}

/** What somebody who looks on while it watches is told, though nothing is wrong. */
const TOLD = new Set(['watching', 'wake_channel', 'server_back'])

/**
 * Warnings and errors for standard error (cron mails them); everything for the client's log.
 * @param info told, while watching, how things stand
 */
async function reporter(
  config: Readonly<ClientConfig>,
  output: Output,
  info: (text: string) => void = () => undefined
): Promise<Report> {
  const log = await clientLog(config.clientLog)
  return (level, fields) => {
    log(level, fields)
    const { event, ...rest } = fields
    if (level === 'info' && !TOLD.has(event)) return
    const message = typeof rest.message === 'string' ? rest.message : undefined
    const told = Object.entries(rest).map(([name, value]) => `${name}=${String(value)}`)
    const line = `${level}: ${message ?? `${event.replaceAll('_', ' ')} ${told.join(' ')}`}`
    if (level === 'info') info(line)
    else output.err(line)
  }
}

/** Lines that come over hours need their time. */
function stamped(tell: (text: string) => void): (text: string) => void {
  return text => tell(`${isoTime(Date.now())} ${text}`)
}

function didSomething(result: CycleResult): boolean {
  return (
    result.newEvents + result.added + result.removed + result.downloaded.length + result.syncedBack.length > 0
  )
}

function inWords(result: CycleResult): string {
  const parts = [
    counted(result.newEvents, 'new event'),
    `${counted(result.uploadedDays, 'day')} uploaded`,
    `${counted(result.downloaded.length, 'list')} fetched`,
    `${result.added} blocked, ${result.removed} let in`,
    `${counted(result.syncedBack.length, 'list')} synced back`
  ]
  if (result.skipped.length > 0) parts.push(`${result.skipped.length} skipped`)
  if (result.notInForce > 0) parts.push(`${result.notInForce} still pending`)
  return parts.join('; ')
}

function whitelistInWords({ result, entries, lifted, message }: WhitelistResult): string {
  if (result === 'fail') return `failed: ${message ?? ''}`
  const parts = [result === 'unchanged' ? 'unchanged' : 'changed', counted(entries, 'entry', 'entries')]
  if (lifted.length > 0) parts.push(`lifted: ${lifted.map(id => printable(id, 64)).join(', ')}`)
  return parts.join('; ')
}
