import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { parseAddress } from '../../common/address.js'
import { messageOf, ProductError, systemCode } from '../../common/errors.js'
import { syncFolder } from '../../common/durable-file.js'
import { makeFolder, parseJson, type JsonKind } from '../../common/json-file.js'
import { isServerName } from '../../common/names.js'
import { sha256 } from '../../common/sha256.js'
import { shapeCheck, type BlocklistEntry, type UpdateIndex } from '../../common/shapes.js'
import type { AuditActor } from './audit-row.js'
import { KINDS } from './kinds.js'
import { oldText, surveyArchive, type OldFile } from './old-archive.js'
import { readReportConfig, REPORT_CONFIG } from './report-config.js'
import type { Store } from './store.js'
import { decide, type Decision } from './three-way.js'

/** What was found in another installation, and what became of it. */
export interface TakenOver {
  servers: {
    name: string
    days: number
    events: number
    lists: number
    entries: number
    /** Entries that lack fields which newer ones have; they are taken as they are. */
    withMissingFields: number
    /** Entries whose `ip` is no address: shown, and never blocked. */
    noAddress: number
  }[]
  users: number
  clients: number
  config: boolean
  /** Files with bad JSON or a wrong shape, and entries that can't be used: none of them is taken over. */
  problems: { file: string; what: string }[]
  passedOver: { file: string; why: string }[]
  /** Files, users and hosts by what became of them; nothing is counted when only looking. */
  done: Record<Decision, number>
  /** What differs on both sides: ours was kept. */
  differs: string[]
}

export interface TakeOverOptions {
  /** The other installation's archive folder. */
  archive: string
  /** Its settings folder; none when it is not known. */
  settings: string | undefined
  /** False only looks. */
  write: boolean
  actor: AuditActor
  /** Runs what touches our own files, as their owner; all else is read as whoever runs this. */
  asOwner: <T>(work: () => Promise<T>) => Promise<T>
}

/**
 * What was taken over last, by SHA-256: changes since, on either side, are told apart by it. Keys are paths below the
 * archive, or `user:` and `client:` with a name.
 */
const Taken = Type.Record(Type.String(), Type.String())
const TAKEN: JsonKind<Static<typeof Taken>> = {
  check: shapeCheck(Taken),
  empty: () => ({}),
  corrupt: 'refuse',
  mode: 0o600,
  rows: false
}
const FIELDS = 'jail source timestamp expires reason active lastModified tags pending'.split(' ')
const HASH = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/

/**
 * Takes archive and settings of another installation over. Nothing is changed there. May be repeated: what changed
 * there alone since comes in, what changed here stays.
 * @throws ProductError UNREADABLE when the other side can't be read, and what the store throws
 */
export async function takeOver(store: Store, options: TakeOverOptions): Promise<TakenOver> {
  const { write, asOwner } = options
  const path = join(store.paths.root.settings, 'take-over.json')
  const taken = write ? { ...(await asOwner(() => store.files.read(path, TAKEN))).value } : {}
  const work = new Work(store, options, taken)
  try {
    return await work.all()
  } finally {
    // Also after a failure: what was taken until then is known the next time.
    if (write)
      await asOwner(() => store.files.change(path, TAKEN, () => ({ value: taken, result: undefined })))
  }
}

