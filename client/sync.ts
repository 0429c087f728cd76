import { join } from 'node:path'
import { messageOf, ProductError } from '../common/errors.js'
import type { JsonFiles } from '../common/json-file.js'
import { ownVersion } from '../common/package-root.js'
import type { ReceivedCommand } from './commands/carry-out.js'
import { CommandLog } from './commands/command-log.js'
import { commandHost, cycleInWords } from './commands/on-host.js'
import { runCommands } from './commands/run-commands.js'
import type { ClientConfig } from './config/config.js'
import { runCycle, type CycleResult, type Report } from './cycle/cycle.js'
import { HeldLists } from './cycle/held-lists.js'
import { KnownLists } from './cycle/known-lists.js'
import { LocalLists } from './cycle/local-lists.js'
import { guardOf, ownAddresses } from './cycle/protect.js'
import type { Guard } from './cycle/wanted.js'
import { ServerAddresses } from './cycle/server-addresses.js'
import { changeOver } from './firewall/change-over.js'
import { chooseFirewall, type FirewallKind } from './firewall/choose.js'
import type { Firewall } from './firewall/types.js'
import { onHost, type Host, type SyncParts } from './host.js'
import { collectEvents, markUploaded } from './log/daily-events.js'
import { finishWhitelist, withdrawWhitelist } from './whitelist/on-host.js'
import type { BegunSync } from './whitelist/whitelist-sync.js'

/**
 * One whole cycle of this host. Only one runs at a time in a state folder.
 * @throws ProductError BUSY when another run is under way; else as `runCycle`
 */
export async function syncOnce(config: Readonly<ClientConfig>, parts: SyncParts): Promise<CycleResult> {
  const { metricsFile } = config
  if (metricsFile === undefined) return onHost(config, parts, cycle)
  // Most cycles have no use for it.
  const { measured } = await import('./metrics.js')
  return onHost(config, parts, host => measured(host, metricsFile, () => cycle(host)))
}

async function cycle(host: Host): Promise<CycleResult> {
  const { config, parts, clock, files, link, whitelist, lock } = host
  const { report } = parts
  const folders = [config.state, config.eventsDir, config.blocklistDir]
  const choose = (kind: FirewallKind) =>
    chooseFirewall(kind, { run: host.run, files, dryRunFile: join(config.state, 'dry-run-firewall.json') })
  const own = ownAddresses()
  const servers = new ServerAddresses(files, join(config.state, 'server-addresses.json'))
  const [firewall, serverAddresses] = await Promise.all([
    choose(config.firewall),
    servers.find(Object.values(config.urls)),
    ...folders.map(folder => files.removeAbandoned(folder))
  ])
  const { enabled } = config.whitelist
  const protectedNow = async (): Promise<Guard> => {
    let unsure: string | undefined
    const list = !enabled
      ? []
      : await whitelist.addresses().catch((error: unknown) => {
          if (!(error instanceof ProductError)) throw error
          unsure = `this host's copy of the whitelist: ${messageOf(error)}`
          return []
        })
    return { ...guardOf(own, serverAddresses, config.neverBlock, config.widest, list), unsure }
  }
  const failures: string[] = []
  let begun: BegunSync | undefined
  // Behind the firewall work: a fail2ban that hangs must not delay a block.
  const seeToFail2ban = async () => {
    if (begun !== undefined) failures.push(...(await finishWhitelist(host, begun)))
  }
  let serversHash: string | undefined
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
    lists: new LocalLists(
      files,
      config.blocklistDir,
      new KnownLists(files, join(config.state, 'known-lists.json'))
    ),
    held: new HeldLists(files, join(config.state, 'held-lists.json')),
    firewall,
    guard: await protectedNow(),
    onAnswer: async ({ whitelist: known, commands = [] }) => {
      given = commands
      serversHash = known
      if (enabled && known !== undefined) begun = await whitelist.begin(known)
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
    try {
      await seeToFail2ban()
      // What was given is given once: it is answered even when the cycle could not go on.
      await command(() => {
        throw error
      })
    } catch (other) {
      // The cycle's own failure is the one to be told of by the run.
      report('error', { event: 'failed', message: messageOf(other) })
    }
    throw error
  })
  await seeToFail2ban()
  failures.push(...(await command(() => cycleInWords(result))))
  if (!enabled) failures.push(...(await withdrawWhitelist(host)))
  result.failures.push(...failures)
  if (enabled && serversHash !== undefined)
    result.whitelistInStep = (await whitelist.report()).hash === serversHash
  await clearFormer(files, join(config.state, 'firewall.json'), firewall, choose, report, result)
  return result
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

/** The client's log: JSON lines into a file, or nowhere. */
export async function clientLog(path: string | undefined): Promise<Report> {
  if (path === undefined) return () => undefined
  const { default: pino } = await import('pino')
  const logger = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: path, append: true, sync: true, mkdir: true, mode: 0o640 })
  )
  return (level, fields) => logger[level](fields)
}
