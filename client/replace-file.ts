import { ProductError, systemCode } from '../common/errors.js'
import { replaceDurably } from '../common/durable-file.js'

/**
 * Replaces a text file that another program reads, atomically and durably; mode and owner of an existing one stay.
 * The folder must exist.
 * @param mode of a file that is new; else what it has
 * @throws ProductError DISK, then the old file stands
 */
export async function replaceFile(path: string, text: string, mode?: number): Promise<void> {
  try {
    await replaceDurably(path, text, mode === undefined ? {} : { mode })
  } catch (error) {
    throw new ProductError('DISK', `${path} (${systemCode(error) ?? 'unknown error'})`, error)
  }
}
