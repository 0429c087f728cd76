import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { ProductError, systemCode } from '../common/errors.js'

/**
 * Replaces a text file that another program reads, atomically and durably; mode and owner of an existing one stay.
 * The folder must exist.
 * @param mode of a file that is new; else what it has
 * @throws ProductError DISK, then the old file stands
 */
export async function replaceFile(path: string, text: string, mode?: number): Promise<void> {
  try {
    // As in common/json-file.ts: a short write on a full disk has to throw before the rename.
    await writeFileAtomic(path, '', {
      ...(mode === undefined ? {} : { mode }),
      // eslint-disable-next-line @typescript-eslint/no-misused-promises -- it is awaited; the types lag behind
      tmpfileCreated: async copy => {
        const file = await open(copy, 'r+')
        try {
          await file.writeFile(text)
          await file.sync()
        } finally {
          await file.close()
        }
      }
    })
    const folder = await open(dirname(path), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    throw new ProductError('DISK', `${path} (${systemCode(error) ?? 'unknown error'})`, error)
  }
}
