import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { namesIn } from '../../common/json-file.js'
import { continues, openLog, type LogFile, type LogPosition } from './log-file.js'

/** logrotate's names behind the log's own: `.1`, `-20260301`, `-20260301-1700000000`; compressed ones end otherwise. */
const ROTATED = /^[.-]\d[\d-]*$/

/** Files that were rotated away, oldest first, still to be read: the first from the position on, others whole. */
export async function rotatedSince(path: string, from: LogPosition): Promise<LogFile[]> {
  const files: { file: LogFile; changed: number }[] = []
  for (const name of await namesIn(dirname(path))) {
    if (!name.startsWith(basename(path)) || !ROTATED.test(name.slice(basename(path).length))) continue
    const rotated = join(dirname(path), name)
    const info = await stat(rotated).catch(() => undefined)
    if (info?.isFile() !== true) continue
    // One that can't be read is not there for us: the reading tells of the gap.
    const file = await openLog(rotated).catch(() => undefined)
    if (file !== undefined) files.push({ file, changed: info.mtimeMs })
  }
  files.sort((one, other) => one.changed - other.changed)
  const own = ownAmong(files, from)
  const wanted = files.filter(
    item => item === own || (own !== undefined && item.changed > own.changed && !continues(item.file, from))
  )
  for (const item of files) if (!wanted.includes(item)) await item.file.handle.close()
  return wanted.map(({ file }) => file)
}

/** The file of the position: itself where it was renamed, else its copy; of two copies the one that holds more. */
function ownAmong<T extends { file: LogFile }>(files: readonly T[], from: LogPosition): T | undefined {
  const likely = files.filter(({ file }) => continues(file, from))
  return (
    likely.find(({ file }) => file.inode === from.inode) ??
    likely.sort((one, other) => other.file.size - one.file.size)[0]
  )
}
