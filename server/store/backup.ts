import { constants } from 'node:fs'
import { chmod, chown, lstat, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ProductError, systemCode } from '../../common/errors.js'
import { syncFolder } from '../../common/durable-file.js'
import { namesIn } from '../../common/json-file.js'
import { DENIAL, type Folders } from './folders.js'
import { ServingMarks } from './serving.js'

/** What is copied; download/ and temp/ hold nothing that the next request does not make anew. */
const PARTS = ['archive', 'settings'] as const
/** Tells a backup from any other folder, and that it is whole: written last. */
const MARK = 'fail2ban-report-backup.json'
/**
 * archive/update.json and lists change one after the other; copied at different moments they may contradict each other.
 * Where it is missing it is made anew from what is pending (update-index.ts).
 */
const MADE_ANEW = 'update.json'
/** What is under way: locks, and half-written copies of write-file-atomic. */
const PASSING = /\.lock$|\.json\.\d+$/

/** What a backup or a restore has copied. */
export interface Copied {
  files: number
  bytes: number
  /** What is neither file nor folder, and stays behind: links, sockets. */
  leftOut: string[]
}

/**
 * Copies archive and settings into a new folder while servers may be writing: each file is replaced as a whole by its
 * writers (common/json-file.ts), so that whoever opens one reads one state of it; an audit trail, which grows, is cut
 * at its last whole line. Modes are kept. Files that belong together are copied one after the other: what a change in
 * between leaves is what a crash would, and heals in the same way.
 * @param made ISO 8601
 * @throws ProductError CONFLICT when there is something at `to`, DISK, UNREADABLE
 */
export async function backUp(folders: Folders, to: string, made: string): Promise<Copied> {
  await refuseOccupied(to)
  const copied: Copied = { files: 0, bytes: 0, leftOut: [] }
  await disk(to, () => mkdir(to, { recursive: true, mode: 0o700 }))
  for (const part of PARTS) await copyFolder(folders[part], join(to, part), '', copied)
  const mark = { product: 'fail2ban-report', made, files: copied.files }
  await disk(to, () => writeNew(join(to, MARK), Buffer.from(JSON.stringify(mark) + '\n'), 0o600))
  return copied
}

/**
 * Puts a backup's archive and settings in their place. What is there already stays beside it under another name.
 * @param replace without it, nothing may be there
 * @param owner whom files belong to afterwards, where root does this @param made names what stays beside it
 * @param waiting as `ServingMarks.alive`
 * @returns also the folders that were moved aside
 * @throws ProductError BAD_INPUT when `from` is no whole backup, CONFLICT also while a server runs on the archive, DISK
 */
export async function restore(
  from: string,
  folders: Folders,
  options: {
    replace: boolean
    owner: { uid: number; gid: number } | undefined
    made: string
    waiting: (seconds: number) => void
  }
): Promise<Copied & { aside: string[] }> {
  const mark = await readMark(from)
  const serving = new ServingMarks(folders.archive)
  const taken: string[] = []
  for (const part of PARTS) if (await occupied(folders[part])) taken.push(folders[part])
  if (taken.length > 0 && !options.replace) {
    throw new ProductError(
      'CONFLICT',
      `there is data in ${taken.join(' and ')}; stop the server, then give --replace`
    )
  }
  await serving.refuseAlive(options.waiting)
  const copied: Copied & { aside: string[] } = { files: 0, bytes: 0, leftOut: [], aside: [] }
  const stamp = options.made.replaceAll(/\D/g, '').slice(0, 14)
  const fresh: { part: string; copy: string; at: string }[] = []
  for (const part of PARTS) {
    // Through a link to the folder itself, so that the copy lies on the same disk.
    const at = folders[part]
    const copy = `${at}.restoring-${stamp}`
    await disk(copy, () => mkdir(dirname(at), { recursive: true }))
    await copyFolder(join(from, part), copy, '', copied, options.owner)
    fresh.push({ part, copy, at })
  }
  const leave = async () => {
    for (const { copy } of fresh) await rm(copy, { recursive: true, force: true })
  }
  // One may have been started meanwhile.
  await serving.refuseAlive().catch(async (error: unknown) => {
    await leave()
    throw error
  })
  if (copied.files !== mark.files) {
    await leave()
    throw new ProductError(
      'BAD_INPUT',
      `the backup is not whole: ${copied.files} of ${mark.files} files are there`
    )
  }
  for (const { copy, at } of fresh) {
    const aside = `${at}.before-${stamp}`
    await disk(at, async () => {
      if (taken.includes(at)) {
        await rename(at, aside)
        copied.aside.push(aside)
      } else await rm(join(at, DENIAL), { force: true })
      await rename(copy, at)
      await syncFolder(dirname(at))
    })
  }
  return copied
}

