import { constants } from 'node:fs'
import { access, chmod, chown, open, readdir, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ProductError, systemCode } from '../../common/errors.js'
import { makeFolders } from '../../common/json-file.js'
import type { EventsFileName, ListName, ServerName } from '../../common/names.js'

/** Where the server keeps its files; absolute paths. */
export interface Folders {
  archive: string
  download: string
  temp: string
  settings: string
}

/** Data may be read by the group (backup, the web server of an existing installation); settings by nobody else. */
const MODES: Record<keyof Folders, number> = { archive: 0o750, download: 0o750, temp: 0o700, settings: 0o700 }

/** Bits of a folder's mode that let others in. */
export const OPEN: Record<keyof Folders, number> = {
  archive: 0o007,
  download: 0o007,
  temp: 0o077,
  settings: 0o077
}

/** Tells Apache to hand nothing out of a folder. It comes with a checkout of this repository, and existing archives. */
export const DENIAL = '.htaccess'
const DENIAL_TEXT = `# No file of this folder is ever handed out, where Apache lets an .htaccess say so (AllowOverride AuthConfig or All).
Require all denied
`

/**
 * Creates the folders that are missing, with tight modes. Of existing ones, those that still hold nothing are closed
 * to others: a checkout brings them open. Those with data are left as they are. Both get an .htaccess that denies
 * everything, in case they ever lie in a web server's reach.
 * @param user whom root gives what is created or still holds nothing; the owner of the folder above when absent
 * @returns the folders that were created
 * @throws ProductError CONFIG naming the folder that can't be made
 */
export async function prepareFolders(
  folders: Folders,
  user?: { uid: number; gid: number }
): Promise<string[]> {
  const made: string[] = []
  const before: string[] = []
  try {
    for (const name of ['archive', 'download', 'temp', 'settings'] as const) {
      const missing = await missingAbove(folders[name])
      before.push(...missing)
      if (await prepareFolder(name, folders[name], user)) made.push(folders[name])
    }
  } catch (error) {
    // Of a start that comes to nothing nothing stays: what is not empty is somebody's.
    for (const path of made) await rm(join(path, DENIAL), { force: true }).catch(() => undefined)
    for (const path of before.sort().reverse()) await rmdir(path).catch(() => undefined)
    throw error
  }
  return made
}

/** A folder and those above it that are not there. */
async function missingAbove(path: string): Promise<string[]> {
  if (await isThere(path).catch(() => true)) return []
  return [path, ...(await missingAbove(dirname(path)))]
}

/** @returns whether it had to be made */
async function prepareFolder(
  name: keyof Folders,
  path: string,
  user?: { uid: number; gid: number }
): Promise<boolean> {
  try {
    const { mode } = await stat(path)
    if ((mode & OPEN[name]) !== 0 && (await holdsNothing(path))) {
      // Only its owner may; where that is someone else, doctor tells.
      await chmod(path, mode & 0o7777 & ~OPEN[name]).catch(() => undefined)
    }
    if (await holdsNothing(path)) {
      const owner = process.getuid?.() === 0 ? user : undefined
      // Where this can't be written, nothing can: `checkFolders` tells.
      await deny(path, MODES[name], owner).catch(() => undefined)
      if (owner !== undefined) await chown(path, owner.uid, owner.gid)
    }
    return false
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw cannotUse(name, path, error)
    await makeFolders(path, MODES[name]).catch((cause: unknown) => {
      throw cannotUse(name, path, cause)
    })
    await chmod(path, MODES[name])
    await deny(path, MODES[name], user)
    if (user !== undefined) await chown(path, user.uid, user.gid)
    return true
  }
}

/** Shows that every folder can be read and written. @throws ProductError FOLDER naming the folder's role, never its path: anybody may ask for it */
export async function checkFolders(folders: Folders): Promise<void> {
  for (const [name, path] of Object.entries<string>({ ...folders })) {
    try {
      // A path with a slash at its end must be a folder.
      await access(`${path}/`, constants.R_OK | constants.W_OK | constants.X_OK)
    } catch (error) {
      throw new ProductError('FOLDER', `the ${name} folder can't be read and written`, error)
    }
  }
}

/** Creates the log file's folder for the server's user. @throws ProductError CONFIG */
export async function prepareLogFolder(file: string, user?: { uid: number; gid: number }): Promise<void> {
  const folder = dirname(file)
  try {
    if (await isThere(folder)) return
    await makeFolders(folder, MODES.archive)
    if (user !== undefined) await chown(folder, user.uid, user.gid)
  } catch (cause) {
    throw new ProductError(
      'CONFIG',
      `--log-file: ${folder} can't be made (${systemCode(cause) ?? 'unknown error'})`,
      cause
    )
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === 'ENOENT') return false
      throw error
    }
  )

