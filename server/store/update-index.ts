import { namesIn, type JsonFiles } from '../../common/json-file.js'
import { isListName, isServerName, type ListName, type ServerName } from '../../common/names.js'
import type { UpdateIndex } from '../../common/shapes.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'

/** What update.json says of a list: `waits` for the client, `handed-out`, or `in-sync` (no key). */
export type ListState = 'waits' | 'handed-out' | 'in-sync'

/** What a server's part of the index says of a list. */
export function stateOf(updates: ReadonlyMap<ListName, boolean>, list: ListName): ListState {
  const waits = updates.get(list)
  return waits === undefined ? 'in-sync' : waits ? 'waits' : 'handed-out'
}

/** archive/update.json: which lists of which server a client has to fetch (sync-contract.md §1). */
export class UpdateIndexStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths
  ) {}

  /** The lists of a server that are not in sync. */
  async of(server: ServerName): Promise<Map<ListName, boolean>> {
    return listsOf(await this.#read(), server)
  }

  /**
   * As `of`, where hosts ask or something changes: makes a missing index, for without the file each look at it would read
   * all lists of all hosts.
   */
  async ofMade(server: ServerName): Promise<Map<ListName, boolean>> {
    const { value, version } = await this.files.read(this.paths.updateIndex(), KINDS.updateIndex)
    if (version !== '') return listsOf(value, server)
    await this.#make()
    return this.of(server)
  }

  async #make(): Promise<void> {
    await this.files.change(this.paths.updateIndex(), KINDS.updateIndex, async ({ version }) =>
      version === '' ? { value: await this.#rebuilt(), result: undefined } : { result: undefined }
    )
  }

  /** Sets what is said of one list. Call it while holding the list's lock. Nothing is written if it says so already. */
  async set(server: ServerName, list: ListName, state: ListState): Promise<void> {
    const wanted = state === 'in-sync' ? undefined : state === 'waits'
    const said = await this.ofMade(server)
    if (said.get(list) === wanted) return
    await this.files.change(this.paths.updateIndex(), KINDS.updateIndex, async ({ value, version }) => {
      const index = version === '' ? await this.#rebuilt() : value
      const own = new Map(Object.entries(ofServer(index, server)))
      if (own.get(list) === wanted && version !== '') return { result: undefined }
      if (wanted === undefined) own.delete(list)
      else own.set(list, wanted)
      // Of a thousand hosts a tenth of the time and memory that entries and `Object.fromEntries` take.
      const next = Object.assign(Object.create(null) as UpdateIndex, index)
      if (own.size === 0) Reflect.deleteProperty(next, server)
      else next[server] = Object.fromEntries(own)
      return { value: next, result: undefined }
    })
  }

  async #read(): Promise<UpdateIndex> {
    const { value, version } = await this.files.read(this.paths.updateIndex(), KINDS.updateIndex)
    // Looking writes nothing.
    return version === '' ? this.#rebuilt() : value
  }

  /** A lost or set-aside index forgets no change: every list with a pending entry waits again. */
  async #rebuilt(): Promise<UpdateIndex> {
    const index: [string, Record<string, boolean>][] = []
    for (const server of (await namesIn(this.paths.root.archive)).filter(isServerName)) {
      const waiting: [string, boolean][] = []
      for (const list of (await namesIn(this.paths.lists(server))).filter(isListName)) {
        // Read without the list's lock: the order of locks is list first, index second.
        const { value } = await this.files
          .read(this.paths.list(server, list), { ...KINDS.blocklist, corrupt: 'refuse' }, { keep: false })
          .catch(() => ({ value: [] }))
        if (value.some(entry => entry.pending === true)) waiting.push([list, true])
      }
      if (waiting.length > 0) index.push([server, Object.fromEntries(waiting)])
    }
    return Object.fromEntries(index)
  }
}

function listsOf(index: UpdateIndex, server: ServerName): Map<ListName, boolean> {
  const found = new Map<ListName, boolean>()
  for (const [list, waits] of Object.entries(ofServer(index, server)))
    if (isListName(list)) found.set(list, waits)
  return found
}

function ofServer(index: UpdateIndex, server: ServerName): Record<string, boolean> {
  return Object.hasOwn(index, server) ? (index[server] ?? {}) : {}
}
