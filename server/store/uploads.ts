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
import { MemoryRoom } from './memory-room.js'

/** An upload lying in `temp/` while it is checked. */
export interface SpooledUpload {
  /** The name the client gave the file: untrusted. */
  name: string
  /**
   * Runs `work` on its content once there is room for it in memory.
   * @throws ProductError UPLOAD_JSON when it is not UTF-8; what `work` throws
   */
  use<T>(work: (text: string) => Promise<T>): Promise<T>
  discard(): Promise<void>
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new ProductError('UPLOAD_JSON', undefined, error)
  }
}

/** An upload up to this size has its own room in memory. */
const SMALL = 1024 * 1024
/** As long as a client waits for a reply at the most; it comes again in its next cycle. */
const LONGEST_WAIT_MS = 60_000
/** What senders that are not known yet may keep in memory, all together. */
const EARLY_BYTES = 64 * 1024 * 1024

/** Uploads being checked, in `temp/<server>/`; empty at rest (sync-contract.md §1). */
export class UploadStore {
  // Bytes on the disk: as text and objects, old list and new, an upload needs ten times as many. Large ones are
  // therefore worked on one at a time, which takes no longer: it is all one thread's work. A small one waits for none.
  readonly #small = new MemoryRoom(16 * SMALL, LONGEST_WAIT_MS)
  readonly #large = new MemoryRoom(24 * SMALL, LONGEST_WAIT_MS)
  #early = 0

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
    refuseLinks(this.paths.dataRoots(), folder)
    let bytes = 0
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const file = createWriteStream(path, { flags: 'wx', mode: 0o600 })
      await pipeline(content, file)
      bytes = file.bytesWritten
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
      use: work => this.withRoom(bytes, async () => work(decode(await readFile(path)))),
      discard: () => unlink(path).catch(() => undefined)
    }
  }

  /** Runs `work`, which holds that many bytes of lists, once there is room for them in memory. */
  async withRoom<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    return (bytes > SMALL ? this.#large : this.#small).use(bytes, work)
  }

  /**
   * Counts bytes that are held in memory for senders not known yet; negative ones when they are let go.
   * @throws ProductError AUTH_USER when all such senders together hold too many: a known one sends who it is first
   */
  countEarly(bytes: number): void {
    if (bytes > 0 && this.#early + bytes > EARLY_BYTES) {
      throw new ProductError('AUTH_USER', 'send username, password and uuid before the file')
    }
    this.#early += bytes
  }

  /** Deletes what servers that were killed left behind: uploads untouched for ten minutes. */
  async removeAbandoned(server: ServerName): Promise<void> {
    const folder = this.paths.uploads(server)
    refuseLinks(this.paths.dataRoots(), folder)
    for (const name of await namesIn(folder)) {
      const path = join(folder, name)
      const info = await stat(path).catch(() => undefined)
      if (name.endsWith('.upload') && info !== undefined && this.clock() - info.mtimeMs > 600_000) {
        await unlink(path).catch(() => undefined)
      }
    }
  }
}
