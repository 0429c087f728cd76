import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ProductError, systemCode } from '../../common/errors.js'
import { replaceFile } from '../replace-file.js'
import type { Fail2ban, Ignored } from './fail2ban.js'
import { withSettings, type SettingsFiles } from './settings-folder.js'

/** Read last but for names that begin with a later letter: what it adds to stands before it. */
const LAST = 'zz-fail2ban-report.local'
/** Read before all but jail.conf: an operator's own value takes its place. */
const FIRST = '00-fail2ban-report.conf'
const OURS = [FIRST, LAST]
const VARIABLE = 'fail2ban_report_whitelist'
const HEAD = "# Managed by Fail2Ban-Report (the client's whitelist); changes made here are overwritten.\n"

/** What fail2ban is to be given, and what the operator's own settings make each jail ignore. */
export interface DropIn {
  files: SettingsFiles
  operators: Map<string, Ignored>
}

/**
 * Finds files that make each jail ignore `items` beside what its operator's settings say. `[DEFAULT]` alone would not
 * do: a jail with an `ignoreip` of its own passes it over, and fail2ban refuses to start over a default that refers to
 * itself. So each jail gets a section that adds to what stood there before, and picks up later edits of it.
 * Everything is tried out in a copy first.
 * @throws ProductError COMMAND when fail2ban's settings are broken by themselves, or no way was found
 */
export async function findDropIn(fail2ban: Fail2ban, items: readonly string[]): Promise<DropIn> {
  const trial = (files: SettingsFiles) =>
    withSettings(fail2ban.place.config, OURS, files, folder => fail2ban.configured(folder))
  const operators = await trial(new Map())
  if (items.length === 0) return { files: new Map(), operators }
  for (const files of waysFor(items, operators)) {
    const found = await trial(files).catch((error: unknown) => {
      if (error instanceof ProductError) return undefined
      throw error
    })
    if (found !== undefined && isWhole(found, operators, items)) return { files, operators }
  }
  throw new ProductError('COMMAND', "no way was found to add to the ignoreip of fail2ban's settings")
}

/** The folder, within fail2ban's settings, that holds our files. */
export function dropInFolder(config: string): string {
  return join(config, 'jail.d')
}

/** Puts the files in place, and takes away those of ours that are not among them. @throws ProductError DISK */
export async function putDropIn(config: string, files: SettingsFiles): Promise<boolean> {
  const folder = dropInFolder(config)
  let changed = false
  // The last one may need the first: it comes after it and goes before it.
  for (const name of files.size === 0 ? [LAST, FIRST] : OURS) {
    const path = join(folder, name)
    const text = files.get(name)
    const known = await readFile(path, 'utf8').catch(() => undefined)
    if (text === known) continue
    changed = true
    if (text !== undefined) {
      await mkdir(folder, { recursive: true })
      await replaceFile(path, text)
    } else {
      await unlink(path).catch((error: unknown) => {
        throw new ProductError('DISK', `${path} (${systemCode(error) ?? 'unknown error'})`, error)
      })
    }
  }
  return changed
}

/** Changes when the operator edits a jail, or files of ours are edited or deleted; costs no process. */
export async function settingsVersion(config: string): Promise<string> {
  const hash = createHash('sha256')
  const names = await readdir(dropInFolder(config)).catch(() => [])
  for (const name of ['jail.conf', 'jail.local', ...names.sort().map(item => join('jail.d', item))]) {
    const info = await stat(join(config, name), { bigint: true }).catch(() => undefined)
    if (info !== undefined) hash.update(`${name}\0${info.size}\0${info.mtimeNs}\0`)
  }
  return hash.digest('hex')
}

function* waysFor(items: readonly string[], operators: Map<string, Ignored>): Generator<SettingsFiles> {
  const jails = [...operators.keys()]
  const known = lastFile(items, jails, () => '%(known/ignoreip)s')
  yield new Map([[LAST, known]])
  // No jail and no default says anything: what is referred to has to be there.
  yield new Map([
    [FIRST, `${HEAD}[DEFAULT]\nignoreip =\n`],
    [LAST, known]
  ])
  // An operator's own value refers to an earlier one: a copy of what it comes to now.
  const copy = (jail: string) => [...(operators.get(jail) ?? [])].join(' ').replaceAll('%', '%%')
  yield new Map([[LAST, lastFile(items, jails, copy)]])
}

function lastFile(
  items: readonly string[],
  jails: readonly string[],
  before: (jail: string) => string
): string {
  const list = items.map(item => item.replaceAll('%', '%%')).join('\n  ')
  const sections = jails.map(jail => `[${jail}]\nignoreip = ${before(jail)} %(${VARIABLE})s\n`)
  return `${HEAD}[DEFAULT]\n${VARIABLE} = ${list}\n${sections.join('')}`
}

function isWhole(
  found: Map<string, Ignored>,
  operators: Map<string, Ignored>,
  items: readonly string[]
): boolean {
  return [...operators].every(([jail, own]) => {
    const now = found.get(jail)
    return now !== undefined && [...own, ...items].every(item => now.has(item))
  })
}
