import * as Type from 'typebox'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { isListName, type ListName } from '../../common/names.js'
import { ownVersion } from '../../common/package-root.js'
import { shapeCheck } from '../../common/shapes.js'

/** A copy of a list as it was when it was last read or written. */
export interface KnownList {
  /** The file's (common/json-file.ts). */
  version: string
  /** SHA-256 of its bytes, in hex. */
  sha256: string
  characters: number
}

interface Kept {
  /** Version of the product that checked the lists: the next one may check more. */
  by: string
  lists: Record<string, KnownList>
}

const KEPT: JsonKind<Kept> = {
  check: shapeCheck(
    Type.Object({
      by: Type.String(),
      lists: Type.Record(
        Type.String(),
        Type.Object({ version: Type.String(), sha256: Type.String(), characters: Type.Integer() })
      )
    })
  ),
  empty: () => ({ by: '', lists: {} }),
  corrupt: 'set-aside',
  mode: 0o640,
  rows: false
}

/**
 * Remembers from one cycle to the next which copies passed their check. By it the server is told what the host holds
 * before a copy of many megabytes is read, and bytes that were checked are not checked again. Where it knows nothing,
 * copies are read and checked first.
 */
export class KnownLists {
  #lists: Map<ListName, KnownList> | undefined
  #changed = false

  constructor(
    private readonly files: JsonFiles,
    private readonly path: string
  ) {}

  /** What is known of a list. @throws as `JsonFiles.read` */
  async of(name: ListName): Promise<KnownList | undefined> {
    return (await this.#all()).get(name)
  }

  /** Remembers a list that passed its check. @throws as `JsonFiles.read` */
  async note(name: ListName, known: KnownList): Promise<void> {
    const lists = await this.#all()
    const { version, sha256 } = lists.get(name) ?? {}
    if (version === known.version && sha256 === known.sha256) return
    lists.set(name, known)
    this.#changed = true
  }

  /** Writes it down for the next cycle. @param names lists there are: others are forgotten @throws as `JsonFiles.change` */
  async save(names: readonly ListName[]): Promise<void> {
    const lists = await this.#all()
    const there = new Set(names)
    for (const name of lists.keys()) if (!there.has(name)) this.#changed = lists.delete(name)
    if (!this.#changed) return
    this.#changed = false
    const value = { by: ownVersion(), lists: Object.fromEntries(lists) }
    await this.files.change(this.path, KEPT, () => ({ value, result: undefined }))
  }

  async #all(): Promise<Map<ListName, KnownList>> {
    if (this.#lists === undefined) {
      const { by, lists } = (await this.files.read(this.path, KEPT)).value
      const names = by === ownVersion() ? Object.keys(lists).filter(isListName) : []
      this.#lists ??= new Map(names.map(name => [name, lists[name] as KnownList]))
    }
    return this.#lists
  }
}
