import type { Command } from 'commander'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { address, parseAddress, type Address } from './address.js'
import { ProductError, messageOf } from './errors.js'
import { nearest } from './nearest.js'

/** One setting: its names, how its text is read, what it is when nobody says. */
export interface Setting<T> {
  /** What it is, for `--help`. */
  describe: string
  /** What stands for the value in `--help`, such as `DIR`. */
  value: string
  fallback: T
  /** Reads the text. @throws Error saying which values are allowed */
  parse: (text: string) => T
  /** Never a flag (argv can be read by every process) and never printed. */
  secret?: true
}

/** Settings by name; `basePath` is flag `--base-path`, environment `F2BR_BASE_PATH`, file key `base_path`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a table of settings of any type
export type SettingTable = Record<string, Setting<any>>
export type SettingValues<T extends SettingTable> = {
  readonly [Name in keyof T]: T[Name] extends Setting<infer Value> ? Value : never
}

/** Where values may come from, strongest first (architecture.md "One way to do each thing"). */
export interface SettingSources {
  flags: Readonly<Record<string, unknown>>
  env: Readonly<Record<string, string | undefined>>
  /** Keys in `snake_case`. */
  file?: {
    name: string
    values: ReadonlyMap<string, string>
    /** The line that sets a key, where it is known. */
    lineOf?: (key: string) => number | undefined
  }
}

const ENV_PREFIX = 'F2BR_'

/** `basePath` → `base-path`. */
export function flagOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

function envOf(name: string): string {
  return ENV_PREFIX + flagOf(name).replaceAll('-', '_').toUpperCase()
}

function keyOf(name: string): string {
  return flagOf(name).replaceAll('-', '_')
}

/** Adds a table's flags to a command. @param hidden taken without being shown: they mean little for the command */
export function addFlags(command: Command, table: SettingTable, hidden: readonly string[] = []): Command {
  for (const [name, setting] of Object.entries(table)) {
    if (setting.secret === true) continue
    const fallback = inWords(setting.fallback)
    const told = fallback === '' ? '' : ` [default: ${fallback}]`
    const option = command.createOption(
      `--${flagOf(name)} <${setting.value}>`,
      `${setting.describe} [env: ${envOf(name)}]${told}`
    )
    command.addOption(option.hideHelp(hidden.includes(name)))
  }
  return command
}

/** A value as a person would give it; empty for none. */
function inWords(fallback: unknown): string {
  if (typeof fallback === 'boolean') return fallback ? 'yes' : 'no'
  if (Array.isArray(fallback)) return fallback.join(', ')
  return typeof fallback === 'string' || typeof fallback === 'number' ? String(fallback) : ''
}

/**
 * Reads all settings of a table into one frozen object: flags over environment over file over fallback.
 * @throws ProductError CONFIG naming the setting, where it came from, and what is allowed
 */
export function readSettings<T extends SettingTable>(table: T, sources: SettingSources): SettingValues<T> {
  refuseUnknown(table, sources)
  const values = Object.entries(table).map(([name, setting]: [string, Setting<unknown>]) => {
    const found = lookUp(name, setting, sources)
    if (found === undefined) return [name, setting.fallback]
    try {
      return [name, setting.parse(found.text)]
    } catch (error) {
      throw new ProductError('CONFIG', `${found.from}: ${messageOf(error)}`, error)
    }
  })
  return Object.freeze(Object.fromEntries(values)) as SettingValues<T>
}

function lookUp(
  name: string,
  setting: Setting<unknown>,
  { flags, env, file }: SettingSources
): { text: string; from: string } | undefined {
  const flag = setting.secret === true ? undefined : flags[name]
  if (typeof flag === 'string') return { text: flag, from: `--${flagOf(name)}` }
  const inEnv = env[envOf(name)]
  if (inEnv !== undefined) return { text: inEnv, from: envOf(name) }
  const inFile = file?.values.get(keyOf(name))
  if (inFile !== undefined) return { text: inFile, from: `${keyOf(name)} in ${file?.name ?? 'the file'}` }
  return undefined
}

function refuseUnknown(table: SettingTable, { file }: SettingSources): void {
  const keys = new Set(Object.keys(table).map(keyOf))
  for (const key of file?.values.keys() ?? []) {
    if (keys.has(key)) continue
    const line = file?.lineOf?.(key)
    const where = `${file?.name ?? 'the file'}${line === undefined ? '' : ` line ${line}`}`
    const meant = nearest(key, [...keys]) ?? ''
    throw new ProductError('CONFIG', `${key} in ${where}: there is no such setting; the nearest is ${meant}`)
  }
}

/** True when the environment sets anything of ours: only then is it worth a closer look. */
export function setsAnything(env: SettingSources['env']): boolean {
  return Object.keys(env).some(name => name.startsWith(ENV_PREFIX))
}

