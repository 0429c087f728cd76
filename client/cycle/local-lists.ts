import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { namesIn, parseJson, type JsonFiles, type JsonKind } from '../../common/json-file.js'
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
      const { value, text, version } = await this.files.read(join(this.folder, name), LIST)
      // A corrupt copy was set aside: not telling of it makes the server hand it out again.
      if (version === '') continue
      lists.set(name, value)
      hashes.set(name, createHash('sha256').update(text).digest('hex'))
      lengths.set(name, text.length)
    }
    return { lists, hashes, lengths }
  }

  /** The bytes of one list. */
  async text(name: ListName): Promise<string> {
    return (await this.files.read(join(this.folder, name), LIST)).text
  }

  /** Keeps a downloaded list to the byte. @throws Error saying what is wrong with it; the old copy stays */
  async keep(name: ListName, text: string): Promise<void> {
    const value = parseJson(text, LIST.check, LIST.mend) as BlocklistEntry[]
    await this.files.change(join(this.folder, name), LIST, current =>
      current.text === text && current.version !== ''
        ? { result: undefined }
        : { value, text, result: undefined }
    )
  }

  /** Replaces a list's entries. */
  async replace(name: ListName, value: BlocklistEntry[]): Promise<void> {
    await this.files.change(join(this.folder, name), LIST, () => ({ value, result: undefined }))
  }
}
