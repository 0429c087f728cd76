import { readFileSync, statSync } from 'node:fs'
import type { Command } from 'commander'
import { messageOf, ProductError, systemCode } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { meaningOf, type Meaning, type Untranslated } from '../htaccess/meaning.js'
import { parseHtaccess } from '../htaccess/parse.js'
import { Region } from '../htaccess/region.js'
import { parseHtpasswd } from '../store/htpasswd.js'
import { flagText, show, type Terminal } from './context.js'

const TARGETS = ['dashboard', 'endpoints', 'both'] as const
type Target = (typeof TARGETS)[number]

/** More networks than this are no list that anybody keeps in a settings file. */
const MOST_NETWORKS = 256
const MOST_BYTES = 1024 * 1024

/** What a file means, as settings of `serve`. */
export interface Imported {
  /** Keys of server.conf. */
  settings: Record<string, string>
  untranslated: Untranslated[]
  notes: string[]
}

/** `import-htaccess`: prints what an .htaccess means as settings; changes nothing. */
export function addImportHtaccess(program: Command, terminal: Terminal): void {
  program
    .command('import-htaccess <file>')
    .description("print the settings that an existing installation's .htaccess means; nothing is changed")
    .option(`--for <${TARGETS.join('|')}>`, 'what the file is in front of', 'both')
    .option('--json', 'print JSON for machines instead of text')
    .addHelpText(
      'after',
      '\nIt ends with 1 when a part of the file could not be translated, and\nnever prints settings that let more in.\n\nExamples:\n  fail2ban-report import-htaccess /var/www/html/Fail2Ban-Report/.htaccess\n  fail2ban-report import-htaccess --for endpoints /var/www/html/Fail2Ban-Report/endpoint/.htaccess'
    )
    .action((file: string, flags: Record<string, unknown>) => {
      const target = TARGETS.find(one => one === flagText(flags, 'for'))
      if (target === undefined)
        throw new ProductError('BAD_INPUT', `--for: one of ${TARGETS.join(', ')} is needed`)
      const imported = importHtaccess(readText(file), target)
      show(flags, terminal, imported, () => asText(file, imported))
      if (imported.untranslated.length > 0) process.exitCode = 1
    })
}

/** @throws ProductError BAD_INPUT where the text is no .htaccess */
export function importHtaccess(text: string, target: Target): Imported {
  const passwords = new PasswordFiles()
  const meaning = meaningOf(parseHtaccess(text), path => passwords.users(path))
  const { untranslated } = meaning
  const notes = [...meaning.notes]
  const settings: Record<string, string> = {}
  const doubtful =
    meaning.unsure || (untranslated.length > 0 && meaning.with.isEmpty && meaning.without.isEmpty)
  if (doubtful)
    notes.push('so nothing of the rule is printed: what was not understood may change it altogether')
  else {
    if (target !== 'endpoints') Object.assign(settings, forDashboard(meaning, untranslated))
    if (target !== 'dashboard') Object.assign(settings, forEndpoints(meaning, untranslated, notes))
    if (meaning.unknown && Object.keys(settings).length > 0)
      notes.push('where a part was not understood, nobody is let in by it')
    if (Object.keys(settings).length === 0 && untranslated.length === 0)
      notes.push('the file keeps nobody out')
    passwords.tell(settings.htpasswd, untranslated, notes)
  }
  return { settings, untranslated, notes }
}

function forDashboard(meaning: Meaning, untranslated: Untranslated[]): Record<string, string> {
  const { without, with: withPassword, userFile } = meaning
  if (without.equals(withPassword)) return allowed('allow_dashboard', without, untranslated)
  const htpasswd = quoted(userFile)
  if (without.isEmpty) {
    const listed = allowed('allow_dashboard', withPassword, untranslated)
    // A list that can't be printed must not leave the password alone.
    return listed === NOT_PRINTED ? listed : { ...listed, htpasswd }
  }
  if (withPassword.isAll) {
    const listed = allowed('allow_dashboard', without, untranslated)
    return listed === NOT_PRINTED ? listed : { ...listed, htpasswd, satisfy: 'any' }
  }
  untranslated.push({
    line: 0,
    text: 'the rule as a whole',
    why: 'addresses with and addresses without a password are more than one list and one password can say'
  })
  return {}
}

/** Hosts have credentials of their own, and can't give another password. */
function forEndpoints(
  meaning: Meaning,
  untranslated: Untranslated[],
  notes: string[]
): Record<string, string> {
  const { without, with: withPassword } = meaning
  if (without.equals(withPassword)) return allowed('allow_endpoints', without, untranslated)
  notes.push('hosts are not asked for the password: they have credentials of their own')
  // Apache let others in by password only: hosts that did come from a listed address.
  return allowed('allow_endpoints', without.isEmpty ? withPassword : without, untranslated)
}

const NOT_PRINTED: Record<string, string> = {}

function allowed(key: string, region: Region, untranslated: Untranslated[]): Record<string, string> {
  if (region.isAll) return {}
  if (region.isEmpty) return { [key]: 'none' }
  const networks = region.networks()
  if (networks.length <= MOST_NETWORKS) return { [key]: networks.join(',') }
  untranslated.push({ line: 0, text: key, why: `it would take ${networks.length} networks` })
  return NOT_PRINTED
}

/** A value as server.conf takes it (common/key-values.ts). */
function quoted(path: string): string {
  if (/^[\w./:@+,=-]+$/.test(path)) return path
  return `"${path.replaceAll(/["\\$`]/g, '\\$&')}"`
}

/** The password files that a rule names. */
class PasswordFiles {
  readonly #problems = new Map<string, string>()

  /** The users of a file; undefined where it can't be read, or not be used. */
  users(path: string): string[] | undefined {
    try {
      return parseHtpasswd(readText(path), path).map(({ username }) => username)
    } catch (error) {
      this.#problems.set(path, messageOf(error))
      return undefined
    }
  }

  tell(path: string | undefined, untranslated: Untranslated[], notes: string[]): void {
    if (path === undefined) return
    const plain = path.startsWith('"') ? path.slice(1, -1).replaceAll(/\\(.)/g, '$1') : path
    this.users(plain)
    const problem = this.#problems.get(plain)
    if (problem === undefined) return
    if (problem.includes("can't be read"))
      notes.push(`the password file could not be looked into: ${problem}`)
    else untranslated.push({ line: 0, text: 'AuthUserFile', why: problem })
  }
}

function readText(path: string): string {
  try {
    const info = statSync(path)
    if (!info.isFile()) throw new ProductError('BAD_INPUT', `${path} can't be read: it is no file`)
    if (info.size > MOST_BYTES) throw new ProductError('BAD_INPUT', `${path} can't be read: it is too large`)
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof ProductError) throw error
    throw new ProductError(
      'BAD_INPUT',
      `${path} can't be read (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  }
}

function asText(file: string, { settings, untranslated, notes }: Imported): string {
  const at = (line: number) => (line === 0 ? '' : `, line ${line}`)
  return [
    `# From ${file}`,
    ...Object.entries(settings).map(([key, value]) => `${key} = ${value}`),
    ...notes.map(note => `# note: ${note}`),
    ...untranslated.map(({ line, text, why }) => `# not translated${at(line)}: ${text} (${why})`)
  ]
    .map(line => printable(line, 100_000))
    .join('\n')
}
