import { open, stat, unlink, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../common/clock.js'
import { systemCode } from '../../common/errors.js'
import { namesIn, type JsonFiles } from '../../common/json-file.js'
import { isListName, type ListName, type ServerName } from '../../common/names.js'
import type { AuditActor } from './audit-row.js'
import type { BlocklistStore } from './blocklists.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'
import type { UpdateIndexStore } from './update-index.js'

/** A copy being delivered. */
export interface Delivery {
  file: FileHandle
  bytes: number
  /** Deletes the copy: call it once it has been delivered whole. A newer copy made meanwhile stays. */
  delivered(): Promise<void>
}

/** What a client asked of update.php and gets: lists to fetch, and lists the server wants from it. */
export interface Offer {
  updates: ListName[]
  restore: ListName[]
}

/** The copies in `download/` between update.php and download.php (sync-contract.md §1, §3). */
export class DownloadStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly lists: BlocklistStore,
    private readonly index: UpdateIndexStore,
    private readonly clock: Clock
  ) {}

  /**
   * Hands out every list that waits or was handed out and never synced back (§5.2).
   * @param has what the client says it holds, list → SHA-256 of the file; undefined for clients that don't say.
   *   Lists that differ from the server's are handed out too, lists the server lost are asked back.
   */
  async offer(
    server: ServerName,
    has: ReadonlyMap<ListName, string> | undefined,
    actor: AuditActor
  ): Promise<Offer> {
    await this.lists.expireDue(server)
    const wanted = new Set((await this.index.of(server)).keys())
    const restore: ListName[] = []
    if (has !== undefined) {
      const hashes = await this.lists.hashes(server)
      for (const [list, hash] of hashes) if (has.get(list) !== hash) wanted.add(list)
      for (const list of has.keys()) if (!hashes.has(list)) restore.push(list)
    }
    const updates: ListName[] = []
    for (const list of [...wanted].sort()) {
      const given = await this.lists.handOut(server, list, text => this.#write(server, list, text), actor)
      if (given) updates.push(list)
    }
    return { updates, restore: restore.sort() }
  }

  async #write(server: ServerName, list: ListName, text: string): Promise<void> {
    await this.files.change(this.paths.download(server, list), KINDS.blocklist, current => ({
      value: current.value,
      text,
      result: undefined
    }))
    this.files.forget(this.paths.download(server, list))
  }

  /** Opens a copy for delivery, or gives undefined when there is none. */
  async open(server: ServerName, name: string): Promise<Delivery | undefined> {
    if (!isListName(name)) return undefined
    const path = this.paths.download(server, name)
    let file: FileHandle
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ELOOP') return undefined
      throw error
    }
    const { ino, size } = await file.stat()
    return { file, bytes: size, delivered: () => this.#remove(path, ino) }
  }

  async #remove(path: string, inode: number): Promise<void> {
    await this.files.locked(path, async () => {
      const present = await stat(path).catch(() => undefined)
      if (present?.ino === inode) await unlink(path)
    })
  }

  /** Deletes copies nobody fetched for an hour; their lists are offered again when the client next asks. */
  async removeAbandoned(server: ServerName): Promise<void> {
    const folder = this.paths.downloads(server)
    for (const name of (await namesIn(folder)).filter(isListName)) {
      const info = await stat(join(folder, name)).catch(() => undefined)
      if (info !== undefined && this.clock() - info.mtimeMs > 3_600_000)
        await this.#remove(join(folder, name), info.ino)
    }
  }
}
