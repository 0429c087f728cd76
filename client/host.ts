import { join } from 'node:path'
import type { Clock } from '../common/clock.js'
import { runCommand, type RunCommand } from '../common/command.js'
import { ProductError } from '../common/errors.js'
import { withFileLock, type HeldLock, type LockTimes } from '../common/file-lock.js'
import { JsonFiles, makeFolders } from '../common/json-file.js'
import { ClientBus } from './bus.js'
import type { ClientConfig } from './config/config.js'
import type { Report, Step } from './cycle/cycle.js'
import { Fail2ban } from './fail2ban/fail2ban.js'
import { ServerLink } from './server-link.js'
import { WhitelistSync } from './whitelist/whitelist-sync.js'

export interface SyncParts {
  report: Report
  bus?: ClientBus
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

/** What a run of this host works with. */
export interface Host {
  config: Readonly<ClientConfig>
  parts: SyncParts
  clock: Clock
  run: RunCommand
  files: JsonFiles
  link: ServerLink
  fail2ban: Fail2ban
  whitelist: WhitelistSync
  lock: HeldLock
}

/**
 * Does some work on this host. Only one run at a time has a state folder.
 * @throws ProductError BUSY when another run is under way; what the work throws
 */
export async function onHost<T>(
  config: Readonly<ClientConfig>,
  parts: SyncParts,
  work: (host: Host) => Promise<T>
): Promise<T> {
  await makeStateFolder(config.state)
  return asOnlyRun(config.state, async lock => {
    const host = openHost(config, parts, lock)
    try {
      return await work(host)
    } finally {
      host.link.close()
    }
  })
}

/**
 * Does some work as the only run of a state folder, which must exist.
 * @throws ProductError BUSY when another run is under way; what the work throws
 */
export async function asOnlyRun<T>(state: string, work: (lock: HeldLock) => Promise<T>): Promise<T> {
  try {
    return await withFileLock(join(state, 'sync'), work, RUN_LOCK)
  } catch (error) {
    if (!(error instanceof ProductError) || error.code !== 'LOCK_TIMEOUT') throw error
    throw new ProductError('BUSY', `the state folder ${state} is in use; wait for it to end`, error)
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
    signal: parts.signal,
    onRetry: (what, reason) => report('warn', { event: 'retry', what, reason })
  })
  const { signal } = parts
  // It can't be left half-way by that, as a firewall could: its own server carries out what it was told.
  const fail2ban = new Fail2ban(
    (program, args, options) => run(program, args, { signal, ...options }),
    config.fail2ban
  )
  const whitelist = new WhitelistSync({
    fetch: hash => link.whitelist(hash),
    path: config.whitelist.path,
    state: join(config.state, 'whitelist.json'),
    files,
    // What is only played must not change what this host bans.
    fail2ban: config.firewall === 'dry-run' ? undefined : fail2ban,
    reload: config.whitelist.reloadOnChange,
    bus,
    clock
  })
  return { config, parts, clock, run, files, link, fail2ban, whitelist, lock }
}

async function makeStateFolder(path: string): Promise<void> {
  try {
    await makeFolders(path, 0o700)
  } catch (error) {
    throw new ProductError(
      'CONFIG',
      `--state ${path} can't be made; run as root or choose another folder`,
      error
    )
  }
}
