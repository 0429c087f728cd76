import type { Clock } from '../../common/clock.js'
import { JsonFiles, removeAbandonedCopies, versionOf, type SetAside } from '../../common/json-file.js'
import type { LockTimes } from '../../common/file-lock.js'
import { BlocklistStore } from './blocklists.js'
import { ClientStore } from './clients.js'
import { DownloadStore } from './downloads.js'
import { EventStore } from './events.js'
import { Paths, type Folders } from './folders.js'
import { BlockGuard } from './guard.js'
import { HostStore } from './hosts.js'
import { SessionFiles } from './session-files.js'
import { UpdateIndexStore } from './update-index.js'
import { UploadStore } from './uploads.js'
import { UserStore } from './users.js'

export interface StoreOptions {
  folders: Folders
  clock: Clock
  /** Told of every corrupt file that was moved out of the way. */
  onSetAside: (event: SetAside) => void
  /** Widest networks that may be blocked, prefix lengths. */
  widest: { 4: number; 6: number }
  lockTimes?: LockTimes
}

/** Everything that touches `archive/`, `download/`, `temp/` and settings. */
export class Store {
  readonly paths: Paths
  readonly files: JsonFiles
  readonly updates: UpdateIndexStore
  readonly lists: BlocklistStore
  readonly downloads: DownloadStore
  readonly uploads: UploadStore
  readonly events: EventStore
  readonly clients: ClientStore
  readonly users: UserStore
  readonly hosts: HostStore
  readonly sessions: SessionFiles
  readonly guard: BlockGuard
  readonly #clock: Clock

  constructor(options: StoreOptions) {
    const { clock, lockTimes } = options
    this.#clock = clock
    this.paths = new Paths(options.folders)
    this.files = new JsonFiles({
      clock,
      onSetAside: options.onSetAside,
      ...(lockTimes === undefined ? {} : { times: lockTimes })
    })
    this.updates = new UpdateIndexStore(this.files, this.paths)
    this.lists = new BlocklistStore(this.files, this.paths, this.updates, clock)
    this.downloads = new DownloadStore(this.files, this.paths, this.lists, this.updates, clock)
    this.uploads = new UploadStore(this.paths, clock)
    this.events = new EventStore(this.files, this.paths)
    this.clients = new ClientStore(this.files, this.paths)
    this.users = new UserStore(this.files, this.paths)
    this.hosts = new HostStore(this.files, this.paths, this.clients, clock)
    this.sessions = new SessionFiles(this.files, this.paths, clock)
    this.guard = new BlockGuard(this.files, this.paths, this.hosts, clock, options.widest)
  }

  readonly #swept = new Map<string, string>()

  /**
   * Ends what has expired and removes what killed processes left behind. Cheap when there is nothing to do: a
   * list is read only if it changed or an entry's end may have come.
   */
  async housekeeping(): Promise<void> {
    const now = this.#clock()
    await removeAbandonedCopies(this.paths.root.archive, now)
    await removeAbandonedCopies(this.paths.root.settings, now)
    for (const server of await this.hosts.names()) {
      for (const list of await this.lists.names(server)) {
        const path = this.paths.list(server, list)
        const version = await versionOf(path)
        if (this.#swept.get(path) === version) continue
        await this.lists.expire(server, list)
        const { value } = await this.lists.read(server, list)
        // A list with ends to come is looked at again each time.
        if (!value.some(entry => entry.expires != null && entry.active !== false))
          this.#swept.set(path, version)
      }
      for (const folder of [this.paths.server(server), this.paths.lists(server), this.paths.days(server)]) {
        await removeAbandonedCopies(folder, now)
      }
      await this.uploads.removeAbandoned(server)
      await this.downloads.removeAbandoned(server)
    }
  }
}
