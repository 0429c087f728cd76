import { closeSync, fsync, openSync, write, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
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
  let folder = dirname(path)
  // write-file-atomic's own write can be cut short on a full disk without an error: it is given nothing to
  // write, and the text goes into its copy here, where a short write throws before the rename.
  await writeFileAtomic(path, '', {
    // There is nothing of its own to see onto the disk.
    fsync: false,
    ...(mode === undefined ? {} : { mode }),
    ...(owner === undefined ? {} : { chown: owner }),
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- it is awaited; the types lag behind
    tmpfileCreated: async copy => {
      folder = dirname(copy)
      const file = openSync(copy, 'r+')
      try {
        for (const bytes of utf8Pieces(text)) await writeWhole(file, bytes)
        await syncFile(file)
      } finally {
        closeSync(file)
      }
      await beforeRename?.()
    }
  })
  await syncFolder(folder)
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
