import type { Command } from 'commander'
import { messageOf } from '../../common/errors.js'
import { addFlags } from '../../common/settings.js'
import { runUntilStopped } from '../../common/stop-signals.js'
import { readClientConfig, SYNC_SETTINGS, type ClientConfig } from '../config/config.js'
import type { CycleResult, Report } from '../cycle/cycle.js'
import { readAuthority } from '../server-link.js'
import { clientLogger, syncOnce } from '../sync.js'
import { watchAndSync } from '../watch.js'

/** Where a command writes to. */
export interface Output {
  out(text: string): void
  err(text: string): void
  env: Readonly<Record<string, string | undefined>>
}

/** `sync`: one cycle for cron, or cycles for ever with `--watch`. */
export function addSyncCommand(program: Command, output: Output): void {
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
      '\nExit code 0: done, or nothing to do. 1: something failed, standard error says what. 2: bad setting.\n75: another run is under way.\n\nExamples:\n  fail2ban-report sync\n  fail2ban-report sync --config /etc/fail2ban-report/client.conf --firewall nftables\n  fail2ban-report sync --watch --interval 60'
    )
    .action(async (flags: Record<string, unknown>) => {
      const file = typeof flags.config === 'string' ? flags.config : undefined
      const config = readClientConfig({ file, flags, env: output.env })
      for (const { what, mend } of config.warnings) output.err(`warning: ${what}: ${mend}`)
      if (flags.watch === true) await watchForEver(config, output, flags.json === true)
      else await once(config, output, flags.json === true)
    })
}

async function once(config: Readonly<ClientConfig>, output: Output, json: boolean): Promise<void> {
  const result = await syncOnce(config, { report: reporter(config, output) })
  output.out(json ? JSON.stringify(result) : inWords(result))
  if (result.failures.length > 0) process.exitCode = 1
}

async function watchForEver(config: Readonly<ClientConfig>, output: Output, json: boolean): Promise<void> {
  const report = reporter(config, output)
  const cycle = async (signal: AbortSignal) => {
    try {
      const result = await syncOnce(config, { report, signal })
      if (json) output.out(JSON.stringify(result))
      else if (didSomething(result)) output.out(inWords(result))
    } catch (error) {
      // The next cycle may do better: a watch ends only when it is told to.
      report('error', { event: 'failed', message: messageOf(error) })
    }
  }
  await runUntilStopped(signal =>
    watchAndSync({
      log: config.log,
      interval: config.interval * 1000,
      signal,
      cycle: () => cycle(signal),
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

/** Warnings and errors for standard error (cron mails them); everything for the client's log. */
function reporter(config: Readonly<ClientConfig>, output: Output): Report {
  const logger = clientLogger(config.clientLog)
  return (level, fields) => {
    logger[level](fields)
    if (level === 'info') return
    const { event, ...rest } = fields
    const message = typeof rest.message === 'string' ? rest.message : undefined
    const told = Object.entries(rest).map(([name, value]) => `${name}=${String(value)}`)
    output.err(`${level}: ${message ?? `${event.replaceAll('_', ' ')} ${told.join(' ')}`}`)
  }
}

function didSomething(result: CycleResult): boolean {
  return (
    result.newEvents + result.added + result.removed + result.downloaded.length + result.syncedBack.length > 0
  )
}

function inWords(result: CycleResult): string {
  const parts = [
    count(result.newEvents, 'new event'),
    `${count(result.uploadedDays, 'day')} uploaded`,
    `${count(result.downloaded.length, 'list')} fetched`,
    `${result.added} blocked, ${result.removed} let in`,
    `${count(result.syncedBack.length, 'list')} synced back`
  ]
  if (result.skipped.length > 0) parts.push(`${result.skipped.length} skipped`)
  if (result.notInForce > 0) parts.push(`${result.notInForce} still pending`)
  return parts.join('; ')
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
