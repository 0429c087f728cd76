import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, sep } from 'node:path'
import type { Address } from '../common/address.js'
import { ProductError, systemCode } from '../common/errors.js'
import { lineOfKey, readKeyValues } from '../common/key-values.js'
import { packageRoot } from '../common/package-root.js'
import { LIMITS } from '../common/shapes.js'
import { readSettings, setting, type SettingSources } from '../common/settings.js'
import type { SyncBackMode } from './store/blocklists.js'
import type { Folders } from './store/folders.js'

/** Everything the server can be told; read once at start. */
export interface ServerConfig {
  host: string
  port: number
  /** `/` or `/Some/Path`, without a final slash. */
  basePath: string
  folders: Folders
  /** Proxies whose X-Forwarded-* headers count: addresses and networks; none by default. */
  trustProxy: string[]
  syncback: SyncBackMode
  /** What a session is bound to beside its cookie: the browser's name, or that and its network. */
  sessionBinding: 'agent' | 'network'
  /** Widest networks that may be blocked, prefix lengths. */
  widest: { 4: number; 6: number }
  /** Bytes of one uploaded file. */
  uploadBytes: number
  /** Where look-up services answer. */
  abuseipdbUrl: string
  ipinfoUrl: string
  /** Database of countries; empty for none. */
  geoip: string
  logLevel: string
  /** The user to become when started as root; none when empty. */
  user: string
  /** Where log lines go; standard output when empty. */
  logFile: string
  /** Apache's password file, asked for in front of the dashboard; empty for none. */
  htpasswd: string
  /** Whence the dashboard and the programs' API may be asked; undefined for everywhere. */
  allowDashboard: Address[] | undefined
  /** Whence hosts may ask; undefined for everywhere. */
  allowEndpoints: Address[] | undefined
  /** Whether the dashboard asks for password and address, or for one of them. */
  satisfy: 'all' | 'any'
  /** Certificate (with its chain) and key, PEM; empty for plain HTTP. */
  tlsCert: string
  tlsKey: string
  /** Plain HTTP is spoken on other addresses than loopback as well. */
  plainHttp: boolean
}

const ROOT = packageRoot()
/** Where a server that was installed keeps its data: as a service, or by root with npm. */
export const INSTALLED_DATA = '/var/lib/fail2ban-report-server'

/** Where an existing PHP installation keeps its settings. */
export const PHP_SETTINGS = '/opt/Fail2Ban-Report/Settings'

/** The server's settings file, where it is installed as a service; `F2BR_SERVER_CONFIG` names another. */
export const SERVER_FILE = '/etc/fail2ban-report/server.conf'

/**
 * Where data lies when nobody says. A package's own folder is replaced at the next update: installed by npm, data is
 * root's in /var/lib, and anybody else's at home (XDG Base Directory Specification).
 * @param root the folder that holds package.json
 */
export function usualFolders(
  root: string,
  uid: number | undefined,
  env: SettingSources['env'],
  home: string
): Folders {
  const installed = root.split(sep).includes('node_modules')
  const xdg = env.XDG_DATA_HOME?.startsWith('/') === true ? env.XDG_DATA_HOME : join(home, '.local/share')
  const data = !installed ? root : uid === 0 ? INSTALLED_DATA : join(xdg, 'fail2ban-report')
  return {
    archive: join(data, 'archive'),
    download: join(data, 'download'),
    temp: join(data, 'temp'),
    settings: installed ? join(data, 'settings') : join(data, 'server', 'settings')
  }
}

const USUAL = usualFolders(ROOT, process.getuid?.(), process.env, homedir())

/** Folders every server-side command needs. */
export const FOLDER_SETTINGS = {
  archive: setting.path({ describe: 'folder of events and blocklists', fallback: USUAL.archive }),
  download: setting.path({ describe: 'folder of lists being handed out', fallback: USUAL.download }),
  temp: setting.path({ describe: 'folder of uploads being checked', fallback: USUAL.temp }),
  settings: setting.path({
    describe: 'folder of users, clients and keys',
    fallback: existsSync(PHP_SETTINGS) ? PHP_SETTINGS : USUAL.settings
  }),
  widest4: setting.integer({
    describe: 'widest IPv4 network that may be blocked, as a prefix length',
    fallback: 8,
    least: 1,
    most: 32
  }),
  widest6: setting.integer({
    describe: 'widest IPv6 network that may be blocked, as a prefix length',
    fallback: 19,
    least: 1,
    most: 128
  })
}

