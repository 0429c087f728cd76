import { join } from 'node:path'
import { namesIn, parseJson, type JsonFiles, type JsonKind } from '../../common/json-file.js'
import {
  areFew,
  checkListChanges,
  madeOf,
  sha256,
  textOf,
  type ListChanges,
  type ListVersion
} from '../../common/list-changes.js'
import { changesBetween } from '../../common/list-text.js'
import { isListName, type ListName } from '../../common/names.js'
import { Blocklist, phpArray, shapeCheck, type BlocklistEntry } from '../../common/shapes.js'

const LIST: JsonKind<BlocklistEntry[]> = {
  check: shapeCheck(Blocklist),
  mend: phpArray,
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}

/** The host's own copies of its blocklists (`BLOCKLIST_DIR`). */
export class LocalLists {
  readonly #hashed = new Map<ListName, { version: string; hash: string }>()
  /** Lists as they were kept last. */
  readonly #kept = new Map<ListName, { hash: string; value: readonly BlocklistEntry[] }>()

  constructor(
    private readonly files: JsonFiles,
    private readonly folder: string
  ) {}

  /**
   * All lists, and for each the SHA-256 (hex) of its bytes, which is what update.php is told the host holds, and
   * its length in characters.
   */
  async all(): Promise<{
    lists: Map<ListName, BlocklistEntry[]>
    hashes: Map<ListName, string>
    lengths: Map<ListName, number>
  }> {
    const lists = new Map<ListName, BlocklistEntry[]>()
    const hashes = new Map<ListName, string>()
    const lengths = new Map<ListName, number>()
    for (const name of (await namesIn(this.folder)).filter(isListName)) {
      const { value, text, version } = await this.files.read(this.#path(name), LIST)
      // A corrupt copy was set aside: not telling of it makes the server hand it out again.
      if (version === '') continue
      lists.set(name, value)
      hashes.set(name, this.#hash(name, version, text))
      lengths.set(name, text.length)
    }
    return { lists, hashes, lengths }
  }

  /** The bytes of one list. */
  async text(name: ListName): Promise<string> {
    return (await this.files.read(this.#path(name), LIST)).text
  }

  /** Makes a list of the host's copy and what the server says changed; undefined when that is no list it tells of. */
  async made(name: ListName, changes: string): Promise<ListVersion | undefined> {
    let told: ListChanges
    try {
      told = parseJson(changes, checkListChanges) as ListChanges
    } catch {
      return undefined
    }
    return madeOf(await this.files.read(this.#path(name), LIST), told)
  }

  /**
   * Keeps a downloaded list to the byte. @param entries what the text holds, if that is known
   * @throws Error saying what is wrong with it; the old copy stays
   */
  async keep(name: ListName, text: string, entries?: BlocklistEntry[]): Promise<void> {
    const value = entries ?? (parseJson(text, LIST.check, LIST.mend) as BlocklistEntry[])
    const kept = await this.files.change(this.#path(name), LIST, current =>
      current.text === text && current.version !== ''
        ? { result: current.value }
        : { value, text, result: value }
    )
    this.#kept.set(name, { hash: sha256(text), value: kept })
  }

  /** Replaces a list's entries. */
  async replace(name: ListName, value: BlocklistEntry[]): Promise<void> {
    await this.files.change(this.#path(name), LIST, current => {
      const changes = changesBetween(current.value, value)
      if (changes === undefined || !areFew(changes, value.length)) return { value, result: undefined }
      return { value, text: textOf(current, changes, value), result: undefined }
    })
  }

  /** What changed in a list since it was last kept; undefined when that is not known, or not little. */
  async changesSinceKept(name: ListName): Promise<ListChanges | undefined> {
    const kept = this.#kept.get(name)
    if (kept === undefined) return undefined
    const { value, text, version } = await this.files.read(this.#path(name), LIST)
    const changes = changesBetween(kept.value, value)
    if (changes === undefined || !areFew(changes, value.length)) return undefined
    const result = this.#hash(name, version, text)
    return { base: kept.hash, result, bytes: Buffer.byteLength(text), ...changes }
  }

  #path(name: ListName): string {
    return join(this.folder, name)
  }

  #hash(name: ListName, version: string, text: string): string {
    const known = this.#hashed.get(name)
    if (known?.version === version) return known.hash
    const hash = sha256(text)
    this.#hashed.set(name, { version, hash })
    return hash
  }
}
