import { constants, type Dirent } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../../common/errors.js'
import {
  isEventsFileName,
  isListName,
  isServerName,
  type EventsFileName,
  type ListName,
  type ServerName
} from '../../common/names.js'

/** A data file of another installation's archive. */
export type OldFile = { server: ServerName; path: string; at: string } & (
  { kind: 'events'; name: EventsFileName } | { kind: 'list'; name: ListName }
)

/** What lies in another installation's archive. */
export interface OldArchive {
  servers: ServerName[]
  files: OldFile[]
  /** What is none of its data, as a path below the archive, and why it stays behind. */
  passedOver: { file: string; why: string }[]
}

/** What Fail2Ban-Report 0.5 keeps for a host (sync-contract.md §1). */
const FOLDERS = ['fail2ban', 'blocklists'] as const
const LINK = 'a symbolic link'

/**
 * Finds the data files of an archive; reads none, changes nothing and follows no link in it.
 * @throws system errors where a folder can't be read
 */
export async function surveyArchive(archive: string): Promise<OldArchive> {
  const found: OldArchive = { servers: [], files: [], passedOver: [] }
  for (const item of await inside(archive)) {
    if (item.name === 'update.json') continue
    const why = isServerName(item.name)
      ? await surveyServer(join(archive, item.name), item, item.name, found)
      : 'no name of a host'
    if (why !== undefined) found.passedOver.push({ file: item.name, why })
  }
  return found
}

async function surveyServer(
  folder: string,
  item: Dirent,
  server: ServerName,
  found: OldArchive
): Promise<string | undefined> {
  if (item.isSymbolicLink()) return LINK
  if (!item.isDirectory()) return 'no file of an archive'
  const items = await inside(folder)
  if (!items.some(one => FOLDERS.some(name => name === one.name && one.isDirectory()))) {
    return 'no folder of a host: neither fail2ban/ nor blocklists/ is in it'
  }
  found.servers.push(server)
  for (const one of items) {
    const at = join(server, one.name)
    const kind = FOLDERS.find(name => name === one.name)
    if (kind === undefined || !one.isDirectory()) {
      const why = one.isSymbolicLink() ? LINK : 'nothing that is taken over'
      found.passedOver.push({ file: at, why })
    } else await surveyFiles(join(folder, kind), at, server, found)
  }
  return undefined
}

async function surveyFiles(folder: string, at: string, server: ServerName, found: OldArchive): Promise<void> {
  const events = at.endsWith('fail2ban')
  for (const { name, ...item } of await named(folder)) {
    const file = { server, path: join(folder, name), at: join(at, name) }
    if (item.link) found.passedOver.push({ file: file.at, why: LINK })
    else if (item.file && events && isEventsFileName(name))
      found.files.push({ ...file, kind: 'events', name })
    else if (item.file && !events && isListName(name)) found.files.push({ ...file, kind: 'list', name })
    else
      found.passedOver.push({ file: file.at, why: `no ${events ? 'events file' : 'blocklist'} by its name` })
  }
}

async function named(folder: string): Promise<{ name: string; file: boolean; link: boolean }[]> {
  return (await inside(folder)).map(item => ({
    name: item.name,
    file: item.isFile(),
    link: item.isSymbolicLink()
  }))
}

/** Dot-files such as .htaccess are no data, and no news to anybody. */
async function inside(folder: string): Promise<Dirent[]> {
  const items = await readdir(folder, { withFileTypes: true })
  return items.filter(item => !item.name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The text of a file of another installation; undefined when there is none. @throws system errors */
export async function oldText(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}
