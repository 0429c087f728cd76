import type { Clock } from '../../common/clock.js'
import { corruptCopies, JsonFiles, type LockWait, type SetAside } from '../../common/json-file.js'
import type { LockTimes } from '../../common/file-lock.js'
import type { EventsFileName, ServerName } from '../../common/names.js'
import type { BanEvent } from '../../common/shapes.js'
import { refuseLinks } from '../../common/no-links.js'
import { AuditStore } from './audit.js'
import { AuditTrails } from './audit-trails.js'
import { BlocklistStore } from './blocklists.js'
import { ClientStore } from './clients.js'
import { CommandStore } from './commands.js'
import { DownloadStore } from './downloads.js'
import { EventStore } from './events.js'
import { checkFolders, Paths, type Folders } from './folders.js'
import { BlockGuard } from './guard.js'
import { HostStore } from './hosts.js'
import { KeyStore } from './keys.js'
import { KeptSumStore } from './kept-sums.js'
import { LiveNotes } from './live-notes.js'
import { PasswordCheck } from './password-check.js'
import { SessionFiles } from './session-files.js'
import { ServingMarks } from './serving.js'
import { TextHashes } from './text-hashes.js'
import { UpdateIndexStore } from './update-index.js'
import { UploadStore } from './uploads.js'
import { UserStore } from './users.js'
import { WhitelistStore } from './whitelist.js'

export interface StoreOptions {
  folders: Folders
  clock: Clock
  /** Told of every corrupt file that was moved out of the way. */
  onSetAside: (event: SetAside) => void
  /** Widest networks that may be blocked, prefix lengths. */
  widest: { 4: number; 6: number }
  /** Told when a change is made but its audit rows could not be written yet; housekeeping tries again. */
  onAuditDelayed?: (error: unknown) => void
  /** Told when notes for the live channel could not be written; what they tell of is done all the same. */
  onLiveFailed?: (error: unknown) => void
  /** Told of every wait for a file's lock. */
  onLock?: (wait: LockWait) => void
  /** Told of events that a server's host has sent and that were not known. */
  onEvents?: (server: ServerName, events: readonly BanEvent[]) => void
  /** Size at which an audit trail's file is set aside. */
  auditBytes?: number
  lockTimes?: LockTimes
  /** Shows these servers and days only, for a copy of a part. */
  part?: { servers?: readonly ServerName[] | undefined; oldest?: EventsFileName | undefined }
}

/** Everything that touches `archive/`, `download/`, `temp/` and settings. */
export class Store {
  readonly paths: Paths
  readonly files: JsonFiles
  readonly hashes = new TextHashes()
  readonly audit: AuditStore
  readonly trails: AuditTrails
  readonly live: LiveNotes
  readonly updates: UpdateIndexStore
  readonly lists: BlocklistStore
  readonly downloads: DownloadStore
  readonly uploads: UploadStore
  readonly events: EventStore
  readonly sums: KeptSumStore
  readonly clients: ClientStore
  readonly users: UserStore
  readonly keys: KeyStore
  readonly commands: CommandStore
  readonly hosts: HostStore
  readonly sessions: SessionFiles
  readonly passwords = new PasswordCheck()
  readonly whitelist: WhitelistStore
  readonly guard: BlockGuard
  readonly serving: ServingMarks

