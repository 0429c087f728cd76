import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Address } from '../../common/address.js'
import { COMMAND_TYPES, type CommandType } from '../../common/commands.js'
import { messageOf, ProductError, systemCode } from '../../common/errors.js'
import { serverName, type ServerName } from '../../common/names.js'
import { readSettings, setting, type SettingSources } from '../../common/settings.js'
import type { Fail2banPlace } from '../fail2ban/fail2ban.js'
import { isPhpClientFile, fromPhpClientFile } from './php-client.js'
import { lineOfKey, readKeyValues } from '../../common/key-values.js'

/** Everything the client can be told; read once at start. */
export interface ClientConfig {
  username: ServerName
  password: string
  uuid: string
  /** What fail2ban on this host sends with its callbacks; empty where it has none. */
  callbackSecret: string
  urls: { index: string; update: string; download: string; syncback: string }
  /** Where the server's API for machines lies; undefined where the URLs don't tell. */
  apiUrl: string | undefined
  caFile: string | undefined
  /** fail2ban's log. */
  log: string
  /** Folder of the client's own state; events and lists lie below it unless set apart. */
  state: string
  eventsDir: string
  blocklistDir: string
  /** File that says what the client did; none when absent. */
  clientLog: string | undefined
  /** Figures of the last cycle, for node_exporter's textfile collector; none when absent. */
  metricsFile: string | undefined
  firewall: 'auto' | 'nftables' | 'ufw' | 'ipset' | 'dry-run'
  neverBlock: readonly Address[]
  /** Widest networks that may be blocked, prefix lengths. */
  widest: { 4: number; 6: number }
  /** Where a host that watches waits to be told of changes; undefined where the server has no such place. */
  wakeUrl: string | undefined
  /** Seconds between cycles of `--watch`. */
  interval: number
  /** Milliseconds for connecting, and for silence while data flows. */
  timeout: number
  whitelist: {
    enabled: boolean
    /** Seconds between pulls of `--watch`. */
    interval: number
    path: string
    /** Whether fail2ban reads all its settings again after a change. */
    reloadOnChange: boolean
  }
  fail2ban: Fail2banPlace
  /** What the server may tell this host to do. */
  commands: readonly CommandType[]
  /** What should be put right, though it works. */
  warnings: readonly Warning[]
}

/** Something that works but should be put right, and how. */
export interface Warning {
  what: string
  mend: string
}

/** Files looked for when `--config` says nothing, first to last. */
export const DEFAULT_FILES = ['/etc/fail2ban-report/client.conf', '/opt/Fail2Ban-Report/Settings/config.env']

