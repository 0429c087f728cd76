import { statSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { addFlags } from '../../common/settings.js'
import { messageOf } from '../../common/errors.js'
import { FOLDER_SETTINGS, readServerConfig } from '../config.js'
import type { AuditActor } from '../store/audit-row.js'
import { Store, type StoreOptions } from '../store/store.js'
import type { Folders } from '../store/folders.js'

/** Where a command writes to and reads from. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  input: NodeJS.ReadStream
  screen: NodeJS.WriteStream
  env: Readonly<Record<string, string | undefined>>
}

/**
 * Adds the flags that say where the server's files are, and `--json`.
 * @param shown beside `--archive` and `--settings`; the others are taken as well, so that all commands may be given the same
 */
export function addFolderFlags(
  command: Command,
  shown: readonly (keyof typeof FOLDER_SETTINGS)[] = []
): Command {
  const hidden = (['download', 'temp', 'widest4', 'widest6'] as const).filter(name => !shown.includes(name))
  return addFlags(command, FOLDER_SETTINGS, hidden).option(
    '--json',
    'print JSON for machines instead of text'
  )
}

/**
 * The server's files for one command. Started by root, it becomes whoever archive and settings belong to: in folders of
 * another user nothing is made or changed by root, whom a link planted there could lead elsewhere.
 * @param flags the command's options as commander gives them
 * @throws ProductError CONFIG
 */
export function openStore(
  flags: Record<string, unknown>,
  terminal: Terminal,
  { asOwner = true, part }: { asOwner?: boolean; part?: StoreOptions['part'] } = {}
): { store: Store; folders: Folders } {
  const own = Object.fromEntries(Object.entries(flags).filter(([name]) => name in FOLDER_SETTINGS))
  const { folders, widest } = readServerConfig({ flags: own, env: terminal.env })
  if (asOwner) becomeOwner(folders)
  const store = new Store({
    folders,
    clock: Date.now,
    widest,
    ...(part === undefined ? {} : { part }),
    onSetAside: ({ path, movedTo, reason }) =>
      terminal.err(`${path} was corrupt (${reason}) and is now ${movedTo}`),
    onAuditDelayed: error =>
      terminal.err(`done, but its audit rows wait for the server's housekeeping: ${messageOf(error)}`)
  })
  return { store, folders }
}

function becomeOwner(folders: Folders): void {
  const owner = ownerOf(folders)
  if (owner === undefined) return
  process.setgroups?.([owner.gid])
  process.setgid?.(owner.gid)
  process.setuid?.(owner.uid)
}

/** Whom archive and settings belong to, where root runs this and both belong to one other user. */
export function ownerOf({ archive, settings }: Folders): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const owners = [archive, settings].flatMap(path => {
    const found = statSync(path, { throwIfNoEntry: false })
    return found === undefined ? [] : [{ uid: found.uid, gid: found.gid }]
  })
  const [first] = owners
  return first?.uid === 0 || owners.some(one => one.uid !== first?.uid) ? undefined : first
}

// Taken before root becomes the owner of the files.
const startedAs = osUser()

/** Who runs this command, for the audit trail: the operating system's user, and who became root by sudo. */
export function cliActor(terminal: Terminal): AuditActor {
  const sudo = terminal.env.SUDO_USER
  return { kind: 'cli', name: sudo === undefined ? startedAs : `${startedAs} (sudo: ${sudo})`, from: 'cli' }
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
