import { randomInt } from 'node:crypto'
import {
  closeSync,
  fsync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  unlinkSync,
  write,
  writeSync
} from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { onExit } from 'signal-exit'
import writeFileAtomic from 'write-file-atomic'
import { utf8Pieces } from './utf8-pieces.js'

/** How a file is replaced. */
export interface Replacement {
  /** Mode and owner; those of the present file when absent. */
  mode?: number
  owner?: { uid: number; gid: number }
  /** Called once the text lies on the disk beside the file; the file stays as it is when it throws. */
  beforeRename?: () => Promise<void>
}

/**
 * Replaces a file by a whole text, atomically and durably. The folder must exist.
 * @throws system errors, and what `beforeRename` throws; the old file stands then
 */
export async function replaceDurably(path: string, text: string, how: Replacement = {}): Promise<void> {
  const { mode, owner, beforeRename } = how
  // Of settings that are a link, what it leads to is replaced, in a folder of its own.
  const target = realPath(path)
  const copy = `${target}.${randomInt(2 ** 32)}`
  // It gets the file's mode and owner only when it is put there: until then it is nobody else's to read.
  const isNew = mode === undefined && lstatSync(target, { throwIfNoEntry: false }) === undefined
  const file = openSync(copy, 'wx', isNew ? NEW_MODE : 0o600)
  const stopWaiting = onExit(() => deleteNow(copy))
  try {
    try {
      for (const bytes of utf8Pieces(text)) await writeWhole(file, bytes)
      await syncFile(file)
    } finally {
      closeSync(file)
    }
    await beforeRename?.()
    // write-file-atomic's own write can be cut short on a full disk without an error: it is given nothing to write, and
    // the copy that lies on the disk takes the place of its own. At once: by a thread for each of its fourteen calls it
    // took an eighth of all the time of a block.
    writeFileAtomic.sync(target, '', {
      fsync: false,
      ...(mode === undefined ? {} : { mode }),
      ...(owner === undefined ? {} : { chown: owner }),
      tmpfileCreated: own => renameSync(copy, own)
    })
  } catch (error) {
    deleteNow(copy)
    throw error
  } finally {
    stopWaiting()
  }
  await syncFolder(dirname(target))
}

/** Of a new file that nobody says a mode of, before the process's mask. */
const NEW_MODE = 0o666

/** Deletes a copy that is given up; it may be gone already. */
function deleteNow(copy: string): void {
  try {
    unlinkSync(copy)
  } catch {
    // What is left is no file that anybody reads.
  }
}

/** What a path leads to; the path itself when it leads nowhere: a link in a circle is replaced like any other file. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Sees a folder's entries onto the disk: a new, renamed or deleted file is durable only then. */
export async function syncFolder(folder: string): Promise<void> {
  const file = openSync(folder, 'r')
  try {
    await syncFile(file)
  } finally {
    closeSync(file)
  }
}

/** Sees an open file onto the disk. In a thread: it takes as long as the disk does. */
export const syncFile = promisify(fsync)

const writeSome = promisify(write)
/** So much goes into the system's memory within 50 µs; to have a thread do it takes twice as long. */
const AT_ONCE = 64 * 1024

/** Writes all bytes to an open file, from where it stands. @throws system errors; a part may be written then */
export async function writeWhole(file: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done +=
      bytes.length <= AT_ONCE
        ? writeSync(file, bytes, done)
        : (await writeSome(file, bytes, done)).bytesWritten
  }
}