/** Settings of `sync`; keys of our own file are the same in snake_case. */
export const SYNC_SETTINGS = {
  server: setting.url({ describe: "the server's URL, base path included", fallback: '' }),
  username: setting.text({ describe: "this host's name on the server", fallback: '' }, 'NAME'),
  password: { ...setting.text({ describe: '', fallback: '' }), secret: true as const },
  uuid: { ...setting.text({ describe: '', fallback: '' }), secret: true as const },
  callbackSecret: { ...setting.text({ describe: '', fallback: '' }), secret: true as const },
  passwordFile: setting.path({ describe: 'file that holds the password', fallback: '' }, 'FILE'),
  indexUrl: setting.url({ describe: 'URL of index.php, where it is not below --server', fallback: '' }),
  updateUrl: setting.url({ describe: 'URL of update.php', fallback: '' }),
  downloadUrl: setting.url({ describe: 'URL of download.php', fallback: '' }),
  syncbackUrl: setting.url({ describe: 'URL of syncback.php or backsync.php', fallback: '' }),
  caFile: setting.path(
    { describe: 'PEM file of the authority that signed the server certificate', fallback: '' },
    'FILE'
  ),
  log: setting.path({ describe: "fail2ban's log", fallback: '/var/log/fail2ban.log' }, 'FILE'),
  state: setting.path({ describe: "folder of the client's state", fallback: '/var/lib/fail2ban-report' }),
  eventsDir: setting.path({ describe: 'folder of daily events', fallback: '' }),
  blocklistDir: setting.path({ describe: "folder of this host's blocklists", fallback: '' }),
  clientLog: setting.path({ describe: 'file that says what the client did', fallback: '' }, 'FILE'),
  metricsFile: setting.path(
    { describe: 'file for figures of each cycle, for the textfile collector of node_exporter', fallback: '' },
    'FILE'
  ),
  firewall: setting.oneOf(['auto', 'nftables', 'ufw', 'ipset', 'dry-run'], {
    describe: 'where blocks are put in force',
    fallback: 'auto'
  }),
  neverBlock: setting.addresses({ describe: 'addresses and networks never to block', fallback: [] }),
  widest4: setting.integer({
    describe: 'widest IPv4 network to block, as a prefix length',
    fallback: 8,
    least: 1,
    most: 32
  }),
  widest6: setting.integer({
    describe: 'widest IPv6 network to block, as a prefix length',
    fallback: 19,
    least: 1,
    most: 128
  }),
  interval: setting.integer({
    describe: 'seconds between cycles with --watch',
    fallback: 300,
    least: 1,
    most: 86_400
  }),
  wake: setting.oneOf(['on', 'off'], {
    describe: 'whether --watch holds a connection on which the server says that something changed',
    fallback: 'on'
  }),
  timeout: setting.integer({ describe: 'seconds to wait for the server', fallback: 30, least: 1, most: 600 }),
  whitelistEnabled: setting.yesNo({
    describe: "whether fail2ban here heeds the server's whitelist",
    fallback: true
  }),
  whitelistInterval: setting.integer({
    describe: 'seconds between pulls of the whitelist with --watch',
    fallback: 300,
    least: 1,
    most: 86_400
  }),
  whitelistPath: setting.path({ describe: "this host's copy of the whitelist", fallback: '' }, 'FILE'),
  whitelistReloadOnChange: setting.yesNo({
    describe: 'reload fail2ban when the whitelist changes, instead of telling its running jails',
    fallback: false
  }),
  commands: setting.someOf(COMMAND_TYPES, {
    describe: 'what the server may tell this host to do (all but fail2ban_reload)',
    fallback: COMMAND_TYPES.filter(type => type !== 'fail2ban_reload')
  }),
  fail2banConfig: setting.path({ describe: "fail2ban's folder of settings", fallback: '/etc/fail2ban' }),
  fail2banSocket: setting.path(
    { describe: "fail2ban's socket, where its settings don't name it", fallback: '' },
    'FILE'
  )
}

/**
 * Reads the client's settings from a file (ours, or an existing bash client's config.env), environment and flags.
 * @throws ProductError CONFIG naming what is wrong and what to do; never with a secret in it
 */
export function readClientConfig(options: {
  file?: string | undefined
  flags: Readonly<Record<string, unknown>>
  env: Readonly<Record<string, string | undefined>>
  /** Files looked for when none is named; for tests. */
  defaults?: readonly string[]
}): Readonly<ClientConfig> {
  const warnings: Warning[] = []
  const defaults = options.defaults ?? DEFAULT_FILES
  const file = readFile(options.file ?? options.env.F2BR_CONFIG, defaults, warnings)
  const sources: SettingSources = {
    flags: options.flags,
    env: options.env,
    ...(file === undefined ? {} : { file })
  }
  const read = readSettings(SYNC_SETTINGS, sources)
  // A flag wins over the environment, which wins over the file, for the two ways to give one thing as well.
  const { flags, env } = options
  const fileWins =
    flags.passwordFile !== undefined ||
    (env.F2BR_PASSWORD_FILE !== undefined && env.F2BR_PASSWORD === undefined)
  const fromFile = fileWins || read.password === ''
  const password = fromFile ? passwordFrom(read.passwordFile, warnings) : read.password
  const urls = urlsOf(read)
  const missing = [
    ...(read.username === '' ? ['username (CLIENT_USER)'] : []),
    ...(password === '' ? ['password (CLIENT_PASS, password_file)'] : []),
    ...(read.uuid === '' ? ['uuid (CLIENT_UUID)'] : []),
    ...(urls === undefined ? ['server (or all of ENDPOINT_URL, UPDATE_URL, DOWNLOAD_URL, BACKSYNC_URL)'] : [])
  ]
  if (missing.length > 0 || urls === undefined) {
    const where =
      file === undefined ? `looked for ${defaults.join(' and ')}; give --config FILE` : `in ${file.name}`
    throw new ProductError(
      'CONFIG',
      `missing: ${missing.join(', ')} (${where}). "fail2ban-report client add" on the server prints all of it`
    )
  }
  for (const url of new Set(Object.values(urls))) {
    const { protocol, hostname, host } = new URL(url)
    if (protocol === 'http:' && !isLoopback(hostname)) {
      warnings.push({ what: `the password goes to ${host} unencrypted`, mend: 'use https://' })
      break
    }
  }
  const apiUrl = apiOf(urls.update)
  return Object.freeze({
    username: userName(read.username),
    password,
    uuid: read.uuid,
    callbackSecret: read.callbackSecret,
    urls: Object.freeze(urls),
    caFile: read.caFile || undefined,
    log: read.log,
    state: read.state,
    eventsDir: read.eventsDir || join(read.state, 'events'),
    blocklistDir: read.blocklistDir || join(read.state, 'blocklists'),
    clientLog: read.clientLog || undefined,
    metricsFile: read.metricsFile || undefined,
    firewall: read.firewall,
    neverBlock: Object.freeze(read.neverBlock),
    widest: Object.freeze({ 4: read.widest4, 6: read.widest6 }),
    wakeUrl: read.wake === 'on' && apiUrl !== undefined ? `${apiUrl}/wake` : undefined,
    interval: read.interval,
    timeout: read.timeout * 1000,
    apiUrl,
    whitelist: Object.freeze({
      enabled: read.whitelistEnabled,
      interval: read.whitelistInterval,
      path: read.whitelistPath || join(read.state, 'whitelist.txt'),
      reloadOnChange: read.whitelistReloadOnChange
    }),
    commands: Object.freeze(read.commands),
    fail2ban: Object.freeze({ config: read.fail2banConfig, socket: read.fail2banSocket }),
    warnings
  })
}

