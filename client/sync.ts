import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pino, { type Logger } from 'pino'
import type { Address } from '../common/address.js'
import type { Clock } from '../common/clock.js'
import { runCommand, type RunCommand } from '../common/command.js'
import { messageOf, ProductError } from '../common/errors.js'
import { withFileLock, type HeldLock, type LockTimes } from '../common/file-lock.js'
import { JsonFiles, removeAbandonedCopies } from '../common/json-file.js'
import { ownVersion } from '../common/version.js'
import { ClientBus } from './bus.js'
import type { CommandHost, ReceivedCommand } from './commands/carry-out.js'
import { CommandLog } from './commands/command-log.js'
import { healthOf } from './commands/health.js'
import { runCommands } from './commands/run-commands.js'
import type { ClientConfig } from './config/config.js'
import { runCycle, type CycleResult, type Report, type Step } from './cycle/cycle.js'
import { HeldLists } from './cycle/held-lists.js'
import { LocalLists } from './cycle/local-lists.js'
import { guardOf, ownAddresses } from './cycle/protect.js'
import { ServerAddresses } from './cycle/server-addresses.js'
import type { Guard } from './cycle/wanted.js'
import { Fail2ban } from './fail2ban/fail2ban.js'
import { changeOver } from './firewall/change-over.js'
import { chooseFirewall, type FirewallKind } from './firewall/choose.js'
import type { Firewall } from './firewall/types.js'
import { collectEvents, markUploaded } from './log/daily-events.js'
import { ServerLink } from './server-link.js'
import { WhitelistSync, type WhitelistReport, type WhitelistResult } from './whitelist/whitelist-sync.js'

export interface SyncParts {
  report: Report
  bus?: ClientBus
  clock?: Clock
  run?: RunCommand
  onStep?: (step: Step) => void
}

/** Files of one host are locked for moments only; a killed run's lock is taken over after four seconds. */
const FILE_LOCKS: LockTimes = { wait: 12_000, stale: 4_000 }
/** Long enough to outlive a killed run's lock, short enough for cron. */
const RUN_LOCK: LockTimes = { wait: 6_000, stale: 4_000 }

/** What a run of this host works with. */
interface Host {
  config: Readonly<ClientConfig>
  parts: SyncParts
  clock: Clock
  run: RunCommand
  files: JsonFiles
  link: ServerLink
  whitelist: WhitelistSync
  lock: HeldLock
}

/**
 * One whole cycle of this host. Only one runs at a time in a state folder.
 * @throws ProductError BUSY when another run is under way; else as `runCycle`
 */
export async function syncOnce(config: Readonly<ClientConfig>, parts: SyncParts): Promise<CycleResult> {
  return onHost(config, parts, cycle)
}

/**
 * The whitelist alone: pulled, made to hold, and told to the server.
 * @returns what came of it; failures too
 * @throws ProductError BUSY when another run is under way; CONFIG when the whitelist is switched off
 */
export async function syncWhitelistOnce(
  config: Readonly<ClientConfig>,
  parts: SyncParts
): Promise<WhitelistResult> {
  if (!config.whitelist.enabled) throw new ProductError('CONFIG', 'whitelist_enabled is no')
  return onHost(config, parts, async ({ whitelist, link }) => {
    const result = await whitelist.sync()
    await link.report({ whitelist: reportOf(result) }).catch((error: unknown) => {
      // The pull's own failure says it already.
      if (result.result === 'fail') return
      throw error
    })
    return result
  })
}

async function onHost<T>(
  config: Readonly<ClientConfig>,
  parts: SyncParts,
  work: (host: Host) => Promise<T>
): Promise<T> {
  await makeStateFolder(config.state)
  try {
    return await withFileLock(
      join(config.state, 'sync'),
      async lock => {
        const host = openHost(config, parts, lock)
        try {
          return await work(host)
        } finally {
          await host.link.close()
        }
      },
      RUN_LOCK
    )
  } catch (error) {
    if (!(error instanceof ProductError) || error.code !== 'LOCK_TIMEOUT') throw error
    throw new ProductError('BUSY', `the state folder ${config.state} is in use; wait for it to end`, error)
  }
}

