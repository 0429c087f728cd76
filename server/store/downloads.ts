import { open, stat, unlink, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../common/clock.js'
import { ProductError, systemCode } from '../../common/errors.js'
import { namesIn, namesNow, versionOf, type JsonFiles, type Snapshot } from '../../common/json-file.js'
import { areFew, type ListChanges } from '../../common/list-changes.js'
import { isListName, type ListName, type ServerName } from '../../common/names.js'
import { refuseLinks } from '../../common/no-links.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import { THE_SERVER, type AuditActor } from './audit-row.js'
import type { BlocklistStore, Protection } from './blocklists.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'
import type { TextHashes } from './text-hashes.js'
import type { UpdateIndexStore } from './update-index.js'
import type { WhitelistStore } from './whitelist.js'

/** A copy being delivered. */
export interface Delivery {
  file: FileHandle
  bytes: number
  /** What the server changed since the host had the list last; undefined when that is not known, or not little. */
  changes: ListChanges | undefined
  /** Deletes the copy: call it once it has been delivered whole. A newer copy made meanwhile stays. */
  delivered(): Promise<void>
}

/** What a client asked of update.php and gets: lists to fetch, and lists the server wants from it. */
export interface Offer {
  updates: ListName[]
  restore: ListName[]
}

/** What is to be seen of a server's lists without reading any. */
interface Sight {
  /** Lists that wait, or were handed out and never synced back. */
  waiting: ListName[]
  /** Each list and its version. */
  lists: [ListName, string][]
  /** What lies in the server's folder of copies. */
  copies: string[]
}

/** The copies in `download/` between update.php and download.php (sync-contract.md §1, §3). */
export class DownloadStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly lists: BlocklistStore,
    private readonly index: UpdateIndexStore,
    private readonly whitelist: WhitelistStore,
    private readonly hashes: TextHashes,
    private readonly clock: Clock
  ) {}

  /**
   * Hands out every list that waits or was handed out and never synced back (§5.2). A list that can't be read or
   * changed doesn't stop the others.
   * @param has what the client says it holds, list → SHA-256 of the file; undefined for clients that don't say.
   *   Lists that differ from the server's are handed out too, lists the server lost are asked back.
   * @param failed told of each list that is left out, and why
   * @throws the first list's error when every list failed
   */
  async offer(
    server: ServerName,
    has: ReadonlyMap<ListName, string> | undefined,
    actor: AuditActor,
    failed: (list: ListName, error: unknown) => void
  ): Promise<Offer> {
    const [protect, sight] = await Promise.all([this.#protection(server), this.#look(server)])
    const seen = JSON.stringify([sight, protect?.key, has === undefined ? null : [...has]])
    const idle = this.#idle.get(server)
    if (idle?.seen === seen && this.clock() < idle.until) return { updates: [], restore: [] }
    this.#idle.delete(server)
    const waiting = new Set(sight.waiting)
    const updates: ListName[] = []
    const errors: unknown[] = []
    const all = [...new Set([...(await this.lists.names(server)), ...waiting])].sort()
    for (const list of all) {
      try {
        if (await this.#offerOne(server, list, has, waiting.has(list), protect, actor)) updates.push(list)
      } catch (error) {
        errors.push(error)
        failed(list, error)
      }
    }
    if (errors.length > 0 && errors.length === all.length) throw errors[0]
    // Looked at again: a list may just have been found corrupt and set aside.
    const names = new Set(await this.lists.names(server))
    await this.#removeOthers(server, updates)
    const restore = [...(has?.keys() ?? [])].filter(list => !names.has(list)).sort()
    if (updates.length + restore.length + errors.length + sight.waiting.length + sight.copies.length === 0) {
      const until = all.reduce((first, list) => Math.min(first, this.lists.nextEnd(server, list)), Infinity)
      this.#idle.set(server, { seen, until })
    }
    return { updates, restore }
  }

  /**
   * What an offer that came to nothing went by, and until when: the next one comes to the same as long as all that it
   * goes by is as it was. Most polls are such.
   */
  readonly #idle = new Map<ServerName, { seen: string; until: number }>()

  async #look(server: ServerName): Promise<Sight> {
    const waiting = await this.index.ofMade(server)
    return {
      waiting: [...waiting.keys()],
      lists: this.lists.versionsNow(server),
      copies: namesNow(this.paths.downloads(server))
    }
  }

  async #offerOne(
    server: ServerName,
    list: ListName,
    has: ReadonlyMap<ListName, string> | undefined,
    waits: boolean,
    protect: Protection | undefined,
    actor: AuditActor
  ): Promise<boolean> {
    const expired = await this.lists.expireDue(server, list)
    // Also what came about between a look at the whitelist and the block, or was written by hand.
    const lifted = protect === undefined ? [] : await this.lists.lift(server, list, protect, THE_SERVER)
    const hash = has === undefined ? undefined : await this.lists.hash(server, list)
    const differs = hash !== undefined && has?.get(list) !== hash
    const changed = waits || expired || lifted.length > 0 || differs
    const write = async (current: Snapshot<BlocklistEntry[]>) => {
      await this.#write(server, list, current)
      if (has !== undefined) await this.#noteChanges(server, list, current)
    }
    return changed && this.lists.handOut(server, list, write, actor)
  }

  async #protection(server: ServerName): Promise<Protection | undefined> {
    try {
      return await this.whitelist.protection(server)
    } catch (error) {
      // A whitelist that can't be read stops new blocks, and `doctor` tells of it; hosts go on with what they have.
      if (error instanceof ProductError && error.code === 'FILE_CORRUPT') return undefined
      throw error
    }
  }

  /** Who asks begins anew: a copy of a list that is in sync by now was delivered by a server that was killed then. */
  async #removeOthers(server: ServerName, updates: readonly ListName[]): Promise<void> {
    const folder = this.paths.downloads(server)
    for (const name of (await namesIn(folder)).filter(isListName)) {
      if (updates.includes(name)) continue
      const info = await stat(join(folder, name)).catch(() => undefined)
      if (info !== undefined) await this.#remove(join(folder, name), info.ino)
    }
  }

  async #write(server: ServerName, list: ListName, { text }: Snapshot<unknown>): Promise<void> {
    await this.files.change(this.paths.download(server, list), KINDS.blocklist, current => ({
      value: current.value,
      text,
      result: undefined
    }))
    this.files.forget(this.paths.download(server, list))
  }

  /** What a copy holds that its host hasn't seen yet, while the copy lies there as it was written. */
  readonly #changes = new Map<string, { version: string; changes: ListChanges }>()

  /**
   * Every change made here is pending until its host has synced it back, and stands where its entry stood or at the
   * end. If that is not all (another hand changed the list), the host notices by the hash and asks for the whole.
   */
  async #noteChanges(server: ServerName, list: ListName, current: Snapshot<BlocklistEntry[]>): Promise<void> {
    const path = this.paths.download(server, list)
    this.#changes.delete(path)
    const set: (readonly [number, BlocklistEntry])[] = []
    current.value.forEach((row, place) => {
      if (row.pending === true) set.push([place, row])
    })
    const rows = { set, gone: [] }
    if (!areFew(rows, current.value.length)) return
    const result = this.hashes.of(current)
    const changes = { ...rows, result, bytes: Buffer.byteLength(current.text) }
    this.#changes.set(path, { version: await versionOf(path), changes })
  }

  /** Opens a copy for delivery, or gives undefined when there is none. */
  async open(server: ServerName, name: string): Promise<Delivery | undefined> {
    if (!isListName(name)) return undefined
    refuseLinks(this.paths.dataRoots(), this.paths.downloads(server))
    const path = this.paths.download(server, name)
    let file: FileHandle
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ELOOP') return undefined
      throw error
    }
    const { ino, size } = await file.stat()
    const noted = this.#changes.get(path)
    const changes =
      noted !== undefined && noted.version === (await versionOf(path)) ? noted.changes : undefined
    return { file, bytes: size, changes, delivered: () => this.#remove(path, ino) }
  }

  async #remove(path: string, inode: number): Promise<void> {
    await this.files.locked(path, async () => {
      const present = await stat(path).catch(() => undefined)
      if (present?.ino !== inode) return
      this.#changes.delete(path)
      await unlink(path)
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
