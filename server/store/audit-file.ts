import {
  closeSync,
  constants,
  fstatSync,
  ftruncate,
  lstatSync,
  openSync,
  readSync,
  unlinkSync
} from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { promisify } from 'node:util'
import { ProductError, systemCode } from '../../common/errors.js'
import type { HeldLock } from '../../common/file-lock.js'
import { syncFile, syncFolder, writeWhole } from '../../common/durable-file.js'
import { adopt, makeFolder } from '../../common/json-file.js'

/** A trail's file is set aside as `.1` before a write that finds it this large; bytes. */
export const ROTATE_AT = 16 * 1024 * 1024
/** Older files kept, `.1` the youngest. */
export const KEPT_FILES = 8
const APPEND = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW
/** A pipe that lies there is not waited for. */
const NEW =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** As all data: the group may read it (kinds.ts). */
const MODE = 0o640

/** The files of a trail, newest first; any of them may be missing. */
export function trailFiles(path: string): string[] {
  return [path, ...Array.from({ length: KEPT_FILES }, (_, at) => `${path}.${at + 1}`)]
}

/**
 * Appends whole lines to a trail by one write and sees them onto the disk. To be called under the trail's lock.
 * @param lines each with its final newline
 * @throws ProductError DISK, LOCK_LOST; no part of the lines is left in the file then
 */
export async function appendLines(
  path: string,
  lines: string,
  lock: HeldLock,
  rotateAt: number = ROTATE_AT
): Promise<void> {
  try {
    if ((lstatSync(path, { throwIfNoEntry: false })?.size ?? 0) >= rotateAt) {
      await lock.check()
      await rotate(path)
    }
    const file = openSync(path, APPEND, MODE)
    try {
      const { size } = fstatSync(file)
      await append(file, size, lines, lock)
      if (size === 0) adopt(path, file)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw asDiskError(path, error)
  }
}

/** Writes a new file of whole lines, durably, its name included. @throws ProductError DISK */
export async function writeLines(path: string, lines: string): Promise<void> {
  try {
    const file = await openNew(path)
    try {
      adopt(path, file)
      await writeWhole(file, Buffer.from(lines))
      await Promise.all([syncFile(file), syncFolder(dirname(path))])
    } catch (error) {
      // A full disk takes the file's name and not its lines.
      await unlink(path).catch(() => undefined)
      throw error
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw asDiskError(path, error)
  }
}

async function openNew(path: string): Promise<number> {
  try {
    return openSync(path, NEW, MODE)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
    await makeFolder(dirname(path))
    return openSync(path, NEW, MODE)
  }
}

async function append(file: number, size: number, lines: string, lock: HeldLock): Promise<void> {
  // A writer that was killed may have left half a line: it must not swallow the first of these.
  const last = Buffer.from('\n')
  if (size > 0) readSync(file, last, 0, 1, size - 1)
  const torn = last[0] !== 0x0a
  await lock.check()
  try {
    await writeWhole(file, Buffer.from(torn ? `\n${lines}` : lines))
    await syncFile(file)
  } catch (error) {
    // A full disk takes half a batch: it goes again, and with it nothing but what was written here.
    await cut(file, size).catch(() => undefined)
    throw error
  }
}

const cut = promisify(ftruncate)

/** A crash in between leaves a gap in the numbers, which readers pass over, and loses nothing. */
async function rotate(path: string): Promise<void> {
  const files = trailFiles(path)
  for (let at = files.length - 1; at > 0; at--) {
    await rename(files[at - 1] ?? path, files[at] ?? path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error
    })
  }
}

/** Deletes a file that may be gone already. @throws ProductError DISK */
export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw asDiskError(path, error)
  }
}

/** What went wrong with a file, as the one error that says what to do. */
export function asDiskError(path: string, error: unknown): ProductError {
  if (error instanceof ProductError) return error
  const reason = systemCode(error) ?? 'unknown error'
  return new ProductError('DISK', `${basename(path)} (${reason}); check space and permissions`, error)
}