function openHost(config: Readonly<ClientConfig>, parts: SyncParts, lock: HeldLock): Host {
  const { report, clock = Date.now, run = runCommand, bus = new ClientBus() } = parts
  const files = new JsonFiles({
    clock,
    times: FILE_LOCKS,
    onSetAside: event => report('error', { event: 'file_set_aside', ...event })
  })
  const link = new ServerLink({
    urls: config.urls,
    apiUrl: config.apiUrl,
    username: config.username,
    password: config.password,
    uuid: config.uuid,
    caFile: config.caFile,
    timeout: config.timeout,
    onRetry: (what, reason) => report('warn', { event: 'retry', what, reason })
  })
  const whitelist = new WhitelistSync({
    fetch: hash => link.whitelist(hash),
    path: config.whitelist.path,
    state: join(config.state, 'whitelist.json'),
    files,
    // What is only played must not change what this host bans.
    fail2ban: config.firewall === 'dry-run' ? undefined : new Fail2ban(run, config.fail2ban),
    reload: config.whitelist.reloadOnChange,
    bus,
    clock
  })
  return { config, parts, clock, run, files, link, whitelist, lock }
}

async function cycle(host: Host): Promise<CycleResult> {
  const { config, parts, clock, files, link, whitelist, lock } = host
  const { report } = parts
  for (const folder of [config.state, config.eventsDir, config.blocklistDir]) {
    await removeAbandonedCopies(folder, clock())
  }
  const choose = (kind: FirewallKind) =>
    chooseFirewall(kind, { run: host.run, files, dryRunFile: join(config.state, 'dry-run-firewall.json') })
  const firewall = await choose(config.firewall)
  const own = ownAddresses()
  const servers = new ServerAddresses(files, join(config.state, 'server-addresses.json'))
  const serverAddresses = await servers.find(Object.values(config.urls))
  const guard = (list: readonly Address[]) =>
    guardOf(own, serverAddresses, config.neverBlock, config.widest, list)
  const { enabled } = config.whitelist
  const protectedNow = async () => guard(enabled ? await whitelist.addresses() : [])
  const failures: string[] = []
  let given: readonly ReceivedCommand[] = []
  const logging = { log: config.log, eventsDir: config.eventsDir, state: config.state, files, clock }
  const command = async (blocklistSync: () => string) =>
    runCommands(given, {
      host: commandHost(host, firewall, await protectedNow(), blocklistSync),
      log: new CommandLog(files, join(config.state, 'commands.json')),
      tell: commands => link.report({ commands }),
      report
    })
  const result = await runCycle({
    link,
    lists: new LocalLists(files, config.blocklistDir),
    held: new HeldLists(files, join(config.state, 'held-lists.json')),
    firewall,
    guard: await protectedNow(),
    onAnswer: async ({ whitelist: known, commands = [] }) => {
      given = commands
      if (enabled && known !== undefined) failures.push(...(await syncWhitelist(host, known)))
      return protectedNow()
    },
    events: {
      collect: async () => {
        const { newEvents, noAddress, tooMany, gap, changed } = await collectEvents(logging)
        if (noAddress > 0) report('info', { event: 'not_an_address', lines: noAddress })
        if (tooMany > 0) report('warn', { event: 'too_many_events_in_a_day', lines: tooMany })
        if (gap)
          report('warn', {
            event: 'log_gap',
            message: 'a rotated part of the log was not found; its events are missing'
          })
        return {
          newEvents,
          changed: changed.map(day => ({ ...day, uploaded: () => markUploaded(logging, day) }))
        }
      }
    },
    told: {
      version: ownVersion(),
      firewall: firewall.name,
      addresses: own.join(','),
      time: String(clock()),
      commands: config.commands.join(','),
      ...(enabled ? { whitelist: JSON.stringify(await whitelist.report()) } : {})
    },
    clock,
    report,
    lock,
    ...(parts.onStep === undefined ? {} : { onStep: parts.onStep })
  }).catch(async (error: unknown) => {
    // What was given is given once: it is answered even when the cycle could not go on.
    await command(() => {
      throw error
    })
    throw error
  })
  failures.push(...(await command(() => cycleInWords(result))))
  result.failures.push(...failures)
  if (!enabled) await withdrawWhitelist(host, result)
  await clearFormer(files, join(config.state, 'firewall.json'), firewall, choose, report, result)
  return result
}

