import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { addFlags, readSettings } from '../../common/settings.js'
import { messageOf } from '../../common/errors.js'
import { FOLDER_SETTINGS } from '../config.js'
import type { AuditActor } from '../store/audit-row.js'
import { Store } from '../store/store.js'
import type { Folders } from '../store/folders.js'

/** Where a command writes to and reads from. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  input: NodeJS.ReadStream
  screen: NodeJS.WriteStream
  env: Readonly<Record<string, string | undefined>>
}

/** Adds the flags that say where the server's files are, and `--json`. */
export function addFolderFlags(command: Command): Command {
  return addFlags(command, FOLDER_SETTINGS).option('--json', 'print JSON for machines instead of text')
}

/**
 * The server's files for one command.
 * @param flags the command's options as commander gives them
 * @throws ProductError CONFIG
 */
export function openStore(
  flags: Record<string, unknown>,
  terminal: Terminal
): { store: Store; folders: Folders } {
  const own = Object.fromEntries(Object.entries(flags).filter(([name]) => name in FOLDER_SETTINGS))
  const { archive, download, temp, settings, widest4, widest6 } = readSettings(FOLDER_SETTINGS, {
    flags: own,
    env: terminal.env
  })
  const folders = { archive, download, temp, settings }
  const store = new Store({
    folders,
    clock: Date.now,
    widest: { 4: widest4, 6: widest6 },
    onSetAside: ({ path, movedTo, reason }) =>
      terminal.err(`${path} was corrupt (${reason}) and is now ${movedTo}`),
    onAuditDelayed: error =>
      terminal.err(`done, but its audit rows wait for the server's housekeeping: ${messageOf(error)}`)
  })
  return { store, folders }
}

/** Who runs this command, for the audit trail: the operating system's user, and who became root by sudo. */
export function cliActor(terminal: Terminal): AuditActor {
  const sudo = terminal.env.SUDO_USER
  return { kind: 'cli', name: sudo === undefined ? osUser() : `${osUser()} (sudo: ${sudo})`, from: 'cli' }
}

function osUser(): string {
  try {
    return userInfo().username
  } catch {
    // A container's user may have no name.
    return `uid ${process.getuid?.() ?? '?'}`
  }
}

/** Prints a result: JSON with `--json`, else the text. */
export function show(
  flags: Record<string, unknown>,
  terminal: Terminal,
  value: unknown,
  text: () => string
): void {
  terminal.out(flags.json === true ? JSON.stringify(value, null, 2) : text())
}

/** The text of a flag that takes one; empty when it was not given. */
export function flagText(flags: Record<string, unknown>, name: string): string {
  const value = flags[name]
  return typeof value === 'string' ? value : ''
}
