import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../common/clock.js'
import { ProductError, systemCode } from '../../common/errors.js'
import { namesIn } from '../../common/json-file.js'
import type { ServerName } from '../../common/names.js'
import { refuseLinks } from '../../common/no-links.js'
import type { Paths } from './folders.js'

/** An upload lying in `temp/` while it is checked. */
export interface SpooledUpload {
  /** The name the client gave the file: untrusted. */
  name: string
  /** Its content. @throws ProductError UPLOAD_JSON when it is not UTF-8 */
  text(): Promise<string>
  discard(): Promise<void>
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new ProductError('UPLOAD_JSON', undefined, error)
  }
}

/** Uploads being checked, in `temp/<server>/`; empty at rest (sync-contract.md §1). */
export class UploadStore {
  constructor(
    private readonly paths: Paths,
    private readonly clock: Clock
  ) {}

  /**
   * Streams an upload to the disk. The file's name there is ours, never the client's.
   * @throws ProductError DISK when it can't be written; what the stream throws. Nothing is left behind then.
   */
  async spool(server: ServerName, name: string, content: Readable): Promise<SpooledUpload> {
    const folder = this.paths.uploads(server)
    const path = join(folder, `${randomUUID()}.upload`)
    await refuseLinks(this.paths.dataRoots(), folder)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await pipeline(content, createWriteStream(path, { flags: 'wx', mode: 0o600 }))
    } catch (error) {
      await unlink(path).catch(() => undefined)
      if (systemCode(error) === undefined || error instanceof ProductError) throw error
      throw new ProductError(
        'DISK',
        `the upload (${systemCode(error) ?? 'unknown error'}); check space and permissions`,
        error
      )
    }
    return {
      name,
      text: async () => decode(await readFile(path)),
      discard: () => unlink(path).catch(() => undefined)
    }
  }

  /** Deletes what servers that were killed left behind: uploads untouched for ten minutes. */
  async removeAbandoned(server: ServerName): Promise<void> {
    const folder = this.paths.uploads(server)
    await refuseLinks(this.paths.dataRoots(), folder)
    for (const name of await namesIn(folder)) {
      const path = join(folder, name)
      const info = await stat(path).catch(() => undefined)
      if (name.endsWith('.upload') && info !== undefined && this.clock() - info.mtimeMs > 600_000) {
        await unlink(path).catch(() => undefined)
      }
    }
  }
}
