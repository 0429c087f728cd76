import { createHash } from 'node:crypto'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { ProductError, systemCode } from '../../common/errors.js'

/** Where reading stopped. `fingerprint` is of the first bytes: it tells a file from one that took its place. */
export interface LogPosition {
  inode: number
  offset: number
  fingerprint: { bytes: number; sha256: string }
}

/** What one reading of the log did. */
export interface LogReading {
  position: LogPosition
  bytesRead: number
}

const CHUNK = 1024 * 1024
const LONGEST_LINE = 64 * 1024
const FINGERPRINT_BYTES = 1024
/** Every line that can be an event holds one of these words and a blank. */
const NEEDLE = /[Bb]an /g

/**
 * Gives every line that can be an event and was not read before, in order. Only new bytes are read, in pieces;
 * the lines in between are never made into strings. Rotation (rename or copy) is recognised: the rest of
 * `<log>.1` comes first. A line without its end waits for the next reading; one over 64 KiB is passed over.
 * @throws ProductError CONFIG when the log is not there or can't be read
 */
export async function readLog(
  path: string,
  from: LogPosition | undefined,
  take: (line: string) => void
): Promise<LogReading> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    const why = systemCode(error) ?? 'unknown error'
    throw new ProductError(
      'CONFIG',
      `fail2ban's log ${path} can't be read (${why}); name it with --log FILE`,
      error
    )
  }
  try {
    const { ino, size } = await file.stat()
    let offset = 0
    let bytesRead = 0
    if (from !== undefined) {
      if (size >= from.offset && (await hasFingerprint(file, from))) offset = from.offset
      else bytesRead += await readRotated(`${path}.1`, from, take)
    }
    const end = await readLines(file, offset, size, take)
    bytesRead += size - offset
    return { position: { inode: ino, offset: end, fingerprint: await fingerprintOf(file, end) }, bytesRead }
  } finally {
    await file.close()
  }
}

/** Reads what was not read yet of the file that was rotated away, if it is there and is the one. */
async function readRotated(path: string, from: LogPosition, take: (line: string) => void): Promise<number> {
  const info = await stat(path).catch(() => undefined)
  if (info === undefined || info.size < from.offset) return 0
  const file = await open(path, 'r')
  try {
    if (!(await hasFingerprint(file, from))) return 0
    await readLines(file, from.offset, info.size, take)
    return info.size - from.offset
  } finally {
    await file.close()
  }
}

async function fingerprintOf(file: FileHandle, upTo: number): Promise<LogPosition['fingerprint']> {
  const buffer = Buffer.alloc(Math.min(FINGERPRINT_BYTES, upTo))
  await readFully(file, buffer, 0)
  return { bytes: buffer.length, sha256: createHash('sha256').update(buffer).digest('hex') }
}

async function hasFingerprint(file: FileHandle, from: LogPosition): Promise<boolean> {
  const own = await fingerprintOf(file, from.fingerprint.bytes)
  return own.sha256 === from.fingerprint.sha256
}

async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<void> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled)
    if (bytesRead === 0) return
    filled += bytesRead
  }
}

/** @returns the offset behind the last whole line before `size` */
async function readLines(
  file: FileHandle,
  start: number,
  size: number,
  take: (line: string) => void
): Promise<number> {
  const buffer = Buffer.alloc(CHUNK + LONGEST_LINE)
  let position = start
  // Bytes of an unfinished line at the front of the buffer.
  let held = 0
  // Inside a line that is too long: everything up to its end is passed over.
  let skipping = false
  while (position + held < size) {
    const want = Math.min(CHUNK, size - position - held)
    const { bytesRead } = await file.read(buffer, held, want, position + held)
    if (bytesRead === 0) break
    const filled = held + bytesRead
    let from = 0
    if (skipping) {
      const end = buffer.subarray(0, filled).indexOf(0x0a)
      if (end < 0) {
        position += filled
        held = 0
        continue
      }
      from = end + 1
      skipping = false
    }
    const last = buffer.subarray(0, filled).lastIndexOf(0x0a)
    if (last >= from) takeCandidates(buffer.subarray(from, last + 1), take)
    const rest = Math.max(last + 1, from)
    position += rest
    held = filled - rest
    buffer.copyWithin(0, rest, filled)
    if (held >= LONGEST_LINE) {
      skipping = true
      position += held
      held = 0
    }
  }
  return position
}

/** Finds the lines with a needle in a block of whole lines. One search over the block, not one a line. */
function takeCandidates(block: Buffer, take: (line: string) => void): void {
  // One character a byte, so that indexes are byte offsets; the line itself is decoded as UTF-8.
  const text = block.toString('latin1')
  NEEDLE.lastIndex = 0
  for (let found = NEEDLE.exec(text); found !== null; found = NEEDLE.exec(text)) {
    const start = text.lastIndexOf('\n', found.index) + 1
    const end = text.indexOf('\n', found.index)
    if (end - start <= LONGEST_LINE)
      take(block.toString('utf8', start, text[end - 1] === '\r' ? end - 1 : end))
    NEEDLE.lastIndex = end + 1
  }
}
