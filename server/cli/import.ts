import { counted } from '../../common/counted.js'
import { realpathSync, statSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import type { Command } from 'commander'
import { ProductError, systemCode } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { addFlags } from '../../common/settings.js'
import { FOLDER_SETTINGS, PHP_SETTINGS } from '../config.js'
import { prepareFolders, type Folders } from '../store/folders.js'
import { takeOver, type TakenOver } from '../store/take-over.js'
import { cliActor, flagText, openStore, ownerOf, show, type Terminal } from './context.js'
import { table } from './table.js'

/** Lines of one kind that are shown; `--json` has all. */
const SHOWN = 20

/** `import`: takes an existing PHP installation over. */
export function addImportCommand(program: Command, terminal: Terminal): void {
  const { settings, ...folders } = FOLDER_SETTINGS
  const command = program
    .command('import')
    .description(
      'take over archive and settings of an existing PHP Fail2Ban-Report; nothing is changed there'
    )
    .requiredOption('--from <DIR>', 'its web root: the folder with index.php and archive/')
    .option('--settings <DIR>', `its settings folder; ${PHP_SETTINGS} where that exists`)
    .option('--in-place', 'copy nothing: check, and tell how to use its folders as they are')
    .option('--own-settings <DIR>', `${settings.describe}, of this server [env: F2BR_SETTINGS]`)
  addFlags(command, folders)
    .option('--json', 'print JSON for machines instead of text')
    .addHelpText(
      'after',
      '\nIt may be repeated: what changed there since comes in, what changed here stays.\nEnds with 1 when something could not be taken over.\n\nExamples:\n  fail2ban-report import --from /var/www/html/Fail2Ban-Report\n  fail2ban-report import --from /var/www/html/Fail2Ban-Report --in-place --json'
    )
    .action(async (flags: Record<string, unknown>) => run(flags, terminal))
}

async function run(flags: Record<string, unknown>, terminal: Terminal): Promise<void> {
  const archive = folderAt(
    join(flagText(flags, 'from'), 'archive'),
    '--from',
    'no web root of Fail2Ban-Report'
  )
  const settings = oldSettings(flagText(flags, 'settings'))
  const inPlace = flags.inPlace === true
  const own = flagText(flags, 'ownSettings')
  const ours: Record<string, unknown> = { ...flags, settings: own === '' ? undefined : own }
  const { store, folders } = openStore(ours, terminal, { asOwner: false })
  if (!inPlace) {
    refuseWithin(archive, folders.archive, '--in-place uses it as it is')
    await prepareFolders(folders)
  }
  const sameSettings = settings !== undefined && !inPlace && real(folders.settings) === settings
  const found = await takeOver(store, {
    archive,
    // Settings that are this server's already need no copy.
    settings: sameSettings ? undefined : settings,
    write: !inPlace,
    actor: cliActor(terminal),
    asOwner: asOwner(folders)
  })
  const result = { from: archive, settings: settings ?? null, inPlace, ...found }
  show(flags, terminal, result, () => inWords(result, folders, sameSettings))
  if (found.problems.length > 0) process.exitCode = 1
}

/** A folder's real path. @throws ProductError BAD_INPUT */
function folderAt(path: string, flag: string, what: string): string {
  try {
    if (statSync(path).isDirectory()) return realpathSync(path)
  } catch (error) {
    const why = systemCode(error) ?? 'unknown error'
    throw new ProductError('BAD_INPUT', `${flag}: ${what}: ${printable(path)} (${why})`, error)
  }
  throw new ProductError('BAD_INPUT', `${flag}: ${what}: ${printable(path)} is no folder`)
}

function oldSettings(named: string): string | undefined {
  if (named !== '') return folderAt(named, '--settings', 'no settings folder')
  return real(PHP_SETTINGS) === undefined
    ? undefined
    : folderAt(PHP_SETTINGS, '--settings', 'no settings folder')
}

function refuseWithin(old: string, own: string, hint: string): void {
  const ours = real(own) ?? resolve(own)
  if (ours !== old && !ours.startsWith(old + sep) && !old.startsWith(ours + sep)) return
  throw new ProductError('BAD_INPUT', `--from: ${printable(old)} is this server's own archive; ${hint}`)
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/**
 * Root reads the other side, which may be closed to all others, and becomes the owner of our files for each write: a
 * link planted among them leads root nowhere.
 */
function asOwner(folders: Folders): <T>(work: () => Promise<T>) => Promise<T> {
  const owner = ownerOf(folders)
  if (owner === undefined) return work => work()
  return async work => {
    process.setegid?.(owner.gid)
    process.seteuid?.(owner.uid)
    try {
      return await work()
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  }
}

function inWords(
  found: TakenOver & { from: string; settings: string | null; inPlace: boolean },
  folders: Folders,
  sameSettings: boolean
): string {
  const rows = found.servers.map(one => [
    one.name,
    String(one.days),
    String(one.events),
    String(one.lists),
    String(one.entries),
    String(one.withMissingFields),
    String(one.noAddress)
  ])
  const heads = ['host', 'days', 'events', 'lists', 'entries', 'with missing fields', 'no address']
  const { take, same, ours, differs } = found.done
  return [
    found.servers.length === 0 ? `No host in ${found.from}` : table(heads, rows),
    '',
    sameSettings
      ? `Settings: ${found.settings ?? ''} is this server's already`
      : found.settings === null
        ? 'Settings: none found; name them with --settings'
        : `Settings: ${counted(found.users, 'user')}, ${counted(found.clients, 'host')} that may sync, ${found.config ? 'a' : 'no'} fail2ban-report.config`,
    ...listed(
      'NOT taken over',
      found.problems.map(one => `${one.file}: ${one.what}`)
    ),
    ...listed(
      'Passed over',
      found.passedOver.map(one => `${one.file}: ${one.why}`)
    ),
    ...listed('Changed on both sides, ours was kept', found.differs),
    '',
    ...(found.inPlace
      ? [
          'Nothing was copied. To use these folders as they are, stop the PHP endpoints and give the server',
          `  --archive ${found.from}${found.settings === null ? '' : ` --settings ${found.settings}`}`,
          'and run it as their owner; what the web server serves must not be below its document root any more.'
        ]
      : [
          `Taken over: ${take}. The same already: ${same}. Changed here only, kept: ${ours}. On both sides, ours kept: ${differs}.`,
          `Now in ${folders.archive}; nothing was changed in ${found.from}.`
        ])
  ].join('\n')
}

function listed(what: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  const more = lines.length > SHOWN ? [`  … and ${lines.length - SHOWN} more (--json has all)`] : []
  return ['', `${what}:`, ...lines.slice(0, SHOWN).map(line => `  ${printable(line, 300)}`), ...more]
}
