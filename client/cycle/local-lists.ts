import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { namesIn, parseJson, type JsonFiles, type JsonKind, type Snapshot } from '../../common/json-file.js'
import {
  areFew,
  checkListChanges,
  madeOf,
  type ListChanges,
  type ListVersion
} from '../../common/list-changes.js'
import { changesBetween } from '../../common/list-text.js'
import { isListName, type ListName } from '../../common/names.js'
import { Blocklist, BlocklistEntry, LIMITS, phpArray, shapeCheck } from '../../common/shapes.js'
import { sha256 } from '../../common/sha256.js'
import type { KnownLists } from './known-lists.js'
import { knownRows } from './known-rows.js'

const LIST: JsonKind<BlocklistEntry[]> = {
  check: shapeCheck(Blocklist),
  mend: phpArray,
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  row: { check: shapeCheck(BlocklistEntry), most: LIMITS.listEntries },
  rows: true,
  parseKnown: knownRows
}

/** A list made of the host's copy by what the server said changed. */
export interface MadeList extends ListVersion {
  of: readonly BlocklistEntry[]
  changes: ListChanges
}

/** The host's own copies of its blocklists (`BLOCKLIST_DIR`). */
export class LocalLists {
  /** Lists as they were kept last. */
  readonly #kept = new Map<ListName, { hash: string; value: readonly BlocklistEntry[] }>()

  /** @param known without it, every copy is read and checked before anything is told of it */
  constructor(
    private readonly files: JsonFiles,
    private readonly folder: string,
    private readonly known?: KnownLists
  ) {}

  /** All lists. */
  async all(): Promise<Map<ListName, BlocklistEntry[]>> {
    const lists = new Map<ListName, BlocklistEntry[]>()
    for (const name of await this.#names()) {
      const { value, version } = await this.#read(name)
      // A corrupt copy was set aside.
      if (version !== '') lists.set(name, value)
    }
    return lists
  }

  /** How many bytes all lists are, as the file system says. */
  async bytes(): Promise<number> {
    const sizes = (await this.#names()).map(async name => {
      const { size } = await stat(this.#path(name)).catch(() => ({ size: 0 }))
      return size
    })
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
  }

  /**
   * The SHA-256 (hex) of each list's bytes, which is what update.php is told the host holds, and its characters. A file
   * that is as it was left is not read for that.
   */
  async held(): Promise<Map<ListName, { hash: string; length: number }>> {
    const held = new Map<ListName, { hash: string; length: number }>()
    for (const name of await this.#names()) {
      const known = await this.known?.of(name)
      if (known !== undefined && known.version === (await this.files.version(this.#path(name)))) {
        held.set(name, { hash: known.sha256, length: known.characters })
        continue
      }
      const { text, version } = await this.#read(name)
      // Not telling of a corrupt copy makes the server hand it out again.
      if (version !== '')
        held.set(name, { hash: await this.#hashOf(name, text, version), length: text.length })
    }
    return held
  }

  async #names(): Promise<ListName[]> {
    return (await namesIn(this.folder)).filter(isListName)
  }

  /** Reads a list; bytes that passed the check before are not checked again. */
  async #read(name: ListName): Promise<Snapshot<BlocklistEntry[]>> {
    const { known } = this
    if (known === undefined) return this.files.read(this.#path(name), LIST)
    const passed = (await known.of(name))?.sha256
    let hash = ''
    const isKnown = (bytes: Buffer) => (hash = sha256(bytes)) === passed
    const snapshot = await this.files.read(this.#path(name), LIST, { isKnown })
    const { version, text } = snapshot
    if (hash !== '' && version !== '')
      await known.note(name, { version, sha256: hash, characters: text.length })
    return snapshot
  }

  async #hashOf(name: ListName, text: string, version: string): Promise<string> {
    const known = await this.known?.of(name)
    return known?.version === version ? known.sha256 : sha256(text)
  }

  /** The bytes of one list. */
  async text(name: ListName): Promise<string> {
    return (await this.#read(name)).text
  }

  /** Makes a list of the host's copy and what the server says changed; undefined when that is no list it tells of. */
  async made(name: ListName, changes: string): Promise<MadeList | undefined> {
    let told: ListChanges
    try {
      told = parseJson(changes, checkListChanges) as ListChanges
    } catch {
      return undefined
    }
    const held = await this.#read(name)
    const made = madeOf(held, told)
    return made === undefined ? undefined : { ...made, of: held.value, changes: told }
  }

  /**
   * Keeps a downloaded list to the byte. @param known what `made` told of it, where it was made
   * @throws Error saying what is wrong with it; the old copy stays
   */
  async keep(name: ListName, text: string, known?: MadeList): Promise<void> {
    const value = known?.value ?? (parseJson(text, LIST.check, LIST.mend) as BlocklistEntry[])
    const noted = this.#noting(name, known?.changes.result)
    const kept = await this.files.change(this.#path(name), LIST, current => {
      if (current.text === text && current.version !== '') return { result: current.value }
      const rows = known?.of === current.value ? { rows: known.changes } : {}
      return { value, text, result: value, ...rows, ...noted.hooks }
    })
    this.#kept.set(name, { hash: noted.hash ?? sha256(text), value: kept })
  }

  /** Replaces a list's entries. */
  async replace(name: ListName, value: BlocklistEntry[]): Promise<void> {
    await this.files.change(this.#path(name), LIST, current => {
      const rows = changesBetween(current.value, value)
      const few = rows !== undefined && areFew(rows, value.length)
      return { value, result: undefined, ...(few ? { rows } : {}), ...this.#noting(name).hooks }
    })
  }

  /** What changed in a list since it was last kept; undefined when that is not known, or not little. */
  async changesSinceKept(name: ListName): Promise<ListChanges | undefined> {
    const kept = this.#kept.get(name)
    if (kept === undefined) return undefined
    const { value, text, version } = await this.#read(name)
    const changes = changesBetween(kept.value, value)
    if (changes === undefined || !areFew(changes, value.length)) return undefined
    const result = await this.#hashOf(name, text, version)
    return { base: kept.hash, result, bytes: Buffer.byteLength(text), ...changes }
  }

  /** Writes down for the next cycle what is known of the lists. @throws as `JsonFiles.change` */
  async remember(): Promise<void> {
    await this.known?.save(await this.#names())
  }

  /** Sees to it that a list is known as it is written. @param hash where it is known before; else made meanwhile */
  #noting(name: ListName, hash?: string) {
    let characters = 0
    const noted = {
      hash,
      hooks: {
        before: async (text: string) => {
          characters = text.length
          // The first bytes are on their way to the disk.
          await setImmediate()
          noted.hash ??= sha256(text)
        },
        written: async (version: string) =>
          this.known?.note(name, { version, sha256: noted.hash ?? '', characters })
      }
    }
    return noted
  }

  #path(name: ListName): string {
    return join(this.folder, name)
  }
}