function readFile(
  path: string | undefined,
  defaults: readonly string[],
  warnings: Warning[]
): SettingSources['file'] {
  for (const name of path === undefined ? defaults : [path]) {
    let text: string
    try {
      text = readFileSync(name, 'utf8')
    } catch (error) {
      if (path === undefined && systemCode(error) === 'ENOENT') continue
      throw new ProductError(
        'CONFIG',
        `--config ${name} can't be read (${systemCode(error) ?? 'unknown error'})`,
        error
      )
    }
    const values = readKeyValues(text, name)
    if (values.has('password') || values.has('CLIENT_PASS')) warnIfReadable(name, warnings)
    if (isPhpClientFile(values)) return { name, values: fromPhpClientFile(values) }
    return { name, values, lineOf: key => lineOfKey(text, key) }
  }
  return undefined
}

function passwordFrom(path: string, warnings: Warning[]): string {
  if (path === '') return ''
  try {
    warnIfReadable(path, warnings)
    return (readFileSync(path, 'utf8').split(/\r?\n/)[0] ?? '').trim()
  } catch (error) {
    throw new ProductError(
      'CONFIG',
      `password_file ${path} can't be read (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  }
}

function warnIfReadable(path: string, warnings: Warning[]): void {
  if ((statSync(path).mode & 0o077) !== 0) {
    warnings.push({ what: `${path} holds the password and others can read it`, mend: `chmod 600 ${path}` })
  }
}

function urlsOf(read: {
  server: string
  indexUrl: string
  updateUrl: string
  downloadUrl: string
  syncbackUrl: string
}): ClientConfig['urls'] | undefined {
  if (/[?#]/.test(read.server)) throw new ProductError('CONFIG', 'server: no ? or # in the URL')
  const at = (name: string) =>
    read.server === '' ? '' : `${read.server.replace(/\/+$/, '')}/endpoint/${name}.php`
  const urls = {
    index: read.indexUrl || at('index'),
    update: read.updateUrl || at('update'),
    download: read.downloadUrl || at('download'),
    syncback: read.syncbackUrl || at('syncback')
  }
  return Object.values(urls).includes('') ? undefined : urls
}

/** `…/endpoint/update.php` → `…/api/v1`. */
function apiOf(update: string): string | undefined {
  const url = new URL(update)
  const [, base] = /^(.*)\/endpoint\/update\.php$/.exec(url.pathname) ?? []
  return base === undefined ? undefined : `${url.origin}${base}/api/v1`
}

function userName(text: string): ServerName {
  try {
    return serverName(text)
  } catch (error) {
    throw new ProductError('CONFIG', `username (CLIENT_USER): ${messageOf(error)}`, error)
  }
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
