import { existsSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { ProductError } from '../../common/errors.js'
import type { Service, ServicePlan } from '../../common/service-plan.js'
import { deployText, plain, programValues, protectHome, tmpWarnings } from '../../common/service-plan.js'
import { INSTALLED_DATA as DATA, PHP_SETTINGS, readServerConfig, SERVER_FILE } from '../config.js'
import { flagText, type Terminal } from './context.js'

export const UNIT = 'fail2ban-report.service'
export const UNIT_PATH = `/etc/systemd/system/${UNIT}`
const USER = 'fail2ban-report'
const PATHS = {
  unit: UNIT_PATH,
  users: '/etc/sysusers.d/fail2ban-report.conf',
  folders: '/etc/tmpfiles.d/fail2ban-report.conf',
  rotation: '/etc/logrotate.d/fail2ban-report',
  settings: SERVER_FILE
}
/** As useradd takes them. */
const NAME = /^[a-z_][a-z0-9_-]{0,30}$/

/** The server as a service of systemd, run by a user of its own. */
export function serverService({ env }: Terminal): Service {
  // Where the data is must be known after an uninstall as well: server.conf stays with it.
  const paths = Object.values(PATHS).filter(path => path !== PATHS.settings)
  return { plan: flags => planOf(flags, env), paths, units: [UNIT] }
}

/**
 * @param flags `--user`, `--archive`, `--settings`, …: those of an installation that is used in place. What is not
 *   given stays as an earlier install set it.
 */
function planOf(flags: Record<string, unknown>, env: Terminal['env']): ServicePlan {
  const before =
    flagText(flags, 'prefix') === '' && existsSync(SERVER_FILE)
      ? readServerConfig({ flags: {}, env })
      : undefined
  const user = flagText(flags, 'user') || before?.user || USER
  if (!NAME.test(user) || user === 'root')
    throw new ProductError('BAD_INPUT', '--user: a user other than root')
  const own = (name: 'archive' | 'download' | 'temp') =>
    plain(resolve(flagText(flags, name) || before?.folders[name] || join(DATA, name)))
  const php = existsSync(PHP_SETTINGS) ? PHP_SETTINGS : join(DATA, 'settings')
  const settings = resolve(flagText(flags, 'settings') || before?.folders.settings || php)
  const folders = {
    archive: own('archive'),
    download: own('download'),
    temp: own('temp'),
    settings: plain(settings)
  }
  const program = programValues()
  const named = [...Object.values(folders), program.NODE, program.PROGRAM]
  const elsewhere = Object.values(folders).filter(path => !path.startsWith(`${DATA}/`))
  const values = {
    ...program,
    ...{
      USER: user,
      GROUP: groupOf(user),
      DATA,
      HOME: protectHome(named),
      WRITES: Object.values(folders).join(' ')
    },
    ...{
      ARCHIVE: folders.archive,
      DOWNLOAD: folders.download,
      TEMP: folders.temp,
      SETTINGS: folders.settings
    }
  }
  const text = (path: string) => deployText(`server/deploy/${path}`, values)
  return {
    files: [
      { path: PATHS.unit, text: text('systemd/fail2ban-report.service'), mode: 0o644 },
      ...(user === USER ? [{ path: PATHS.users, text: text('systemd/sysusers.conf'), mode: 0o644 }] : []),
      { path: PATHS.folders, text: text('systemd/tmpfiles.conf'), mode: 0o644 },
      { path: PATHS.rotation, text: text('logrotate/fail2ban-report'), mode: 0o644 },
      { path: PATHS.settings, text: text('systemd/server.conf'), mode: 0o644, theirs: true }
    ],
    steps: [
      ...(user === USER ? [{ program: 'systemd-sysusers', args: [PATHS.users] }] : []),
      { program: 'systemd-tmpfiles', args: ['--create', PATHS.folders] },
      { program: 'systemctl', args: ['daemon-reload'] }
    ],
    next: [
      'fail2ban-report user add NAME --role admin',
      'fail2ban-report client add HOST --server-url https://YOUR-SERVER',
      `systemctl enable --now ${UNIT}`
    ],
    warnings: [
      ...tmpWarnings(named),
      ...elsewhere
        .filter(path => flagText(flags, 'prefix') === '' && !existsSync(path))
        .map(path => `${path} is not there: make it, and give it to ${user}, before the service starts`)
    ]
  }
}

function groupOf(user: string): string {
  try {
    return execFileSync('id', ['-gn', '--', user], { encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch {
    // Not there yet: systemd-sysusers makes a group of the same name.
    return user
  }
}