/** Settings of `serve`. */
export const SERVE_SETTINGS = {
  host: setting.host({ describe: 'address to listen on', fallback: '127.0.0.1' }),
  port: setting.integer({
    describe: 'port to listen on; 0 takes a free one',
    fallback: 8080,
    least: 0,
    most: 65535
  }),
  basePath: {
    describe: 'path below which everything lies, such as /Fail2Ban-Report',
    value: 'PATH',
    fallback: '/',
    parse: (text: string): string => {
      const path = text.replace(/\/+$/, '')
      if (path !== '' && !/^(\/[A-Za-z0-9._~-]+)+$/.test(path)) {
        throw new Error('a path such as /Fail2Ban-Report is needed')
      }
      return path === '' ? '/' : path
    }
  },
  ...FOLDER_SETTINGS,
  trustProxy: setting.addresses({
    describe: 'proxies whose X-Forwarded-For and -Proto count',
    fallback: []
  }),
  syncback: setting.oneOf(['merge', 'overwrite'], {
    describe: 'changes made between download and sync-back: kept, or lost as in the original concept',
    fallback: 'merge'
  }),
  sessionBinding: setting.oneOf(['agent', 'network'], {
    describe: "what a session is bound to: the browser's User-Agent, or that and its network (/24, /64)",
    fallback: 'agent'
  }),
  uploadBytes: setting.integer({
    describe: 'largest uploaded file, in bytes',
    fallback: LIMITS.uploadBytes,
    least: 1024,
    most: 1024 ** 3
  }),
  user: setting.text(
    { describe: 'user to become before listening, when started as root', fallback: '' },
    'NAME'
  ),
  abuseipdbUrl: setting.url({
    describe: 'where AbuseIPDB answers',
    fallback: 'https://api.abuseipdb.com/api/v2/check'
  }),
  ipinfoUrl: setting.url({ describe: 'where ipinfo answers', fallback: 'https://ipinfo.io' }),
  geoip: setting.path(
    {
      describe: "database of addresses' countries in MaxMind's format (.mmdb)",
      fallback: ''
    },
    'FILE'
  ),
  logLevel: setting.oneOf(['debug', 'info', 'warn', 'error'], {
    describe: 'least level that is logged',
    fallback: 'info'
  }),
  logFile: setting.path({ describe: 'file for log lines instead of standard output', fallback: '' }, 'FILE'),
  htpasswd: setting.path(
    { describe: 'password file (htpasswd -B) that is asked for in front of the dashboard', fallback: '' },
    'FILE'
  ),
  allowDashboard: setting.allowList({
    describe: 'addresses from which the dashboard may be opened, and the API used'
  }),
  allowEndpoints: setting.allowList({ describe: 'addresses from which hosts may sync' }),
  satisfy: setting.oneOf(['all', 'any'], {
    describe:
      'what the dashboard asks for where both htpasswd and allow-dashboard are set: both, or one of them',
    fallback: 'all'
  }),
  tlsCert: setting.path(
    { describe: 'certificate with its chain (PEM): HTTPS without a proxy', fallback: '' },
    'FILE'
  ),
  tlsKey: setting.path({ describe: "the certificate's private key (PEM)", fallback: '' }, 'FILE'),
  plainHttp: setting.yesNo({
    describe: 'speak plain HTTP on other addresses than loopback as well',
    fallback: false
  })
}

/** Reads the settings of `serve`. @throws ProductError CONFIG */
export function readServerConfig({ flags, env }: Omit<SettingSources, 'file'>): ServerConfig {
  const file = serverFile(env)
  const sources = { flags, env, ...(file === undefined ? {} : { file }) }
  const { archive, download, temp, settings, widest4, widest6, ...rest } = readSettings(
    SERVE_SETTINGS,
    sources
  )
  return Object.freeze({
    ...rest,
    folders: { archive, download, temp, settings },
    widest: { 4: widest4, 6: widest6 }
  })
}

/** The name of the server's settings file, which need not be there. */
export function serverFileName(env: SettingSources['env']): string {
  return env.F2BR_SERVER_CONFIG ?? SERVER_FILE
}

/** The server's settings file: keys in snake_case. @throws ProductError CONFIG when it can't be read */
function serverFile(env: SettingSources['env']): SettingSources['file'] {
  const named = env.F2BR_SERVER_CONFIG
  const name = serverFileName(env)
  try {
    const text = readFileSync(name, 'utf8')
    return { name, values: readKeyValues(text, name), lineOf: key => lineOfKey(text, key) }
  } catch (error) {
    if (error instanceof ProductError) throw error
    if (named === undefined && systemCode(error) === 'ENOENT') return undefined
    throw new ProductError('CONFIG', `${name} can't be read (${systemCode(error) ?? 'unknown error'})`, error)
  }
}