/**
 * Refuses environment variables of ours that name no setting: a misspelt one would pass in silence. All tables are
 * needed at once, as server and client of one machine may share an environment.
 * @param others settings that stand in no table
 * @throws ProductError CONFIG naming the variable and the nearest setting there is
 */
export function refuseUnknownEnv(
  env: SettingSources['env'],
  tables: readonly SettingTable[],
  others: readonly string[] = []
): void {
  const known = [...tables.flatMap(table => Object.keys(table)), ...others].map(envOf)
  for (const name of Object.keys(env)) {
    if (!name.startsWith(ENV_PREFIX) || known.includes(name)) continue
    const meant = nearest(name.toUpperCase(), known) ?? ''
    throw new ProductError('CONFIG', `${name}: there is no such setting; the nearest is ${meant}`)
  }
}

function readAddresses(text: string): Address[] {
  const items = text.split(/[\s,]+/).filter(item => item !== '')
  const bad = items.find(item => parseAddress(item) === undefined)
  if (bad !== undefined) throw new Error('addresses or networks separated by commas are needed')
  return items.map(item => address(item))
}

type Extra<T> = Omit<Setting<T>, 'parse' | 'value'>

/** Readers of the usual kinds of setting. */
export const setting = {
  text: (more: Extra<string>, value = 'TEXT'): Setting<string> => ({
    ...more,
    value,
    parse: text => {
      // eslint-disable-next-line no-control-regex -- control characters are what is looked for
      if (/[\u0000-\u001f]/.test(text)) throw new Error('no control characters allowed')
      return text
    }
  }),
  path: (more: Extra<string>, value = 'DIR'): Setting<string> => ({
    ...more,
    value,
    parse: text => {
      if (text === '' || text.includes('\0')) throw new Error('a path is needed')
      return resolve(text)
    }
  }),
  integer: (more: Extra<number> & { least: number; most: number }): Setting<number> => ({
    ...more,
    value: 'N',
    parse: text => {
      const value = /^\d{1,12}$/.test(text) ? Number(text) : NaN
      if (!(value >= more.least && value <= more.most)) {
        throw new Error(`a whole number from ${more.least} to ${more.most} is needed`)
      }
      return value
    }
  }),
  oneOf: <const T extends string>(choices: readonly T[], more: Extra<NoInfer<T>>): Setting<T> => ({
    ...more,
    value: choices.join('|'),
    parse: text => {
      const found = choices.find(choice => choice === text)
      if (found === undefined) throw new Error(`one of ${choices.join(', ')} is needed`)
      return found
    }
  }),
  someOf: <const T extends string>(choices: readonly T[], more: Extra<T[]>): Setting<T[]> => ({
    ...more,
    value: 'NAME,…|none',
    parse: text => {
      const items = text.split(/[\s,]+/).filter(item => item !== '' && item !== 'none')
      return items.map(item => {
        const found = choices.find(choice => choice === item)
        if (found === undefined) throw new Error(`none, or some of ${choices.join(', ')} are needed`)
        return found
      })
    }
  }),
  yesNo: (more: Extra<boolean>): Setting<boolean> => ({
    ...more,
    value: 'yes|no',
    parse: text => {
      if (/^(yes|true|on|1)$/i.test(text)) return true
      if (/^(no|false|off|0)$/i.test(text)) return false
      throw new Error('yes or no is needed')
    }
  }),
  addresses: (more: Extra<Address[]>): Setting<Address[]> => ({
    ...more,
    value: 'IP,CIDR,…',
    parse: readAddresses
  }),
  /** Who may come: everybody when it is not set, nobody when it is `none`. */
  allowList: (more: Omit<Extra<undefined>, 'fallback'>): Setting<Address[] | undefined> => ({
    ...more,
    fallback: undefined,
    value: 'IP,CIDR,…|none',
    parse: text => {
      if (text.trim() === 'none') return []
      const found = readAddresses(text)
      // An empty text is more likely a slip than a wish to let nobody in, or everybody.
      if (found.length === 0)
        throw new Error('addresses or networks separated by commas, or none, are needed')
      return found
    }
  }),
  host: (more: Extra<string>): Setting<string> => ({
    ...more,
    value: 'ADDRESS',
    parse: text => {
      if (isIP(text) === 0 && !/^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/.test(text)) {
        throw new Error('an address or host name is needed')
      }
      return text
    }
  }),
  url: (more: Extra<string>): Setting<string> => ({
    ...more,
    value: 'URL',
    parse: text => {
      const url = URL.canParse(text) ? new URL(text) : undefined
      if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
        throw new Error('a URL that starts with https:// (or http://) is needed')
      }
      if (url.username !== '' || url.password !== '') throw new Error('no user name or password in the URL')
      return text
    }
  })
}