class Work {
  readonly #found: TakenOver = {
    servers: [],
    users: 0,
    clients: 0,
    config: false,
    problems: [],
    passedOver: [],
    done: { take: 0, same: 0, ours: 0, differs: 0 },
    differs: []
  }

  constructor(
    private readonly store: Store,
    private readonly options: TakeOverOptions,
    private readonly taken: Record<string, string>
  ) {}

  async all(): Promise<TakenOver> {
    const { archive } = this.options
    const { servers, files, passedOver } = await surveyArchive(archive).catch((error: unknown) => {
      throw new ProductError('UNREADABLE', `${archive} (${systemCode(error) ?? messageOf(error)})`, error)
    })
    this.#found.passedOver.push(...passedOver)
    const index =
      (await this.#json(join(archive, 'update.json'), 'update.json', KINDS.updateIndex))?.value ?? {}
    for (const name of servers) {
      const counts = { days: 0, events: 0, lists: 0, entries: 0, withMissingFields: 0, noAddress: 0 }
      for (const file of files.filter(one => one.server === name)) {
        if (file.kind === 'events') await this.#events(file, counts)
        else await this.#list(file, index, counts)
      }
      this.#found.servers.push({ name, ...counts })
    }
    if (this.options.settings !== undefined) await this.#settings(this.options.settings)
    return this.#found
  }

  async #events(file: OldFile & { kind: 'events' }, counts: { days: number; events: number }): Promise<void> {
    const read = await this.#json(file.path, file.at, KINDS.events)
    if (read === undefined) return
    counts.days++
    counts.events += read.value.length
    const { events } = this.store
    const day = { events: read.value, text: read.text }
    await this.#own(() =>
      events.takeOver(file.server, file.name, day, this.#wants(file.at, hashOf(read.text)))
    )
  }

  async #list(
    file: OldFile & { kind: 'list' },
    index: UpdateIndex,
    counts: { lists: number; entries: number; withMissingFields: number; noAddress: number }
  ): Promise<void> {
    const read = await this.#json(file.path, file.at, KINDS.blocklist)
    if (read === undefined) return
    const entries = read.value
    counts.lists++
    counts.entries += entries.length
    counts.withMissingFields += entries.filter(entry => FIELDS.some(field => !(field in entry))).length
    counts.noAddress += entries.filter(entry => parseAddress(entry.ip) === undefined).length
    const state = stateOf(index, file, entries)
    const list = { entries, text: read.text }
    const wants = this.#wants(file.at, hashOf(read.text))
    const { lists } = this.store
    await this.#own(() => lists.takeOver(file.server, file.name, list, state, wants, this.options.actor))
  }

  async #settings(folder: string): Promise<void> {
    const { users, clients } = this.store
    const { actor } = this.options
    const people = (await this.#json(join(folder, 'users.json'), 'users.json', KINDS.userList))?.value ?? []
    this.#found.users = people.length
    const usable = this.#usable('users.json', people, () => undefined)
    await this.#own(() =>
      users.takeOver(usable, (a, b) => this.#wants(`user:${a.username}`, hashOf(a))(b), actor)
    )
    const name = 'client-list.json'
    const hosts = (await this.#json(join(folder, name), name, KINDS.clientList))?.value ?? []
    this.#found.clients = hosts.length
    const known = this.#usable(name, hosts, one =>
      isServerName(one.username) ? undefined : 'its name can be no folder'
    )
    await this.#own(() =>
      clients.takeOver(known, (a, b) => this.#wants(`client:${a.username}`, hashOf(a))(b), actor)
    )
    await this.#config(folder)
  }

  /** Entries whose password is a hash that this product checks, each name once. */
  #usable<T extends { username: string; password: string }>(
    file: string,
    all: readonly T[],
    wrong: (one: T) => string | undefined
  ): T[] {
    const names = new Set<string>()
    return all.filter((one, at) => {
      const what =
        wrong(one) ??
        (HASH.test(one.password) ? undefined : 'its password is no bcrypt hash') ??
        (names.has(one.username) ? 'its name is there twice' : undefined)
      names.add(one.username)
      if (what !== undefined) this.#found.problems.push({ file, what: `entry ${at + 1}: ${what}` })
      return what === undefined
    })
  }

  async #config(folder: string): Promise<void> {
    const text = await this.#text(join(folder, REPORT_CONFIG), REPORT_CONFIG)
    if (text === undefined) return
    this.#found.config = true
    try {
      await readReportConfig(folder)
    } catch (error) {
      this.#found.problems.push({ file: REPORT_CONFIG, what: messageOf(error) })
      return
    }
    const path = join(this.store.paths.root.settings, REPORT_CONFIG)
    await this.#own(async () => {
      if (this.#wants(REPORT_CONFIG, hashOf(text))(await oldText(path))) await writeNew(path, text)
    })
  }

  /** Tells for what is here now whether theirs takes its place, and counts. */
  #wants(key: string, theirs: string): (ours: unknown) => boolean {
    return ours => {
      const present = ours === undefined ? undefined : hashOf(ours)
      const decision = decide(theirs, this.taken[key], present)
      // The operator's own settings are never replaced.
      const final =
        key === REPORT_CONFIG && decision === 'take' && present !== undefined ? 'differs' : decision
      this.#found.done[final]++
      if (final === 'differs') this.#found.differs.push(key)
      if (final === 'take' || final === 'same') this.taken[key] = theirs
      return final === 'take'
    }
  }

  async #own(work: () => Promise<void>): Promise<void> {
    if (this.options.write) await this.options.asOwner(work)
  }

  async #json<T>(
    path: string,
    at: string,
    kind: JsonKind<T>
  ): Promise<{ value: T; text: string } | undefined> {
    const text = await this.#text(path, at)
    if (text === undefined) return undefined
    try {
      if (Buffer.byteLength(text) > (kind.most ?? Infinity)) throw new Error(`larger than ${kind.most} bytes`)
      return { value: parseJson(text, kind.check, kind.mend) as T, text }
    } catch (error) {
      this.#found.problems.push({ file: at, what: messageOf(error) })
      return undefined
    }
  }

  async #text(path: string, at: string): Promise<string | undefined> {
    return oldText(path).catch((error: unknown) => {
      this.#found.problems.push({
        file: at,
        what: `it can't be read (${systemCode(error) ?? 'unknown error'})`
      })
      return undefined
    })
  }
}

/** What update.json is to say: what it said there; without a word, pending entries wait for their host. */
function stateOf(
  index: UpdateIndex,
  { server, name }: OldFile,
  entries: readonly BlocklistEntry[]
): 'waits' | 'handed-out' | 'in-sync' {
  const own = new Map(Object.entries(Object.hasOwn(index, server) ? (index[server] ?? {}) : {}))
  const said = own.get(name)
  if (said !== undefined) return said ? 'waits' : 'handed-out'
  return entries.some(entry => entry.pending === true) ? 'waits' : 'in-sync'
}

function hashOf(what: unknown): string {
  const text = typeof what === 'string' ? what : JSON.stringify(what)
  return sha256(text)
}

async function writeNew(path: string, text: string): Promise<void> {
  await makeFolder(dirname(path))
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncFolder(dirname(path))
}
