import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  openSync,
  read,
  readdirSync,
  readFile,
  statSync
} from 'node:fs'
import { chown, mkdir, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { isoTime, type Clock } from './clock.js'
import { replaceDurably, syncFolder } from './durable-file.js'
import { ProductError, systemCode } from './errors.js'
import { LOCK_TIMES, withFileLock, type HeldLock, type LockTimes } from './file-lock.js'
import { bombIn, JSON_LIMITS } from './json-bomb.js'
import { changedText, type RowChanges } from './list-text.js'
import { SharedLooks } from './shared-looks.js'
import { refuseLinks } from './no-links.js'
import type { ShapeCheck } from './shapes.js'

/** One kind of JSON file: its shape, how it is written, and what happens when it is found corrupt. */
export interface JsonKind<T> {
  check: ShapeCheck
  /** Puts an older spelling of the same content right before the check; the file itself stays as it is. */
  mend?: (value: unknown) => unknown
  /** What a missing file means. */
  empty: () => T
  /**
   * `set-aside`: a corrupt file is renamed to `<name>.corrupt-<time>` and then counts as missing.
   * `refuse`: it stays, and every use is an error (settings that a person may be editing).
   */
  corrupt: 'set-aside' | 'refuse'
  /** Mode of a new file; an existing file keeps its own. */
  mode: number
  /** One array row a line, for files with many rows; else indented. */
  rows: boolean
  /** Reads text that passed the check before, quicker than the parser; undefined when it isn't spelled as it knows. */
  parseKnown?: (text: string) => T | undefined
  /** What `check` asks of each row, and how many it allows: of a change told by its rows no others are looked at. */
  row?: { check: ShapeCheck; most: number }
  /** Bytes the file may have: more could not be sent where it has to go. */
  most?: number
}

/** What a file held when it was read. Shared with other readers: never change `value`. */
export interface Snapshot<T> {
  value: T
  /** Changes whenever the file does; empty when the file is missing. */
  version: string
  /** The file's bytes as text; empty when the file is missing. */
  text: string
}

/** How a file is read. */
export interface Reading {
  /** False for a file that is looked at once: it pushes nothing else out of memory. */
  keep?: boolean
  /** Told the bytes of a file that is read from the disk: whether these very bytes passed the kind's check before. */
  isKnown?: (bytes: Buffer) => boolean
}

/** A corrupt file that was moved out of the way. */
export interface SetAside {
  path: string
  movedTo: string
  reason: string
}

/** What waiting for a file's lock came to; `waitedMs` includes standing in this process's own queue. */
export interface LockWait {
  path: string
  waitedMs: number
  /** False when it was given up. */
  got: boolean
}

/** What `change`'s callback wants: nothing written, a new value, or a text to be kept to the byte. */
export type Change<T, R> = { result: R } & (
  | { value?: undefined; text?: undefined; rows?: undefined; before?: undefined; written?: undefined }
  | {
      value: T
      /** How `value` is spelled, where that isn't the store's own way, or is known. */
      text?: string
      /** What makes `value` out of the current one: of a kind with `row`, no others are looked at and spelled. */
      rows?: RowChanges<unknown>
      /**
       * Runs while a copy is being written; the file is replaced once it has ended, and stays as it is when it throws.
       * @param text what the file will be
       */
      before?: (text: string) => Promise<void>
      /** Runs after the file has been replaced, still under its lock. @param version what it has now */
      written?: (version: string) => Promise<void>
    }
)

interface Cached {
  version: string
  text: string
  value: unknown
}

/** Text of all files kept in memory; a file larger than this is read anew each time. */
const CACHE_CHARACTERS = 48 * 1024 * 1024
const FOLDER_MODE = 0o750

/**
 * The only way data files are read and written: read + validate, lock, change, replace atomically and durably,
 * release. What it keeps in memory is used only while the file's inode, size and times are unchanged.
 */
export class JsonFiles {
  readonly #cache = new Map<string, Cached>()
  readonly #versions = new SharedLooks<string>()
  readonly #queues = new Map<string, Promise<unknown>>()
  readonly #clock: Clock
  readonly #onSetAside: (event: SetAside) => void
  readonly #onLock: (wait: LockWait) => void
  readonly #times: LockTimes
  readonly #roots: readonly string[]
  #cached = 0

  /**
   * @param options `roots` are the folders below which no symbolic link is followed (common/no-links.ts); `onLock` is
   *   told of every wait for a lock and must not throw
   */
  constructor(options: {
    clock: Clock
    onSetAside: (event: SetAside) => void
    onLock?: (wait: LockWait) => void
    times?: LockTimes
    roots?: readonly string[]
  }) {
    this.#roots = options.roots ?? []
    this.#clock = options.clock
    this.#onSetAside = options.onSetAside
    this.#onLock = options.onLock ?? (() => undefined)
    this.#times = options.times ?? LOCK_TIMES
  }

  /**
   * Reads and validates a file; a missing one gives `kind.empty()`.
   * @throws ProductError FILE_CORRUPT for a corrupt file of a kind that refuses
   */
  async read<T>(path: string, kind: JsonKind<T>, how: Reading = {}): Promise<Snapshot<T>> {
    const version = await this.version(path)
    if (version === '') return { value: kind.empty(), version, text: '' }
    const cached = this.#cache.get(path)
    if (cached?.version === version) return { value: cached.value as T, version, text: cached.text }
    try {
      return await this.#load(path, kind, how)
    } catch (error) {
      if (!(error instanceof CorruptFile) || kind.corrupt === 'refuse') throw asProductError(path, error)
    }
    return this.locked(path, () => this.#loadOrSetAside(path, kind, { ...how, keep: true }))
  }

  /**
   * Reads a file that is turned into something smaller; it is kept in nobody's memory.
   * @param make `quick` makes it of the file's bytes where they are spelled as it knows, and must then take nothing that
   *   the kind's check refuses; `whole` makes it of what was parsed and checked
   * @throws as `read`
   */
  async readInto<T, R>(
    path: string,
    kind: JsonKind<T>,
    make: { quick: (bytes: Buffer) => R | undefined; whole: (value: T) => R }
  ): Promise<R> {
    if (this.#cache.get(path)?.version !== (await this.version(path))) {
      refuseLinks(this.#roots, dirname(path))
      const raw = await readWhole(path, kind.corrupt === 'set-aside')
      const made = raw && make.quick(raw.bytes)
      if (made !== undefined) return made
    }
    return make.whole((await this.read(path, kind, { keep: false })).value)
  }

  /** As `versionOf`, with one look for all who ask at the same moment. */
  version(path: string): Promise<string> {
    return this.#versions.at(path, () => versionNow(path))
  }

  /**
   * Changes a file under its lock. `decide` gets the current value and must not alter it; nothing is written
   * when it gives no `value`. Resolves once the new file is on the disk, directory entry included.
   * @throws what `decide` throws, then nothing was written; ProductError LOCK_TIMEOUT, LOCK_LOST, DISK
   */
  async change<T, R>(
    path: string,
    kind: JsonKind<T>,
    decide: (current: Snapshot<T>) => Change<T, R> | Promise<Change<T, R>>
  ): Promise<R> {
    return this.locked(path, async lock => {
      const { access, ...current } = await this.#loadOrSetAside(path, kind, { locked: true })
      const change = await decide(current)
      if (change.value === undefined) return change.result
      // Nothing is written that its own readers would set aside.
      const { rows } = change
      const wrong = wrongIn(kind, current.value, change.value, rows)
      if (wrong !== undefined)
        throw new ProductError('CONFLICT', `${basename(path)} can't take that: ${wrong}`)
      const text = change.text ?? textOf(kind, current, change.value, rows)
      if (kind.most !== undefined && Buffer.byteLength(text) > kind.most) {
        throw new ProductError('CONFLICT', `${basename(path)} would be larger than ${kind.most} bytes`)
      }
      const before = change.before?.(text)
      // It may fail before anybody waits for it.
      before?.catch(() => undefined)
      try {
        await replace(path, text, access ?? accessOfNew(path, kind.mode), async () => {
          await before
          await lock.check()
        })
      } finally {
        // Nothing goes on once the lock is let go; what went wrong there is what is told.
        await before
      }
      const version = versionNow(path)
      this.#remember(path, { version, text, value: change.value })
      await change.written?.(version)
      return change.result
    })
  }

  /** Runs `work` under the file's lock; within this process callers queue in order. Creates the folder. */
  async locked<T>(path: string, work: (lock: HeldLock) => Promise<T>): Promise<T> {
    const before = this.#queues.get(path) ?? Promise.resolve()
    // Standing in the queue is part of the wait: behind a lock that stays taken, all end in an error together.
    const since = performance.now()
    const waited = (got: boolean) => this.#onLock({ path, waitedMs: performance.now() - since, got })
    const run = before.then(async () => {
      // What the work throws may be another file's timeout.
      const mine = { began: false }
      try {
        if (performance.now() - since >= this.#times.wait) throw new ProductError('LOCK_TIMEOUT')
        refuseLinks(this.#roots, dirname(path))
        const hold = () =>
          withFileLock(
            path,
            async lock => {
              mine.began = true
              waited(true)
              return work(lock)
            },
            this.#times,
            since
          )
        return await hold().catch(async (error: unknown) => {
          // The folder is nearly always there: it is made when it wasn't.
          if (mine.began || !(error instanceof ProductError) || systemCode(error.cause) !== 'ENOENT')
            throw error
          await makeFolder(dirname(path))
          return hold()
        })
      } catch (error) {
        if (!mine.began && error instanceof ProductError && error.code === 'LOCK_TIMEOUT') waited(false)
        throw error
      }
    })
    const settled = run.catch(() => undefined)
    this.#queues.set(path, settled)
    try {
      return await run
    } finally {
      if (this.#queues.get(path) === settled) this.#queues.delete(path)
    }
  }

  /**
   * Deletes what writers that were killed left in a folder: half-written copies and locks. Copies are made under
   * their file's lock alone: whoever holds it knows that all of them are dead. What can't be deleted stays.
   */
  async removeAbandoned(folder: string): Promise<void> {
    const left = new Map<string, string[]>()
    for (const name of await namesIn(folder)) {
      // write-file-atomic names its copy <file>.<number>, proper-lockfile its folder <file>.lock.
      const [, copied] = /^(.+\.json)\.\d+$/.exec(name) ?? []
      // Beside an audit trail, numbers are its older files: its lock alone is looked at.
      const file = copied ?? /^(.+\.jsonl?)\.lock$/.exec(name)?.[1]
      if (file === undefined) continue
      left.set(file, [...(left.get(file) ?? []), ...(copied === undefined ? [] : [join(folder, name)])])
    }
    const removals = [...left].map(([file, copies]) =>
      this.locked(join(folder, file), async () => {
        for (const copy of copies) await unlink(copy).catch(() => undefined)
      }).catch(() => undefined)
    )
    await Promise.all(removals)
  }

  /** Forgets what is remembered of a file. */
  forget(path: string): void {
    this.#cached -= this.#cache.get(path)?.text.length ?? 0
    this.#cache.delete(path)
  }

  async #loadOrSetAside<T>(path: string, kind: JsonKind<T>, how: Loading): Promise<Loaded<T>> {
    try {
      return await this.#load(path, kind, how)
    } catch (error) {
      if (!(error instanceof CorruptFile) || kind.corrupt === 'refuse') throw asProductError(path, error)
      const movedTo = await freeName(
        `${path}.corrupt-${isoTime(this.#clock()).slice(0, 19).replaceAll(':', '')}`
      )
      await rename(path, movedTo)
      await syncFolder(dirname(path))
      this.forget(path)
      this.#onSetAside({ path, movedTo, reason: error.message })
      return { value: kind.empty(), version: '', text: '' }
    }
  }

  async #load<T>(path: string, kind: JsonKind<T>, how: Loading): Promise<Loaded<T>> {
    const { keep = true, locked = false, isKnown = () => false } = how
    if (!locked) refuseLinks(this.#roots, dirname(path))
    const cached = this.#cache.get(path)
    // Opened even when it is known: where machines share a file system, opening is what asks for the file as it is now.
    const raw = await readWhole(path, kind.corrupt === 'set-aside', cached?.version)
    if (raw === undefined) return { value: kind.empty(), version: '', text: '' }
    const { version, access } = raw
    if (cached?.version === version) return { ...cached, value: cached.value as T, access }
    const passed = isKnown(raw.bytes)
    // Decoded in one piece: Node.js' own decoding of a large file glues pieces, at twice the memory and time.
    const text = raw.bytes.toString('utf8')
    // What is only looked at, and is small, can't be a bomb: the parser minds no depth.
    const looked = !keep && text.length < JSON_LIMITS.containers
    const good = () => undefined
    const value =
      (passed ? kind.parseKnown?.(text) : undefined) ??
      parseJson(text, passed ? good : kind.check, kind.mend, passed || looked ? good : bombIn)
    if (keep) this.#remember(path, { version, text, value })
    return { value: value as T, version, text, access }
  }

  #remember(path: string, entry: Cached): void {
    this.#cached -= this.#cache.get(path)?.text.length ?? 0
    this.#cache.delete(path)
    this.#cache.set(path, entry)
    this.#cached += entry.text.length
    for (const [oldest, { text }] of this.#cache) {
      if (this.#cached <= CACHE_CHARACTERS) break
      this.#cache.delete(oldest)
      this.#cached -= text.length
    }
  }
}

class CorruptFile extends Error {}

/** `locked` is for `JsonFiles.locked`'s own work: it has looked for links. */
interface Loading extends Reading {
  locked?: boolean
}

/** Mode and owner. */
interface Access {
  mode: number
  owner?: { uid: number; gid: number }
}

/** A snapshot, and whose the file is; absent when it is missing. */
interface Loaded<T> extends Snapshot<T> {
  access?: Access
}

/** What is wrong with a change's value; undefined when it may be written. */
function wrongIn<T>(
  kind: JsonKind<T>,
  current: T,
  value: T,
  rows: RowChanges<unknown> | undefined
): string | undefined {
  const { row } = kind
  if (row === undefined || rows === undefined || !Array.isArray(current)) return kind.check(value)
  if (current.length + rows.set.length > row.most) return kind.check(value)
  for (const [, one] of rows.set) {
    const wrong = row.check(one)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

/** The text of a change's value: where only some rows change, the others are taken as they stand. */
function textOf<T>(
  kind: JsonKind<T>,
  current: Snapshot<T>,
  value: T,
  rows: RowChanges<unknown> | undefined
): string {
  const changed =
    rows === undefined || !Array.isArray(current.value) || current.version === ''
      ? undefined
      : changedText(current.text, current.value.length, rows)
  return changed ?? serialise(value, kind.rows)
}

/** The name, or with a number behind it when it is taken: no set-aside copy replaces another. */
async function freeName(path: string): Promise<string> {
  for (let number = 1; ; number++) {
    const name = number === 1 ? path : `${path}-${number}`
    if ((await versionOf(name)) === '') return name
  }
}

/** Parses untrusted JSON text and checks its shape. @throws Error saying what is wrong, without the content */
export function parseJson(
  text: string,
  check: ShapeCheck,
  mend = (value: unknown) => value,
  bombOf: typeof bombIn = bombIn
): unknown {
  const bomb = bombOf(text)
  if (bomb !== undefined) throw new CorruptFile(`the file ${bomb}`)
  let value: unknown
  try {
    value = mend(JSON.parse(text))
  } catch (error) {
    throw new CorruptFile('not JSON', { cause: error })
  }
  const wrong = check(value)
  if (wrong !== undefined) throw new CorruptFile(wrong)
  return value
}

/** JSON text with a final newline; with `rows`, an array has one element a line (small diffs, fast). */
export function serialise(value: unknown, rows: boolean): string {
  if (!rows || !Array.isArray(value)) return JSON.stringify(value, null, 2) + '\n'
  if (value.length === 0) return '[]\n'
  return '[\n' + value.map(row => JSON.stringify(row)).join(',\n') + '\n]\n'
}

/** Names of the set-aside copies of a file (or, without `name`, of all files) in a folder. */
export async function corruptCopies(folder: string, name?: string): Promise<string[]> {
  const names = await namesIn(folder)
  return names.filter(
    item => /\.json\.corrupt-/.test(item) && (name === undefined || item.startsWith(`${name}.corrupt-`))
  )
}

/** Names in a folder, sorted; none when it does not exist. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw error
  }
}

/** Changes with every replacement or outside edit of a file; empty when it is missing. */
export async function versionOf(path: string): Promise<string> {
  try {
    return versionText(await stat(path, { bigint: true }))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return ''
    throw error
  }
}

/**
 * As `versionOf`, at once. For what every poll looks at: the system knows it by heart and tells it in 2 µs, and to have
 * a thread ask takes ten times as long.
 */
export function versionNow(path: string): string {
  const info = statSync(path, { bigint: true, throwIfNoEntry: false })
  return info === undefined ? '' : versionText(info)
}

/** As `namesIn`, at once; for the same. */
export function namesNow(folder: string): string[] {
  // Most hosts have no copies waiting: to be told of a missing folder by an exception takes ten times as long.
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return []
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw error
  }
}

function versionText(info: { ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): string {
  return `${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}`
}

/** @param known a version whose bytes are not needed: then there are none */
async function readWhole(
  path: string,
  refuseLinks: boolean,
  known?: string
): Promise<{ bytes: Buffer; version: string; access: Access } | undefined> {
  let file
  try {
    // A symbolic link in a data folder would lead the store elsewhere; settings may be links to /etc.
    // Nor would a pipe be waited for.
    file = openSync(path, READ | (refuseLinks ? constants.O_NOFOLLOW : 0))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    const reason = `${basename(path)} (${systemCode(error) ?? 'unknown error'}); check its owner and mode`
    throw new ProductError('UNREADABLE', reason, error)
  }
  try {
    const info = fstatSync(file, { bigint: true })
    const version = versionText(info)
    const owner = { uid: Number(info.uid), gid: Number(info.gid) }
    const access = { mode: Number(info.mode), owner }
    return {
      bytes: known === version ? Buffer.alloc(0) : await readAll(file, Number(info.size)),
      version,
      access
    }
  } finally {
    closeSync(file)
  }
}

const READ = constants.O_RDONLY | constants.O_NONBLOCK
const readSome = promisify(read)
const readRest = promisify(readFile)

/** As `readFile`, which reads a large file in pieces and then glues them, at twice the memory. */
async function readAll(file: number, size: number): Promise<Buffer> {
  // One more than there should be tells whether it has grown since.
  const bytes = Buffer.allocUnsafeSlow(size + 1)
  let filled = 0
  for (;;) {
    const { bytesRead } = await readSome(file, bytes, filled, bytes.length - filled, null)
    filled += bytesRead
    if (filled === bytes.length) return Buffer.concat([bytes, await readRest(file)])
    if (filled >= size || bytesRead === 0) return bytes.subarray(0, filled)
  }
}

async function replace(
  path: string,
  text: string,
  access: Access,
  beforeRename: () => Promise<void>
): Promise<void> {
  try {
    await replaceDurably(path, text, { ...access, beforeRename })
  } catch (error) {
    throw asProductError(path, error)
  }
}

function accessOfNew(path: string, mode: number): Access {
  const owner = ownerBelow(dirname(path))
  return { mode, ...(owner === undefined ? {} : { owner }) }
}

/** Makes a data folder that is missing, as all data folders are. @throws ProductError DISK */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder, FOLDER_MODE)
  } catch (error) {
    throw asProductError(folder, error)
  }
}

/**
 * Makes a folder and those above it that are missing; as root, each belongs to the owner of the one above it. One by
 * one: mkdir's own `recursive` never ends where a folder can't hold any, as below /proc.
 * @throws system errors
 */
export async function makeFolders(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode })
  } catch (error) {
    if (systemCode(error) === 'EEXIST') {
      if ((await stat(folder)).isDirectory()) return
      throw error
    }
    if (systemCode(error) !== 'ENOENT' || (await versionOf(dirname(folder))) !== '') throw error
    await makeFolders(dirname(folder), mode)
    return makeFolders(folder, mode)
  }
  const owner = ownerBelow(dirname(folder))
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid)
}

/**
 * Whom something new in a folder belongs to: the folder's owner. Only root can and need see to it: what root's
 * command line makes must be the server's, which may run as another user.
 * @returns undefined when this process isn't root
 */
export function ownerBelow(folder: string): { uid: number; gid: number } | undefined {
  if (process.geteuid?.() !== 0) return undefined
  const { uid, gid } = statSync(folder)
  return { uid, gid }
}

/** Gives an open file that was made by hand to the owner of its folder, as `ownerBelow` has it. @throws system errors */
export function adopt(path: string, file: number): void {
  const owner = ownerBelow(dirname(path))
  if (owner !== undefined) fchownSync(file, owner.uid, owner.gid)
}

function asProductError(path: string, error: unknown): ProductError {
  if (error instanceof ProductError) return error
  if (error instanceof CorruptFile)
    return new ProductError('FILE_CORRUPT', `${basename(path)}: ${error.message}`, error)
  return new ProductError(
    'DISK',
    `${basename(path)} (${systemCode(error) ?? 'unknown error'}); check space and permissions`,
    error
  )
}
