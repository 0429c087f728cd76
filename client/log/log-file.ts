import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { ProductError, systemCode } from '../../common/errors.js'
import { sha256 } from '../../common/sha256.js'

/** Where reading stopped. `fingerprint` is of the first bytes: it tells a file from one that took its place. */
export interface LogPosition {
  inode: number
  offset: number
  fingerprint: { bytes: number; sha256: string }
}

/** Bytes that make a fingerprint at most; a first line with its time fits many times. */
const FINGERPRINT_BYTES = 1024

/** An open log file as it was when it was opened. */
export interface LogFile {
  handle: FileHandle
  inode: number
  size: number
  /** Its first bytes, taken at once: what is read later may already be of another content. */
  head: Buffer
}

/**
 * Opens a log for reading.
 * @throws ProductError CONFIG naming the setting, when it is missing, unreadable or no plain file
 */
export async function openLog(path: string): Promise<LogFile> {
  let handle: FileHandle
  try {
    // Without waiting: opening a named pipe would hang until someone writes.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw unreadable(path, systemCode(error) ?? 'unknown error', error)
  }
  try {
    const info = await handle.stat()
    if (!info.isFile()) throw unreadable(path, 'it is no plain file')
    const buffer = Buffer.alloc(Math.min(FINGERPRINT_BYTES, info.size))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
    return { handle, inode: info.ino, size: info.size, head: buffer.subarray(0, bytesRead) }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function unreadable(path: string, why: string, cause?: unknown): ProductError {
  return new ProductError(
    'CONFIG',
    `fail2ban's log ${path} can't be read (${why}); name it with --log FILE`,
    cause
  )
}

/** The position `offset` bytes into a file. */
export function positionIn(file: LogFile, offset: number): LogPosition {
  const head = file.head.subarray(0, Math.min(file.head.length, offset))
  return { inode: file.inode, offset, fingerprint: { bytes: head.length, sha256: sha256(head) } }
}

/**
 * True when the file is the one of the position, grown or as it was, whatever it is called now. Where nothing
 * had been read, the inode must do; else it says nothing, for a copy has another and a new file may get the old.
 */
export function continues(file: LogFile, position: LogPosition): boolean {
  const { bytes, sha256: expected } = position.fingerprint
  if (file.size < position.offset || file.head.length < bytes) return false
  if (bytes === 0) return file.inode === position.inode
  return sha256(file.head.subarray(0, bytes)) === expected
}
