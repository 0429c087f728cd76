import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { ProductError, systemCode } from '../../common/errors.js'
import { trailFiles } from './audit-file.js'

/** A place in a trail that stays the same when its files are rotated: a file's inode and a byte in it. */
export interface Place {
  file: string
  offset: number
}

/** A line, and the place from which the older ones go on. */
export interface Line {
  text: string
  place: Place
}

/** Some lines of a trail, newest first. */
export interface Lines {
  lines: Line[]
  bytes: number
  /** Where the older ones go on; undefined at the trail's beginning. */
  next: Place | undefined
  /** Lines so long that they can be no rows of ours. */
  unreadable: number
}

const CHUNK = 256 * 1024
/** An entry's texts are bounded (shapes.ts): no row comes near this. */
const LONGEST_LINE = 1024 * 1024
const NEWLINE = 0x0a

/**
 * Reads the next piece of a trail, from its end backwards; nothing stays open in between. Files that are rotated
 * meanwhile are known by their inode: no line is told twice.
 * @param from `next` of the piece before; undefined for the end of the trail
 */
export async function olderLines(path: string, from: Place | undefined): Promise<Lines> {
  const none: Lines = { lines: [], bytes: 0, next: undefined, unreadable: 0 }
  const files = await present(path)
  const at = from === undefined ? 0 : files.findIndex(file => file.inode === from.file)
  const meant = files[at]
  if (meant === undefined) return none
  const file = await openTrail(meant.path)
  if (file === undefined) return none
  try {
    const info = await file.stat({ bigint: true })
    // Rotated between the look and the opening: looked up anew.
    if (info.ino.toString() !== meant.inode)
      return { ...none, next: from ?? { file: meant.inode, offset: -1 } }
    const end =
      from === undefined || from.offset < 0 ? Number(info.size) : Math.min(from.offset, Number(info.size))
    const piece = await pieceBefore(file, meant.inode, end)
    if (piece.next.offset > 0) return piece
    const older = files[at + 1]
    return { ...piece, next: older === undefined ? undefined : { file: older.inode, offset: -1 } }
  } catch (error) {
    throw unreadable(error)
  } finally {
    await file.close()
  }
}

async function pieceBefore(file: FileHandle, inode: string, end: number): Promise<Lines & { next: Place }> {
  for (let size = CHUNK; ; size *= 4) {
    const start = Math.max(0, end - size)
    const bytes = Buffer.alloc(end - start)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    const piece = bytes.subarray(0, bytesRead)
    // A line that begins before this piece belongs to the next one.
    const first = start === 0 ? 0 : piece.indexOf(NEWLINE) + 1
    if (start > 0 && (first === 0 || first >= piece.length)) {
      if (size < LONGEST_LINE) continue
      return { lines: [], bytes: bytesRead, next: { file: inode, offset: start }, unreadable: 1 }
    }
    const lines = linesOf(piece.subarray(first), inode, start + first)
    return { lines, bytes: bytesRead, next: { file: inode, offset: start + first }, unreadable: 0 }
  }
}

function linesOf(bytes: Buffer, file: string, start: number): Line[] {
  const lines: Line[] = []
  for (let begin = 0; begin < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, begin)
    const end = newline < 0 ? bytes.length : newline
    if (end > begin) {
      lines.push({ text: bytes.toString('utf8', begin, end), place: { file, offset: start + begin } })
    }
    begin = end + 1
  }
  return lines.reverse()
}

/**
 * The files that are there, newest first. Looked at in this order: a file that is renamed meanwhile goes to a
 * higher number, so it is seen twice perhaps, but never missed.
 */
async function present(path: string): Promise<{ path: string; inode: string }[]> {
  const found = new Map<string, string>()
  for (const name of trailFiles(path)) {
    const info = await stat(name, { bigint: true }).catch(() => undefined)
    if (info !== undefined) found.set(info.ino.toString(), name)
  }
  return [...found].map(([inode, name]) => ({ path: name, inode }))
}

async function openTrail(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw unreadable(error)
  }
}

function unreadable(error: unknown): ProductError {
  const reason = systemCode(error) ?? 'unknown error'
  return new ProductError('DISK', `the audit trail can't be read (${reason}); check its permissions`, error)
}

/** A place as one word, for a reply. */
export function cursorOf(place: Place): string {
  return `${place.file}.${place.offset}`
}

/** The place of such a word. @throws ProductError BAD_INPUT */
export function placeOf(cursor: string): Place {
  const [, file = '', offset = ''] = /^(\d{1,20})\.(-1|\d{1,15})$/.exec(cursor) ?? []
  if (file === '') throw new ProductError('BAD_INPUT', 'cursor is the next of an earlier reply')
  return { file, offset: Number(offset) }
}