/** A folder that can't be looked into is somebody else's, and none of a fresh checkout. */
async function holdsNothing(path: string): Promise<boolean> {
  const items = await readdir(path).catch((error: unknown) => {
    if (systemCode(error) === 'EACCES') return undefined
    throw error
  })
  return items?.every(item => item === DENIAL) ?? false
}

/** Writes the denial, unless there is one: an operator's own stays. @param mode the folder's */
async function deny(folder: string, mode: number, owner?: { uid: number; gid: number }): Promise<void> {
  const file = await open(join(folder, DENIAL), 'wx', mode & 0o640).catch((error: unknown) => {
    if (systemCode(error) === 'EEXIST') return undefined
    throw error
  })
  if (file === undefined) return
  try {
    await file.writeFile(DENIAL_TEXT)
    if (owner !== undefined) await file.chown(owner.uid, owner.gid)
  } finally {
    await file.close()
  }
}

function cannotUse(name: string, path: string, cause: unknown): ProductError {
  return new ProductError(
    'CONFIG',
    `--${name} ${path} can't be used (${systemCode(cause) ?? 'unknown error'})`,
    cause
  )
}

/** What a data file is for; few, so that figures can be told apart by them. */
export type FileUse =
  | 'audit'
  | 'blocklist'
  | 'commands'
  | 'download'
  | 'events'
  | 'hand-overs'
  | 'host'
  | 'live-notes'
  | 'other'
  | 'settings'
  | 'sums'
  | 'update-index'
  | 'whitelist'

const USE_OF_NAME = new Map<string, FileUse>([
  ['audit.jsonl', 'audit'],
  ['commands.json', 'commands'],
  ['gone.json', 'hand-overs'],
  ['handover.json', 'hand-overs'],
  ['host.json', 'host'],
  ['live.jsonl', 'live-notes'],
  ['sums.json', 'sums'],
  ['update.json', 'update-index'],
  ['whitelist.json', 'whitelist']
])

/** The paths of sync-contract.md §1. Names are checked ones: nothing else becomes part of a path. */
export class Paths {
  readonly root: Folders

  constructor(folders: Folders) {
    this.root = {
      archive: resolve(folders.archive),
      download: resolve(folders.download),
      temp: resolve(folders.temp),
      settings: resolve(folders.settings)
    }
  }

  /** Folders below which no symbolic link is followed; settings may be links to /etc. */
  dataRoots = (): string[] => [this.root.archive, this.root.download, this.root.temp]
  updateIndex = (): string => join(this.root.archive, 'update.json')
  /** The audit trail of a server, or that of users and clients. */
  audit = (server?: ServerName): string => join(this.root.archive, server ?? '', 'audit.jsonl')
  liveNotes = (): string => join(this.root.archive, 'live.jsonl')
  whitelist = (): string => join(this.root.archive, 'whitelist.json')
  server = (server: ServerName): string => join(this.root.archive, server)
  host = (server: ServerName): string => join(this.root.archive, server, 'host.json')
  commands = (server: ServerName): string => join(this.root.archive, server, 'commands.json')
  handOvers = (server: ServerName): string => join(this.root.archive, server, 'handover.json')
  sums = (server: ServerName): string => join(this.root.archive, server, 'sums.json')
  gone = (server: ServerName): string => join(this.root.archive, server, 'gone.json')
  lists = (server: ServerName): string => join(this.root.archive, server, 'blocklists')
  list = (server: ServerName, list: ListName): string => join(this.lists(server), list)
  days = (server: ServerName): string => join(this.root.archive, server, 'fail2ban')
  day = (server: ServerName, day: EventsFileName): string => join(this.days(server), day)
  downloads = (server: ServerName): string => join(this.root.download, server, 'blocklists')
  download = (server: ServerName, list: ListName): string => join(this.downloads(server), list)
  uploads = (server: ServerName): string => join(this.root.temp, server)
  clientList = (): string => join(this.root.settings, 'client-list.json')
  userList = (): string => join(this.root.settings, 'users.json')
  apiKeys = (): string => join(this.root.settings, 'api-keys.json')
  sessionKey = (): string => join(this.root.settings, 'session-key.json')
  endedSessions = (): string => join(this.root.settings, 'ended-sessions.json')

  /** What a file is for, whosever it is. */
  useOf(path: string): FileUse {
    if (path.startsWith(`${this.root.settings}/`)) return 'settings'
    if (path.startsWith(`${this.root.download}/`)) return 'download'
    const named = USE_OF_NAME.get(basename(path))
    if (named !== undefined) return named
    const folder = basename(dirname(path))
    return folder === 'blocklists' ? 'blocklist' : folder === 'fail2ban' ? 'events' : 'other'
  }
}
