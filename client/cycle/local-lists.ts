import { join } from 'node:path'
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

const LIST: JsonKind<BlocklistEntry[]> = {
  check: shapeCheck(Blocklist),
  mend: phpArray,
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  row: { check: shapeCheck(BlocklistEntry), most: LIMITS.listEntries },
  rows: true
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

  constructor(
    private readonly files: JsonFiles,
    private readonly folder: string
  ) {}

  /** All lists. */
  async all(): Promise<Map<ListName, BlocklistEntry[]>> {
    const lists = new Map<ListName, BlocklistEntry[]>()
    for (const [name, { value }] of await this.#snapshots()) lists.set(name, value)
    return lists
  }

  /** The SHA-256 (hex) of each list's bytes, which is what update.php is told the host holds, and its characters. */
  async held(): Promise<Map<ListName, { hash: string; length: number }>> {
    const held = new Map<ListName, { hash: string; length: number }>()
    for (const [name, { text }] of await this.#snapshots()) {
      held.set(name, { hash: sha256(text), length: text.length })
    }
    return held
  }

  async #snapshots(): Promise<Map<ListName, Snapshot<BlocklistEntry[]>>> {
    const found = new Map<ListName, Snapshot<BlocklistEntry[]>>()
    for (const name of (await namesIn(this.folder)).filter(isListName)) {
      const snapshot = await this.files.read(this.#path(name), LIST)
      // A corrupt copy was set aside: not telling of it makes the server hand it out again.
      if (snapshot.version !== '') found.set(name, snapshot)
    }
    return found
  }

  /** The bytes of one list. */
  async text(name: ListName): Promise<string> {
    return (await this.files.read(this.#path(name), LIST)).text
  }

  /** Makes a list of the host's copy and what the server says changed; undefined when that is no list it tells of. */
  async made(name: ListName, changes: string): Promise<MadeList | undefined> {
    let told: ListChanges
    try {
      told = parseJson(changes, checkListChanges) as ListChanges
    } catch {
      return undefined
    }
    const held = await this.files.read(this.#path(name), LIST)
    const made = madeOf(held, told)
    return made === undefined ? undefined : { ...made, of: held.value, changes: told }
  }

  /**
   * Keeps a downloaded list to the byte. @param known what `made` told of it, where it was made
   * @throws Error saying what is wrong with it; the old copy stays
   */
  async keep(name: ListName, text: string, known?: MadeList): Promise<void> {
    const value = known?.value ?? (parseJson(text, LIST.check, LIST.mend) as BlocklistEntry[])
    const kept = await this.files.change(this.#path(name), LIST, current => {
      if (current.text === text && current.version !== '') return { result: current.value }
      return { value, text, ...(known?.of === current.value ? { rows: known.changes } : {}), result: value }
    })
    this.#kept.set(name, { hash: known?.changes.result ?? sha256(text), value: kept })
  }

  /** Replaces a list's entries. */
  async replace(name: ListName, value: BlocklistEntry[]): Promise<void> {
    await this.files.change(this.#path(name), LIST, current => {
      const rows = changesBetween(current.value, value)
      const few = rows !== undefined && areFew(rows, value.length)
      return few ? { value, rows, result: undefined } : { value, result: undefined }
    })
  }

  /** What changed in a list since it was last kept; undefined when that is not known, or not little. */
  async changesSinceKept(name: ListName): Promise<ListChanges | undefined> {
    const kept = this.#kept.get(name)
    if (kept === undefined) return undefined
    const { value, text } = await this.files.read(this.#path(name), LIST)
    const changes = changesBetween(kept.value, value)
    if (changes === undefined || !areFew(changes, value.length)) return undefined
    // Nothing changed: what was kept is what there is.
    const same = changes.set.length + changes.gone.length === 0
    const result = same ? kept.hash : sha256(text)
    return { base: kept.hash, result, bytes: Buffer.byteLength(text), ...changes }
  }

  #path(name: ListName): string {
    return join(this.folder, name)
  }
}
