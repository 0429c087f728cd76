import { existsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { runCommand, type RunCommand } from '../../common/command.js'
import { messageOf, ProductError } from '../../common/errors.js'
import { JsonFiles } from '../../common/json-file.js'
import type { Service, ServicePlan, TakenBack } from '../../common/service-plan.js'
import { deployText, plain, programValues, protectHome, tmpWarnings } from '../../common/service-plan.js'
import { DEFAULT_FILES, readClientConfig, SYNC_SETTINGS, type ClientConfig } from '../config/config.js'
import { dropInFolder } from '../fail2ban/drop-in.js'
import { chooseFirewall, FIREWALL_KINDS } from '../firewall/choose.js'
import { asOnlyRun, onHost } from '../host.js'
import { actionFiles } from './install-action.js'
import type { Output } from './sync.js'

const UNITS = {
  sync: 'fail2ban-report-sync.service',
  timer: 'fail2ban-report-sync.timer',
  watch: 'fail2ban-report-watch.service'
}
const CRON = '/etc/cron.d/fail2ban-report'
const ROTATION = '/etc/logrotate.d/fail2ban-report-client'
const STATE = '/var/lib/fail2ban-report'
const CLIENT_LOG = '/var/log/fail2ban-report-client.log'
const unitPath = (unit: string) => `/etc/systemd/system/${unit}`

/** What changing a firewall takes: nft and iptables, raw sockets for iptables-legacy, reading anybody's log. */
const CAPABILITIES = ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_DAC_READ_SEARCH']
/** Folders that the old client gave to the web server are written to, and stay its own. */
const FOR_OTHERS = ['CAP_DAC_OVERRIDE', 'CAP_CHOWN', 'CAP_FOWNER']

/** Where the configuration has the client write. */
interface Places {
  /** Have to be there when the service starts. */
  folders: string[]
  /** For the whitelist; also where it is switched off, for then it is taken back. */
  whitelist: string[]
  log: string | undefined
}

/** The client as a service: a timer or a watch of systemd, or a cron line. */
export function clientService({ env }: Output, run: RunCommand = runCommand): Service {
  return {
    plan: flags => planOf(flags, env),
    paths: [...Object.values(UNITS).map(unitPath), CRON, ROTATION],
    units: [UNITS.timer, UNITS.sync, UNITS.watch],
    takeBack: (flags, write) => takeBack(flags, write, env, run)
  }
}

/** @param flags `--by timer|watch|cron`, `--config FILE` */
function planOf(flags: Record<string, unknown>, env: Output['env']): ServicePlan {
  const by = typeof flags.by === 'string' ? flags.by : 'timer'
  if (!['timer', 'watch', 'cron'].includes(by)) {
    throw new ProductError('BAD_INPUT', '--by takes timer, watch or cron')
  }
  const file = typeof flags.config === 'string' ? plain(resolve(flags.config)) : undefined
  const present = file ?? DEFAULT_FILES.find(path => existsSync(path))
  const { folders, whitelist, log } = placesOf(
    present === undefined ? undefined : readClientConfig({ file: present, flags: {}, env })
  )
  const program = programValues()
  const named = [
    program.NODE,
    program.PROGRAM,
    ...folders,
    ...whitelist,
    log ?? CLIENT_LOG,
    ...(present === undefined ? [] : [present])
  ]
  const outside = folders.filter(isOutside)
  const optional = whitelist.filter(path => isOutside(path) && !outside.includes(path))
  const values = {
    ...program,
    FLAGS: file === undefined ? '' : ` --config ${file}`,
    HOME: protectHome(named),
    CAPABILITIES: [...CAPABILITIES, ...([...outside, ...optional].some(isOthers) ? FOR_OTHERS : [])].join(
      ' '
    ),
    // The log's folder, for a log that is not there yet.
    WRITES: [
      ...new Set([
        ...[...outside, ...(log === undefined ? [] : [dirname(log)])].map(plain),
        ...[...optional.map(plain), '/etc/ufw'].map(path => `-${path}`),
        '/run'
      ])
    ].join(' '),
    CLIENTLOG: plain(log ?? CLIENT_LOG)
  }
  const text = (path: string) => deployText(`client/deploy/${path}`, values)
  const unit = (name: string) => ({ path: unitPath(name), text: text(`systemd/${name}`), mode: 0o644 })
  const units = by === 'timer' ? [UNITS.sync, UNITS.timer] : by === 'watch' ? [UNITS.watch] : []
  const rotation = { path: ROTATION, text: text('logrotate/fail2ban-report-client'), mode: 0o644 }
  const cron = { path: CRON, text: text('cron/fail2ban-report'), mode: 0o644 }
  return {
    files: [...units.map(unit), ...(by === 'cron' ? [cron] : []), rotation],
    steps: [{ program: 'systemctl', args: ['daemon-reload'] }],
    next: [
      ...(present === undefined
        ? [
            `save what "fail2ban-report client add" printed on the server as ${DEFAULT_FILES[0] ?? ''}, mode 0600`
          ]
        : []),
      'fail2ban-report doctor --side client',
      ...(by === 'cron' ? [] : [`systemctl enable --now ${units.at(-1) ?? ''}`])
    ],
    warnings: [
      ...tmpWarnings(named),
      // A host without fail2ban needs no folder of its settings.
      ...[...outside, ...optional.filter(path => existsSync(dirname(path)))]
        .filter(path => !existsSync(path))
        .map(path => `${path} is not there: make it before the service starts`)
    ]
  }
}

/** @param config undefined where there is none yet */
function placesOf(config: Readonly<ClientConfig> | undefined): Places {
  if (config === undefined) {
    return {
      folders: [STATE],
      whitelist: [dropInFolder(SYNC_SETTINGS.fail2banConfig.fallback)],
      log: undefined
    }
  }
  const { state, eventsDir, blocklistDir, metricsFile, clientLog } = config
  return {
    folders: [state, eventsDir, blocklistDir, ...(metricsFile === undefined ? [] : [dirname(metricsFile)])],
    whitelist: [dirname(config.whitelist.path), dropInFolder(config.fail2ban.config)],
    log: clientLog
  }
}

function isOutside(path: string): boolean {
  return path !== STATE && !path.startsWith(`${STATE}/`)
}

function isOthers(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  return found !== undefined && found.uid !== 0
}

/**
 * Takes the whitelist out of fail2ban, where a configuration says how that was done, and with `--firewall` the blocks
 * out of the firewall; as the only run of this host, for a running cycle would put both back.
 */
async function takeBack(
  flags: Record<string, unknown>,
  write: boolean,
  env: Output['env'],
  run: RunCommand
): Promise<TakenBack> {
  const warnings: string[] = []
  const config = configLeft(flags, env, warnings)
  const clears = flags.firewall === true
  let cleared: string[] | undefined
  if (write && config !== undefined) {
    // The server is not asked for anything: its authority's file may be gone already.
    await onHost(
      { ...config, caFile: undefined },
      { report: () => undefined, run },
      async ({ whitelist }) => {
        // First: a fail2ban that does not answer must not keep blocks in force.
        if (clears) cleared = await clearFirewalls(run)
        await whitelist.withdraw()
      }
    )
  } else if (write && clears) {
    // Without a state folder nothing of ours has run.
    const clear = () => clearFirewalls(run)
    cleared = existsSync(STATE) ? await asOnlyRun(STATE, clear) : await clear()
  }
  const left = actionFiles(config?.fail2ban.config ?? SYNC_SETTINGS.fail2banConfig.fallback).filter(path =>
    existsSync(path)
  )
  return {
    ...(cleared && { cleared }),
    withdrawn: write && config !== undefined,
    next:
      left.length === 0
        ? []
        : [
            'take "fail2ban-report" out of the actions of your jails',
            `rm -f ${left.join(' ')}`,
            'fail2ban-client reload'
          ],
    warnings
  }
}

/** The configuration of the client that goes; undefined, with a warning, where none can be read. */
function configLeft(
  flags: Record<string, unknown>,
  env: Output['env'],
  warnings: string[]
): Readonly<ClientConfig> | undefined {
  const file = typeof flags.config === 'string' ? resolve(flags.config) : undefined
  try {
    return readClientConfig({ file, flags: {}, env })
  } catch (error) {
    // One that is named is meant.
    if (file !== undefined || !(error instanceof ProductError)) throw error
    warnings.push(`fail2ban is left as it is, whitelist included; --config FILE helps: ${error.message}`)
    return undefined
  }
}

/** Takes our entries out of every firewall that works here. @throws ProductError FIREWALL when one could not be cleared */
async function clearFirewalls(run: RunCommand): Promise<string[]> {
  const files = new JsonFiles({ clock: Date.now, onSetAside: () => undefined })
  const cleared: string[] = []
  const failed: string[] = []
  for (const kind of FIREWALL_KINDS) {
    if (kind === 'auto' || kind === 'dry-run') continue
    const firewall = await chooseFirewall(kind, { run, files, dryRunFile: '' }).catch(() => undefined)
    if (firewall === undefined) continue
    try {
      await firewall.clear()
      cleared.push(kind)
    } catch (error) {
      failed.push(`${kind}: ${messageOf(error)}`)
    }
  }
  if (failed.length > 0) throw new ProductError('FIREWALL', failed.join('; '))
  return cleared
}
