import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pino, { type Logger } from 'pino'
import type { Clock } from '../common/clock.js'
import { runCommand, type RunCommand } from '../common/command.js'
import { messageOf, ProductError } from '../common/errors.js'
import { withFileLock, type LockTimes } from '../common/file-lock.js'
import { JsonFiles } from '../common/json-file.js'
import { ownVersion } from '../common/version.js'
import type { ClientConfig } from './config/config.js'
import { runCycle, type CycleResult, type Report, type Step } from './cycle/cycle.js'
import { HeldLists } from './cycle/held-lists.js'
import { LocalLists } from './cycle/local-lists.js'
import { guardOf, ownAddresses } from './cycle/protect.js'
import { ServerAddresses } from './cycle/server-addresses.js'
import { changeOver } from './firewall/change-over.js'
import { chooseFirewall, type FirewallKind } from './firewall/choose.js'
import type { Firewall } from './firewall/types.js'
import { collectEvents, markUploaded } from './log/daily-events.js'
import { ServerLink } from './server-link.js'

export interface SyncParts {
  report: Report
  clock?: Clock
  run?: RunCommand
  onStep?: (step: Step) => void
  /** Once aborted, the server is not waited for any more. */
  signal?: AbortSignal
}

/** Files of one host are locked for moments only; a killed run's lock is taken over after four seconds. */
const FILE_LOCKS: LockTimes = { wait: 12_000, stale: 4_000 }
/** Long enough to outlive a killed run's lock, short enough for cron. */
const RUN_LOCK: LockTimes = { wait: 6_000, stale: 4_000 }

/**
 * One whole cycle of this host. Only one runs at a time in a state folder.
 * @throws ProductError BUSY when another run is under way; else as `runCycle`
 */
export async function syncOnce(config: Readonly<ClientConfig>, parts: SyncParts): Promise<CycleResult> {
  await makeStateFolder(config.state)
  try {
    return await withFileLock(join(config.state, 'sync'), lock => cycle(config, parts, lock), RUN_LOCK)
  } catch (error) {
    if (!(error instanceof ProductError) || error.code !== 'LOCK_TIMEOUT') throw error
    throw new ProductError('BUSY', `the state folder ${config.state} is in use; wait for it to end`, error)
  }
}

async function cycle(
  config: Readonly<ClientConfig>,
  parts: SyncParts,
  lock: Parameters<Parameters<typeof withFileLock>[1]>[0]
): Promise<CycleResult> {
  const clock = parts.clock ?? Date.now
  const { report } = parts
  const files = new JsonFiles({
    clock,
    times: FILE_LOCKS,
    onSetAside: event => report('error', { event: 'file_set_aside', ...event })
  })
  const folders = [config.state, config.eventsDir, config.blocklistDir]
  await Promise.all(folders.map(folder => files.removeAbandoned(folder)))
  const choose = (kind: FirewallKind) =>
    chooseFirewall(kind, {
      run: parts.run ?? runCommand,
      files,
      dryRunFile: join(config.state, 'dry-run-firewall.json')
    })
  const firewall = await choose(config.firewall)
  const link = new ServerLink({
    urls: config.urls,
    username: config.username,
    password: config.password,
    uuid: config.uuid,
    caFile: config.caFile,
    timeout: config.timeout,
    signal: parts.signal,
    onRetry: (what, reason) => report('warn', { event: 'retry', what, reason })
  })
  const own = ownAddresses()
  const servers = new ServerAddresses(files, join(config.state, 'server-addresses.json'))
  const logging = { log: config.log, eventsDir: config.eventsDir, state: config.state, files, clock }
  try {
    const result = await runCycle({
      link,
      lists: new LocalLists(files, config.blocklistDir),
      held: new HeldLists(files, join(config.state, 'held-lists.json')),
      firewall,
      guard: guardOf(own, await servers.find(Object.values(config.urls)), config.neverBlock, config.widest),
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
        time: String(clock())
      },
      clock,
      report,
      lock,
      ...(parts.onStep === undefined ? {} : { onStep: parts.onStep })
    })
    await clearFormer(files, join(config.state, 'firewall.json'), firewall, choose, report, result)
    return result
  } finally {
    await link.close()
  }
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