  constructor(options: StoreOptions) {
    const { clock, lockTimes } = options
    this.paths = new Paths(options.folders)
    this.serving = new ServingMarks(this.paths.root.archive)
    this.files = new JsonFiles({
      clock,
      onSetAside: options.onSetAside,
      roots: this.paths.dataRoots(),
      ...(options.onLock === undefined ? {} : { onLock: options.onLock }),
      ...(lockTimes === undefined ? {} : { times: lockTimes })
    })
    const ignore = () => undefined
    this.audit = new AuditStore(
      this.files,
      this.paths,
      clock,
      this.hashes,
      options.onAuditDelayed ?? ignore,
      options.auditBytes
    )
    this.trails = new AuditTrails(this.paths)
    this.live = new LiveNotes(this.files, this.paths, clock, options.onLiveFailed ?? ignore)
    this.updates = new UpdateIndexStore(this.files, this.paths)
    this.lists = new BlocklistStore(
      this.files,
      this.paths,
      this.updates,
      clock,
      this.audit,
      this.hashes,
      this.live
    )
    this.uploads = new UploadStore(this.paths, clock)
    this.sums = new KeptSumStore(this.files, this.paths)
    this.events = new EventStore(this.files, this.paths, this.live, clock, {
      onNew: options.onEvents ?? ignore,
      oldest: options.part?.oldest
    })
    this.clients = new ClientStore(this.files, this.paths, this.audit)
    this.users = new UserStore(this.files, this.paths, this.audit)
    this.keys = new KeyStore(this.files, this.paths, this.audit, clock)
    this.commands = new CommandStore(this.files, this.paths, this.audit, clock, this.live)
    this.hosts = new HostStore(this.files, this.paths, this.clients, clock, this.live, options.part?.servers)
    this.sessions = new SessionFiles(this.files, this.paths, clock)
    this.whitelist = new WhitelistStore(
      this.files,
      this.paths,
      this.lists,
      this.hosts,
      clock,
      this.audit,
      this.live
    )
    this.downloads = new DownloadStore(
      this.files,
      this.paths,
      this.lists,
      this.updates,
      this.whitelist,
      this.hashes,
      clock
    )
    this.guard = new BlockGuard(this.hosts, this.whitelist, options.widest)
  }

  /** Names of the set-aside corrupt files of a server; without one, those at the top of the archive. */
  async setAside(server?: ServerName): Promise<string[]> {
    const folders =
      server === undefined
        ? [this.paths.root.archive]
        : [this.paths.server(server), this.paths.lists(server), this.paths.days(server)]
    return (await Promise.all(folders.map(folder => corruptCopies(folder)))).flat()
  }

  /** As `checkFolders`. @throws ProductError FOLDER naming the folder's role */
  checkFolders(): Promise<void> {
    return checkFolders(this.paths.root)
  }

  /**
   * Removes what killed processes left behind.
   * @param most servers whose folders are looked at; the others have their turns with the next calls
   * @throws the first failure, once all else has been tidied: one server's folder hinders no other's
   */
  async housekeeping(most = Infinity): Promise<void> {
    await this.files.removeAbandoned(this.paths.root.archive)
    await this.files.removeAbandoned(this.paths.root.settings)
    await this.serving.removeDead()
    await this.audit.recover()
    const failed: unknown[] = []
    await this.whitelist.tellEnded().catch((error: unknown) => failed.push(error))
    for (const server of this.#turn(await this.hosts.names(), most)) {
      await this.#tidy(server).catch((error: unknown) => failed.push(error))
    }
    if (failed.length > 0) throw failed[0]
  }

  #tidied = ''

  /** The next of the names, by the alphabet; behind the last comes the first. */
  #turn(names: readonly ServerName[], most: number): ServerName[] {
    const later = names.filter(name => name > this.#tidied)
    const turn = [...later, ...names.filter(name => name <= this.#tidied)].slice(0, most)
    this.#tidied = turn.at(-1) ?? ''
    return turn
  }

  async #tidy(server: ServerName): Promise<void> {
    const { paths } = this
    await this.audit.recover(server)
    for (const folder of [
      paths.server(server),
      paths.lists(server),
      paths.days(server),
      paths.downloads(server)
    ]) {
      refuseLinks(paths.dataRoots(), folder)
      await this.files.removeAbandoned(folder)
    }
    await this.commands.settle(server)
    await this.uploads.removeAbandoned(server)
    await this.downloads.removeAbandoned(server)
  }
}