async function readMark(from: string): Promise<{ files: number }> {
  if ((await lstat(from).catch(() => undefined)) === undefined)
    throw new ProductError('BAD_INPUT', `--from: ${from} does not exist, or can't be looked at`)
  try {
    const mark = JSON.parse((await readWhole(join(from, MARK))).toString()) as {
      product?: string
      files?: number
    }
    if (mark.product === 'fail2ban-report' && typeof mark.files === 'number') return { files: mark.files }
  } catch {
    // No mark, or none of ours: the same to whoever named the folder.
  }
  throw new ProductError('BAD_INPUT', `--from: ${from} is no whole backup made by "fail2ban-report backup"`)
}

/** True where there is anything but what comes with a checkout. */
async function occupied(folder: string): Promise<boolean> {
  return (await namesIn(folder)).some(name => name !== DENIAL)
}

/** Refuses a place for a backup where there is something. @throws ProductError CONFLICT */
export async function refuseOccupied(to: string): Promise<void> {
  const present = await lstat(to).catch(() => undefined)
  if (present === undefined || (present.isDirectory() && (await readdir(to)).length === 0)) return
  throw new ProductError('CONFLICT', `--out: there is something at ${to}; name another place`)
}

async function copyFolder(
  from: string,
  to: string,
  below: string,
  copied: Copied,
  owner?: { uid: number; gid: number }
): Promise<void> {
  const info = await stat(from).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw unreadable(from, error)
  })
  if (info === undefined) return
  await disk(to, () => mkdir(to, { mode: 0o700 }))
  const items = await readdir(from, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(from, error)
  })
  for (const item of items) {
    const at = join(below, item.name)
    if (PASSING.test(item.name) || at === MADE_ANEW) continue
    if (item.isDirectory()) await copyFolder(join(from, item.name), join(to, item.name), at, copied, owner)
    else if (item.isFile()) await copyFile(join(from, item.name), join(to, item.name), copied, owner)
    else copied.leftOut.push(join(from, item.name))
  }
  await disk(to, async () => {
    if (owner !== undefined) await chown(to, owner.uid, owner.gid)
    await chmod(to, info.mode & 0o7777)
    await syncFolder(to)
  })
}

async function copyFile(
  from: string,
  to: string,
  copied: Copied,
  owner: { uid: number; gid: number } | undefined
): Promise<void> {
  const file = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    // Replaced files keep their name: one that is gone was deleted, or was a trail that was set aside.
    if (systemCode(error) === 'ENOENT') return undefined
    throw unreadable(from, error)
  })
  if (file === undefined) return
  try {
    const info = await file.stat()
    const whole = await file.readFile()
    const content = from.endsWith('.jsonl') ? whole.subarray(0, whole.lastIndexOf(0x0a) + 1) : whole
    await disk(to, async () => {
      await writeNew(to, content, info.mode & 0o777)
      if (owner !== undefined) await chown(to, owner.uid, owner.gid)
      await utimes(to, info.atime, info.mtime)
    })
    copied.files++
    copied.bytes += content.length
  } finally {
    await file.close()
  }
}

async function readWhole(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return await file.readFile()
  } finally {
    await file.close()
  }
}

async function writeNew(path: string, content: Buffer, mode: number): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

function unreadable(path: string, error: unknown): ProductError {
  return new ProductError('UNREADABLE', `${path} (${systemCode(error) ?? 'unknown error'})`, error)
}

async function disk<T>(path: string, work: () => Promise<T>): Promise<T> {
  return work().catch((error: unknown) => {
    throw new ProductError('DISK', `${path} (${systemCode(error) ?? 'unknown error'})`, error)
  })
}
