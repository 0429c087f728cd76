import { existsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { runCommand, type RunCommand } from '../../common/command.js'
import { messageOf, ProductError } from '../../common/errors.js'
import { JsonFiles } from '../../common/json-file.js'
import type { Service, ServicePlan } from '../../common/service-plan.js'
import { deployText, plain, programValues, protectHome, tmpWarnings } from '../../common/service-plan.js'
import { DEFAULT_FILES, readClientConfig, type ClientConfig } from '../config/config.js'
import { chooseFirewall, FIREWALL_KINDS } from '../firewall/choose.js'
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

type Configured = Pick<ClientConfig, 'state' | 'eventsDir' | 'blocklistDir' | 'clientLog' | 'metricsFile'>

/** The client as a service: a timer or a watch of systemd, or a cron line. */
export function clientService({ env }: Output, run: RunCommand = runCommand): Service {
  return {
    plan: flags => planOf(flags, env),
    paths: [...Object.values(UNITS).map(unitPath), CRON, ROTATION],
    units: [UNITS.timer, UNITS.sync, UNITS.watch],
    clearFirewall: () => clearFirewalls(run)
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
  const config: Configured =
    present === undefined
      ? { state: STATE, eventsDir: STATE, blocklistDir: STATE, clientLog: undefined, metricsFile: undefined }
      : readClientConfig({ file: present, flags: {}, env })
  const program = programValues()
  const metrics = config.metricsFile === undefined ? [] : [dirname(config.metricsFile)]
  const folders = [config.state, config.eventsDir, config.blocklistDir, ...metrics]
  const log = config.clientLog ?? CLIENT_LOG
  const named = [program.NODE, program.PROGRAM, ...folders, log, ...(present === undefined ? [] : [present])]
  const outside = folders.filter(path => path !== STATE && !path.startsWith(`${STATE}/`))
  const values = {
    ...program,
    FLAGS: file === undefined ? '' : ` --config ${file}`,
    HOME: protectHome(named),
    CAPABILITIES: [...CAPABILITIES, ...(outside.some(isOthers) ? FOR_OTHERS : [])].join(' '),
    // The log's folder, for a log that is not there yet.
    WRITES: [...new Set([...outside, ...(config.clientLog === undefined ? [] : [dirname(log)])])]
      .map(path => `${plain(path)} `)
      .join('')
      .concat('-/etc/ufw /run'),
    CLIENTLOG: plain(log)
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
      ...outside
        .filter(path => !existsSync(path))
        .map(path => `${path} is not there: make it before the service starts`)
    ]
  }
}

function isOthers(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  return found !== undefined && found.uid !== 0
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