/** @param known what the server says the whitelist is now @returns what failed */
async function syncWhitelist({ whitelist, link, parts }: Host, known: string): Promise<string[]> {
  const done = await whitelist.sync(known)
  if (done.result === 'unchanged') return []
  const failures = done.message === undefined ? [] : [`whitelist: ${done.message}`]
  try {
    await link.report({ whitelist: reportOf(done) })
  } catch (error) {
    failures.push(`whitelist: ${messageOf(error)}`)
  }
  for (const message of failures) parts.report('error', { event: 'whitelist_failed', message })
  return failures
}

async function withdrawWhitelist({ whitelist, parts }: Host, result: CycleResult): Promise<void> {
  try {
    await whitelist.withdraw()
  } catch (error) {
    const message = `the whitelist is switched off, but fail2ban still heeds it: ${messageOf(error)}`
    result.failures.push(message)
    parts.report('error', { event: 'whitelist_left', message })
  }
}

function commandHost(
  { config, whitelist, run, parts }: Host,
  firewall: Firewall,
  guard: Guard,
  blocklistSync: () => string
): CommandHost {
  const fail2ban = new Fail2ban(run, config.fail2ban)
  return {
    allowed: config.commands,
    fail2ban,
    mayChange: config.firewall !== 'dry-run',
    guard,
    blocklistSync,
    whitelistSync: async () => {
      if (!config.whitelist.enabled) throw new ProductError('CONFIG', 'whitelist_enabled is no')
      parts.bus?.emit('sync_requested', { what: 'whitelist', by: 'command' })
      const { result, entries, lifted, message } = await whitelist.sync()
      if (message !== undefined) throw new ProductError('REFUSED', message)
      return JSON.stringify({ result, entries, lifted })
    },
    health: () => healthOf(fail2ban, firewall, whitelist)
  }
}

/** @throws ProductError when something of the cycle failed */
function cycleInWords(result: CycleResult): string {
  if (result.failures.length > 0) throw new ProductError('REFUSED', result.failures.join('; '))
  const { downloaded, added, removed, syncedBack, skipped, notInForce } = result
  return JSON.stringify({
    downloaded,
    added,
    removed,
    syncedBack,
    skipped: skipped.slice(0, 100),
    notInForce
  })
}

function reportOf({ result, hash, time, message }: WhitelistResult): WhitelistReport {
  return { result, hash, time, ...(message === undefined ? {} : { message }) }
}

async function clearFormer(
  files: JsonFiles,
  path: string,
  { name }: Firewall,
  choose: (kind: FirewallKind) => Promise<Firewall>,
  report: Report,
  result: CycleResult
): Promise<void> {
  try {
    const former = await changeOver(files, path, name, choose)
    if (former !== undefined) report('warn', { event: 'firewall_changed_over', from: former, to: name })
  } catch (error) {
    const message =
      `blocks may be left in the firewall used before (${messageOf(error)}); make it work once more, ` +
      `or delete ${path} when nothing of ours is left in it`
    result.failures.push(message)
    report('error', { event: 'former_firewall_left', message })
  }
}

async function makeStateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new ProductError(
      'CONFIG',
      `--state ${path} can't be made; run as root or choose another folder`,
      error
    )
  }
}

/** The client's log: JSON lines into a file, or nowhere. */
export function clientLogger(path: string | undefined): Logger {
  const options = { base: null, timestamp: pino.stdTimeFunctions.isoTime }
  if (path === undefined) return pino({ ...options, enabled: false })
  return pino(options, pino.destination({ dest: path, append: true, sync: true, mkdir: true, mode: 0o640 }))
}
