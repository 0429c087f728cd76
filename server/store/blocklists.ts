import { parseAddress, type Address, type AddressSet } from '../../common/address.js'
import { timeOf, type Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import {
  corruptCopies,
  namesIn,
  namesNow,
  versionNow,
  versionOf,
  type JsonFiles,
  type Snapshot
} from '../../common/json-file.js'
import type { ListChanges } from '../../common/list-changes.js'
import type { RowChanges } from '../../common/list-text.js'
import { isListName, jailOfList, type ListName, type ServerName } from '../../common/names.js'
import { asksForBlock, LIMITS, type BlocklistEntry } from '../../common/shapes.js'
import type { AuditedChange, AuditStore, Spelled } from './audit.js'
import { draftsOfChange, draftsOfUpload } from './audit-drafts.js'
import { THE_SERVER, type AuditActor, type AuditDraft } from './audit-row.js'
import {
  changeEntries,
  expireEntries,
  followChanges,
  placesOf,
  type ChangeOutcome,
  type EntryChange,
  type EntryPlaces
} from './entry-changes.js'
import type { Paths } from './folders.js'
import { GroupCommit } from './group-commit.js'
import { KINDS } from './kinds.js'
import { HandOverStore } from './hand-overs.js'
import type { LiveNotes } from './live-notes.js'
import { confirmEntries, mergeSyncBack, touchedSides, type Merge, type Sides } from './merge.js'
import type { TextHashes } from './text-hashes.js'
import { stateOf, type ListState, type UpdateIndexStore } from './update-index.js'
import { checkAddresses } from './uploaded-list.js'

/** How a sync-back treats changes made since the hand-over: kept, or lost as in the concept's literal text. */
export type SyncBackMode = 'merge' | 'overwrite'

/** Changes that may go into one write. */
const MOST_TOGETHER = 5000

/** A host's version of a list. */
export interface UploadedList {
  entries: BlocklistEntry[]
  text: string
  /** Of a version that was made here: of which list, and by what. */
  made?: { of: readonly BlocklistEntry[]; changes: ListChanges }
}

/** The outcome of a sync-back; `rows` make it of what was there, where they are known. */
interface Taken extends Merge, Sides {
  rows?: RowChanges<BlocklistEntry>
}

/** What may not be blocked on a host. */
export interface Protection {
  /** Asked only when there is something to compare. */
  set: () => AddressSet
  /** Changes whenever the set does; undefined for a part of the set, which is compared every time. */
  key: string | undefined
  /** What may not be blocked by now; undefined when nothing is protected any more. */
  again: () => Promise<Protection | undefined>
}

/**
 * The blocklists of all servers. A list's file, its key in update.json and its hand-over record change together
 * under the list's lock; locks are always taken in this order: list, handover.json or gone.json, update.json;
 * that of the audit trail is never held while another is taken.
 */
export class BlocklistStore {
  readonly #handOvers: HandOverStore

  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly index: UpdateIndexStore,
    private readonly clock: Clock,
    private readonly audit: AuditStore,
    private readonly hashes: TextHashes,
    private readonly live: LiveNotes
  ) {
    this.#handOvers = new HandOverStore(files, paths, clock)
  }

  /** Names of a server's lists. */
  async names(server: ServerName): Promise<ListName[]> {
    return (await namesIn(this.paths.lists(server))).filter(isListName)
  }

  /** One list as it is on the disk; empty when there is none. */
  async read(server: ServerName, list: ListName): Promise<Snapshot<BlocklistEntry[]>> {
    return this.files.read(this.paths.list(server, list), KINDS.blocklist)
  }

  /** Changes whenever the list's file does; empty when there is none. Cheaper than `read`. */
  async version(server: ServerName, list: ListName): Promise<string> {
    return versionOf(this.paths.list(server, list))
  }

  /** A server's lists, each with its version, as they are at this moment: for a poll. */
  versionsNow(server: ServerName): [ListName, string][] {
    const names = namesNow(this.paths.lists(server)).filter(isListName)
    return names.map(list => [list, versionNow(this.paths.list(server, list))])
  }

  /** SHA-256 (hex) of a list's bytes; undefined when there is no such list. */
  async hash(server: ServerName, list: ListName): Promise<string | undefined> {
    const current = await this.read(server, list)
    return current.version === '' ? undefined : this.hashes.of(current)
  }

  /** Set-aside copies of a server's lists. */
  async corrupt(server: ServerName): Promise<string[]> {
    return corruptCopies(this.paths.lists(server))
  }

  /**
   * Blocks and unblocks addresses in one list: one write, however many, also for what else the actor asks for at the
   * same moment. The list then waits for its client.
   * @param actor who asks, for the audit trail
   * @returns one outcome per change
   * @throws ProductError LIST_SET_ASIDE while a corrupt list has not been restored, CONFLICT when the list would
   *   grow beyond what may be read back, and what JsonFiles throws
   */
  async change(
    server: ServerName,
    list: ListName,
    changes: readonly EntryChange[],
    actor: AuditActor
  ): Promise<ChangeOutcome[]> {
    const key = JSON.stringify([server, list, actor])
    try {
      return await this.#together.add(key, changes, async take => {
        let sizes: number[] = []
        const all = () => {
          const wishes = take()
          sizes = wishes.map(({ length }) => length)
          return Promise.resolve(wishes.flat())
        }
        const outcomes = await this.#change(server, list, all, actor)
        let from = 0
        return sizes.map(size => outcomes.slice(from, (from += size)))
      })
    } catch (error) {
      // Each may fit where all of them together are too many.
      if (!(error instanceof ProductError) || error.code !== 'CONFLICT') throw error
      return this.#change(server, list, () => Promise.resolve(changes), actor)
    }
  }

  /** Changes of one list by one actor that come at the same moment; no address twice, for each is one change of it. */
  readonly #together = new GroupCommit<readonly EntryChange[], ChangeOutcome[]>(MOST_TOGETHER, changes =>
    changes.map(({ ip }) => ip)
  )

  /**
   * @param decide what is to be changed in the list as it is, asked under its lock
   * @param wake whether its host is told to come
   */
  async #change(
    server: ServerName,
    list: ListName,
    decide: (entries: readonly BlocklistEntry[]) => Promise<readonly EntryChange[]>,
    actor: AuditActor,
    wake = true
  ): Promise<ChangeOutcome[]> {
    return this.files.change(this.paths.list(server, list), KINDS.blocklist, async current => {
      const changes = await decide(current.value)
      if (current.version === '') await this.#refuseWhileSetAside(server, list)
      const { latest } = await this.#handOvers.of(server, list)
      const places = this.#placesOf(current.value)
      const jail = jailOfList(list)
      const changed = changeEntries(current.value, jail, changes, this.clock(), latest ?? 0, places)
      if (changed.list === current.value) return { result: changed.outcomes }
      if (changed.list.length > LIMITS.listEntries) {
        throw new ProductError('CONFLICT', `a list may have at most ${LIMITS.listEntries} entries`)
      }
      const { rows } = changed
      const drafts = draftsOfChange(current.value, rows.set, jail, entry =>
        entry.active === false ? 'unblock' : 'block'
      )
      const told = this.#asked(server, list, current, changed, actor, drafts, wake)
      const written = async () => {
        this.#follow(current.value, rows, changed.list)
        await told.written()
      }
      return { ...told, written, result: changed.outcomes }
    })
  }

  /** Places of the entries of lists in memory: they go with the list. */
  readonly #places = new WeakMap<readonly BlocklistEntry[], EntryPlaces>()

  #placesOf(list: readonly BlocklistEntry[]): EntryPlaces {
    const known = this.#places.get(list) ?? placesOf(list)
    this.#places.set(list, known)
    return known
  }

  /** The places of a list become those of what was made of it. */
  #follow(
    before: readonly BlocklistEntry[],
    rows: RowChanges<BlocklistEntry>,
    after: readonly BlocklistEntry[]
  ): void {
    const places = this.#places.get(before)
    this.#places.delete(before)
    // Behind rows that go, all others stand elsewhere.
    if (places === undefined || rows.gone.length > 0) return
    followChanges(places, before.length, rows)
    this.#places.set(after, places)
  }

  /**
   * The change of a list that its client has to fetch. The flag is there before the list: killed in between, the client
   * is merely asked to look once more.
   */
  #asked(
    server: ServerName,
    list: ListName,
    current: Snapshot<BlocklistEntry[]>,
    { list: value, rows }: { list: BlocklistEntry[]; rows: RowChanges<BlocklistEntry> },
    actor: AuditActor,
    drafts: readonly AuditDraft[],
    wake: boolean
  ): AuditedChange<BlocklistEntry[]> & { rows: RowChanges<BlocklistEntry> } {
    const audited = this.#audited(server, list, current, value, actor, drafts)
    const before = (next: string) => both(audited.before(next), this.index.set(server, list, 'waits'))
    return { ...this.#told(audited, server, list, 'waits', wake), before, rows }
  }

  readonly #nextEnds = new Map<string, { version: string; end: number }>()

  /**
   * Turns entries of a list whose end has passed into asked-for unblocks, flagged for the client
   * (sync-contract.md §5.7). Cheap when none is due: a list is read again only when it changed or an end
   * came. For a host that is asking just now: it is not told to come. @returns whether there were any
   */
  async expireDue(server: ServerName, list: ListName): Promise<boolean> {
    const path = this.paths.list(server, list)
    const known = this.#nextEnds.get(path)
    const version = await versionOf(path)
    if (known?.version === version && this.clock() < known.end) return false
    const expired = await this.#expire(server, list)
    const after = await this.read(server, list)
    this.#nextEnds.set(path, { version: after.version, end: nextEnd(after.value) })
    return expired
  }

  /** When the first entry of a list ends, as `expireDue` last saw it; milliseconds, Infinity when none does. */
  nextEnd(server: ServerName, list: ListName): number {
    return this.#nextEnds.get(this.paths.list(server, list))?.end ?? Infinity
  }

  async #expire(server: ServerName, list: ListName): Promise<boolean> {
    const now = this.clock()
    const { value } = await this.read(server, list)
    if (expireEntries(value, now, 0) === value) return false
    return this.files.change(this.paths.list(server, list), KINDS.blocklist, async current => {
      const { latest } = await this.#handOvers.of(server, list)
      const next = expireEntries(current.value, now, latest ?? 0)
      if (next === current.value) return { result: false }
      const set = next.flatMap((entry, at) => (entry === current.value[at] ? [] : [[at, entry] as const]))
      const changed = { list: next, rows: { set, gone: [] } }
      const drafts = draftsOfChange(current.value, set, jailOfList(list), () => 'expired')
      return { ...this.#asked(server, list, current, changed, THE_SERVER, drafts, false), result: true }
    })
  }

  readonly #lifted = new Map<string, string>()

  /**
   * Asks for the end of every block of a list that shares an address with `protect.set()`. Cheap when neither the
   * list nor the set changed. The host is not told to come: that is for who asks for it. @returns what was lifted
   */
  async lift(server: ServerName, list: ListName, protect: Protection, actor: AuditActor): Promise<Address[]> {
    const path = this.paths.list(server, list)
    const { value, version } = await this.read(server, list)
    const looked = protect.key === undefined ? undefined : `${version} ${protect.key}`
    if (looked !== undefined && this.#lifted.get(path) === looked) return []
    if (this.#blocksOf(value, protect).length === 0) {
      if (looked !== undefined) this.#lifted.set(path, looked)
      return []
    }
    let ips: Address[] = []
    const decide = async (entries: readonly BlocklistEntry[]) => {
      // Who took an address off the whitelist since may have blocked it: that block must stay.
      const now = await protect.again()
      ips = now === undefined ? [] : this.#blocksOf(entries, now)
      return ips.map(ip => ({ ip, want: 'unblock' as const, source: 'whitelist' }))
    }
    const outcomes = await this.#change(server, list, decide, actor, false)
    return ips.filter((_, at) => outcomes[at] === 'unblocked')
  }

  /** Addresses of the entries that ask for a block of what is protected. */
  #blocksOf(entries: readonly BlocklistEntry[], protect: Protection): Address[] {
    const set = protect.set()
    return entries.flatMap(entry => {
      const ip = asksForBlock(entry, this.clock()) ? parseAddress(entry.ip) : undefined
      return ip !== undefined && set.overlapping(ip) !== undefined ? [ip] : []
    })
  }

  /**
   * Gives a list out of the server's hand: `write` stores the copy, then the hand-over is recorded and the list
   * marked as handed out. @returns false, and the mark removed, when there is no such list
   */
  async handOut(
    server: ServerName,
    list: ListName,
    write: (current: Snapshot<BlocklistEntry[]>) => Promise<void>,
    actor: AuditActor
  ): Promise<boolean> {
    const path = this.paths.list(server, list)
    return this.files.change(path, KINDS.blocklist, async current => {
      if (current.version === '') {
        await this.index.set(server, list, 'in-sync')
        return { result: false }
      }
      await write(current)
      await this.#handOvers.record(server, list, current.value)
      // Offered once more and unchanged: told already. Before the mark: killed in between, it is told twice.
      const again = (await this.index.of(server)).get(list) === false
      const count = current.value.filter(entry => entry.pending === true).length
      const row: AuditDraft = { what: 'handed-out', jail: jailOfList(list), count }
      if (!again) await this.audit.note(server, actor, [row])
      await this.index.set(server, list, 'handed-out')
      if (!again) await this.#tell(server, list, 'handed-out')
      return { result: true }
    })
  }

  /**
   * Takes the client's version of a list back (sync-contract.md §3 syncback, §5.1). An unchanged file is not
   * rewritten. @returns how many server entries were kept because they changed since the hand-over
   */
  async syncBack(
    server: ServerName,
    list: ListName,
    upload: UploadedList,
    mode: SyncBackMode,
    actor: AuditActor
  ): Promise<number> {
    return this.files.change(this.paths.list(server, list), KINDS.blocklist, async current => {
      const taken = await this.#taken(server, list, current.value, upload, mode)
      const state = taken.kept > 0 ? 'waits' : 'in-sync'
      if (taken.kept === 0 && current.text === upload.text) {
        await this.#handOvers.handedBack(server, list)
        await this.index.set(server, list, state)
        await this.#tell(server, list, state)
        return { result: 0 }
      }
      await this.#handOvers.noteGone(server, list, taken.before, taken.after)
      const spelled = taken.kept === 0 ? { text: upload.text, hash: upload.made?.changes.result } : {}
      // With none kept, all that is there afterwards was uploaded: of few rows it is told at once.
      const uploaded = taken.kept === 0 ? taken.after : upload.entries
      const drafts = await this.#draftsOfUpload(server, list, current, taken, uploaded)
      const written = this.#audited(server, list, current, taken.list, actor, drafts, spelled)
      return {
        ...written,
        ...(taken.rows === undefined ? {} : { rows: taken.rows }),
        result: taken.kept,
        written: async () => {
          if (taken.rows !== undefined) this.#follow(current.value, taken.rows, taken.list)
          await written.written()
          await this.#handOvers.handedBack(server, list)
          await this.index.set(server, list, state)
          await this.#tell(server, list, state)
        }
      }
    })
  }

  /** What a sync-back makes of a list; looked at by its rows where that tells all. @throws ProductError UPLOAD_CONTENT */
  async #taken(
    server: ServerName,
    list: ListName,
    current: readonly BlocklistEntry[],
    { entries, made }: UploadedList,
    mode: SyncBackMode
  ): Promise<Taken> {
    const latest = (await this.#handOvers.of(server, list)).latest ?? Infinity
    const rows = made?.of === current ? made.changes : undefined
    const touched = rows && touchedSides(current, rows, this.#placesOf(current))
    const merge = ({ before, after }: Sides, gone?: ReadonlyMap<string, number>): Merge =>
      mode === 'overwrite'
        ? { list: after, kept: 0 }
        : mergeSyncBack(before, after, latest, this.clock(), gone)
    if (rows && touched && merge(touched).kept === 0) return { list: entries, kept: 0, ...touched, rows }
    checkAddresses(entries, current)
    const gone = await this.#handOvers.gone(server, list)
    const merged = merge({ before: current, after: entries }, gone)
    return { ...merged, before: current, after: merged.list }
  }

  /** Takes a list sent to index.php (sync-contract.md §3): confirms what is in force, stores an unknown list. */
  async confirm(
    server: ServerName,
    list: ListName,
    upload: { entries: BlocklistEntry[]; text: string },
    actor: AuditActor
  ): Promise<void> {
    await this.files.change(this.paths.list(server, list), KINDS.blocklist, async current => {
      checkAddresses(upload.entries, current.value)
      const isNew = current.version === ''
      const next = isNew ? upload.entries : confirmEntries(current.value, upload.entries)
      if (!isNew && next === current.value) return { result: undefined }
      await this.#handOvers.noteGone(server, list, current.value, next)
      const sides = { before: current.value, after: next }
      const drafts = await this.#draftsOfUpload(server, list, current, sides, next)
      const spelled = isNew ? { text: upload.text } : {}
      const written = this.#audited(server, list, current, next, actor, drafts, spelled)
      const state = stateOf(await this.index.of(server), list)
      return { ...this.#told(written, server, list, state, false), result: undefined }
    })
  }

  /**
   * Takes a list over from another installation, to the byte.
   * @param wanted told the present text, undefined when there is no list: false leaves all as it is
   * @param state what update.json says of the list from then on
   */
  async takeOver(
    server: ServerName,
    list: ListName,
    taken: { entries: BlocklistEntry[]; text: string },
    state: ListState,
    wanted: (present: string | undefined) => boolean,
    actor: AuditActor
  ): Promise<void> {
    await this.files.change(this.paths.list(server, list), KINDS.blocklist, current => {
      if (!wanted(current.version === '' ? undefined : current.text)) return { result: undefined }
      const { entries, text } = taken
      const row: AuditDraft = { what: 'list-stored', jail: jailOfList(list), count: entries.length }
      const written = this.#audited(server, list, current, entries, actor, [row], { text })
      const before = (next: string) => both(written.before(next), this.index.set(server, list, state))
      return { ...written, before, result: undefined }
    })
  }

  async #draftsOfUpload(
    server: ServerName,
    list: ListName,
    current: Snapshot<BlocklistEntry[]>,
    { before, after }: Sides,
    uploaded: readonly BlocklistEntry[]
  ): Promise<AuditDraft[]> {
    const jail = jailOfList(list)
    // A list the server didn't have, or lost: the host's own copy as a whole.
    if (current.version === '') return [{ what: 'list-stored', jail, count: after.length }]
    const handedOut = (await this.#handOvers.of(server, list)).at
    return draftsOfUpload(before, after, { jail, handedOut, uploaded: new Set(uploaded) })
  }

  /** The change of a list as JsonFiles wants it, its audit rows noted before and told after (AuditStore). */
  #audited(
    server: ServerName,
    list: ListName,
    current: Snapshot<BlocklistEntry[]>,
    value: BlocklistEntry[],
    actor: AuditActor,
    drafts: readonly AuditDraft[],
    spelled?: Spelled
  ): AuditedChange<BlocklistEntry[]> {
    const file = { path: this.paths.list(server, list), current }
    return this.audit.change(server, file, value, actor, drafts, spelled)
  }

  /** `written`, with the note of it for the live channel at its end. */
  #told<T extends { written: () => Promise<void> }>(
    change: T,
    server: ServerName,
    list: ListName,
    update: ListState,
    wake = true
  ): T {
    const written = async () => {
      await change.written()
      await this.#tell(server, list, update, wake)
    }
    return { ...change, written }
  }

  /** Tells browsers of a list's change, and its host when it has something to fetch. */
  async #tell(server: ServerName, list: ListName, update: ListState, wake = true): Promise<void> {
    await Promise.all([
      this.live.publish('blocklist_changed', { server, jail: jailOfList(list), list, update }),
      update === 'waits' && wake ? this.live.wake(server) : undefined
    ])
  }

  async #refuseWhileSetAside(server: ServerName, list: ListName): Promise<void> {
    const [copy] = await corruptCopies(this.paths.lists(server), list)
    if (copy === undefined) return
    throw new ProductError(
      'LIST_SET_ASIDE',
      `${copy}. The host's next sync restores it from its own copy; or mend it and put it back as ${list}, or delete the set-aside copy to start afresh`
    )
  }
}

/** Resolves when both have ended. @throws what the first of them threw, then too */
async function both(...all: [Promise<void>, Promise<void>]): Promise<void> {
  for (const ended of await Promise.allSettled(all)) if (ended.status === 'rejected') throw ended.reason
}

/** When the first active entry ends, in milliseconds; Infinity when none does. */
function nextEnd(list: readonly BlocklistEntry[]): number {
  let next = Infinity
  for (const entry of list) {
    if (entry.active === false || entry.expires == null) continue
    const end = timeOf(entry.expires)
    if (end < next) next = end
  }
  return next
}
