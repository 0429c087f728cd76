import { counted } from '../../common/counted.js'
import { existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { isoTime } from '../../common/clock.js'
import { runCommand } from '../../common/command.js'
import { messageOf, ProductError, systemCode } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { backUp, refuseOccupied, restore, type Copied } from '../store/backup.js'
import { addFolderFlags, flagText, openStore, ownerOf, show, type Terminal } from './context.js'

const PACKED = /\.(tar\.gz|tgz)$/
const TAR_MS = 60 * 60_000

/** `backup` and `restore`: archive and settings, also of a server that runs. */
export function addBackupCommands(program: Command, terminal: Terminal): void {
  addFolderFlags(program.command('backup'))
    .description(
      'copy archive and settings, while the server runs or not; the copy holds password hashes and keys'
    )
    .requiredOption('--out <FILE|DIR>', 'a new folder, or a new file whose name ends with .tar.gz')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report backup --out /var/backups/f2br-monday.tar.gz\n  fail2ban-report backup --out /mnt/copy'
    )
    .action(async (flags: Record<string, unknown>) => {
      const { folders } = openStore(flags, terminal, { asOwner: false })
      const out = resolve(flagText(flags, 'out'))
      const made = isoTime(Date.now())
      const copied = PACKED.test(out)
        ? await packed(out, folder => backUp(folders, folder, made))
        : await backUp(folders, out, made)
      show(flags, terminal, { out, made, ...copied }, () => inWords(copied, `are in ${out}`))
    })
  addFolderFlags(program.command('restore'), ['download', 'temp'])
    .description('put a backup in the place of archive and settings; to be run while the server is stopped')
    .requiredOption('--from <FILE|DIR>', 'what "backup" wrote')
    .option('--replace', 'also where there is data: it is kept beside, under another name')
    .addHelpText(
      'after',
      '\nIt refuses while a server runs on these folders. After one was killed\nit looks for 20 seconds whether it does.\n\nExample:\n  fail2ban-report restore --from /var/backups/f2br-monday.tar.gz --replace'
    )
    .action(async (flags: Record<string, unknown>) => {
      const { folders } = openStore(flags, terminal, { asOwner: false })
      const options = {
        replace: flags.replace === true,
        owner: ownerOf(folders),
        made: isoTime(Date.now()),
        waiting: (seconds: number) =>
          terminal.err(`Looking whether a server still runs on these folders: up to ${seconds} seconds`)
      }
      const from = resolve(flagText(flags, 'from'))
      const copied = PACKED.test(from)
        ? await unpacked(from, existingAbove(folders.archive), folder => restore(folder, folders, options))
        : await restore(from, folders, options)
      show(flags, terminal, { from, ...copied }, () =>
        [inWords(copied, 'are back'), ...copied.aside.map(path => `What was there is now ${path}`)].join('\n')
      )
    })
}

/** Makes a folder with `fill`, then one file of it. */
async function packed<T>(out: string, fill: (folder: string) => Promise<T>): Promise<T> {
  await refuseOccupied(out)
  // Beside the file: there is room where it is to go, and it is renamed whole.
  const beside = await mkdtemp(`${out}.partial-`).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT')
      throw new ProductError('BAD_INPUT', `--out: the folder ${dirname(out)} does not exist`, error)
    throw new ProductError(
      'DISK',
      `--out: this user can't write in ${dirname(out)} (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  })
  try {
    const result = await fill(join(beside, 'backup'))
    await tar([
      '--create',
      '--gzip',
      '--file',
      join(beside, 'file'),
      '--directory',
      join(beside, 'backup'),
      '.'
    ])
    await rename(join(beside, 'file'), out)
    return result
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

function existingAbove(path: string): string {
  const above = dirname(path)
  return existsSync(above) ? above : existingAbove(above)
}

/** @param beside the folder to unpack in: where the data goes there is room for it, in /tmp there may be none */
async function unpacked<T>(from: string, beside: string, use: (folder: string) => Promise<T>): Promise<T> {
  if (!existsSync(from))
    throw new ProductError('BAD_INPUT', `--from: ${from} does not exist, or can't be looked at`)
  const folder = await mkdtemp(join(beside, '.restore-')).catch((error: unknown) => {
    throw new ProductError('DISK', `nothing can be unpacked in ${beside}`, error)
  })
  try {
    await tar(['--extract', '--gzip', '--preserve-permissions', '--file', from, '--directory', folder]).catch(
      (error: unknown) => {
        const why = messageOf(error)
        throw new ProductError(
          'BAD_INPUT',
          `--from: ${from} is no whole backup: it is cut, damaged or no .tar.gz (${why})`,
          error
        )
      }
    )
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** New files are nobody else's: a backup holds hashes and keys. */
async function tar(args: readonly string[]): Promise<void> {
  const before = process.umask(0o077)
  try {
    const { code, stderr } = await runCommand('tar', args, { timeout: TAR_MS })
    if (code !== 0) throw new ProductError('BAD_INPUT', `tar: ${printable(stderr.trim(), 300)}`)
  } finally {
    process.umask(before)
  }
}

function inWords({ files, bytes, leftOut }: Copied, where: string): string {
  return [
    `${counted(files, 'file')}, ${counted(bytes, 'byte')} ${where}.`,
    ...leftOut.map(path => `Left out, no file or folder: ${printable(path, 300)}`)
  ].join('\n')
}
