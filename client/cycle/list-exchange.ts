import { ProductError, messageOf } from '../../common/errors.js'
import { CHANGES_SUFFIX } from '../../common/list-changes.js'
import type { ListName } from '../../common/names.js'
import { LIMITS } from '../../common/shapes.js'
import type { Offered, OutgoingFile, SyncedBack } from '../server-link.js'
import type { Link, Report } from './cycle.js'
import type { LocalLists, MadeList } from './local-lists.js'

/** Bytes and lists sent back in one request. */
const BATCH_BYTES = 16 * 1024 * 1024
const BATCH_FILES = 50

/**
 * The way of the lists between the server and this host's copies, in one cycle. A server that knows of it sends and takes
 * what changed in place of whole lists; where that doesn't fit, the whole list goes.
 */
export class ListExchange {
  readonly #link: Link
  readonly #lists: LocalLists
  readonly #report: Report
  /** What the host held when it asked. */
  #held: ReadonlyMap<ListName, { hash: string; length: number }> = new Map()
  /** Characters of the lists, with those that were fetched since. */
  readonly #lengths = new Map<ListName, number>()
  /** Lists that the server takes changes of. */
  readonly #byChanges = new Set<ListName>()

  constructor(parts: { link: Link; lists: LocalLists; report: Report }) {
    this.#link = parts.link
    this.#lists = parts.lists
    this.#report = parts.report
  }

  /** Asks what to fetch. @param told what the server is told beside the lists the host holds @throws as `Link.ask` */
  async ask(told: Record<string, string>): Promise<Offered> {
    this.#held = await this.#lists.held()
    for (const [list, { length }] of this.#held) this.#lengths.set(list, length)
    // Read while the server looks for its answer; what can't be read is told of by those who need it.
    let read: Promise<unknown> | undefined
    const onSent = () => void (read ??= this.#lists.all().catch(() => undefined))
    const offered = await this.#link.ask({ have: this.#have(), ...told }, onSent)
    await read
    return offered
  }

  /** The lists that the server was told this host holds. */
  get told(): ReadonlyMap<ListName, unknown> {
    return this.#held
  }

  #have(): string {
    return [...this.#held].map(([list, { hash }]) => `${list}=${hash}`).join(',')
  }

  /** Sends the server a list that it lost. @throws as `Link.upload` */
  async restore(list: ListName): Promise<void> {
    this.#report('warn', {
      event: 'restoring',
      list,
      message: 'the server lost this list and asked for it'
    })
    await this.#link.upload({ name: list, text: await this.#lists.text(list) })
  }

  /**
   * Fetches and keeps a list. @returns false when there was none for this host
   * @throws ProductError REFUSED for a list that is no good, and as `Link.download`
   */
  async fetch(list: ListName): Promise<boolean> {
    const content = await this.#fetched(list)
    if (content === undefined) {
      // Another cycle of this host fetched it, or the hand-over is too old: the next cycle is offered it again.
      this.#report('warn', { event: 'not_handed_out', list })
      return false
    }
    this.#lengths.set(list, content.text.length)
    const all = [...this.#lengths.values()].reduce((sum, length) => sum + length, 0)
    if (all > LIMITS.hostCharacters) {
      throw new ProductError(
        'REFUSED',
        `with ${list} its lists would fill more than ${LIMITS.hostCharacters} bytes`
      )
    }
    try {
      await this.#lists.keep(list, content.text, content.known)
    } catch (error) {
      if (error instanceof ProductError) throw error
      throw new ProductError('REFUSED', `the server sent a bad ${list}: ${messageOf(error)}`, error)
    }
    return true
  }

  async #fetched(list: ListName): Promise<{ text: string; known?: MadeList } | undefined> {
    const got = await this.#link.download(list, this.#held.get(list)?.hash ?? '')
    if (got === undefined) return undefined
    if (got.takesChanges) this.#byChanges.add(list)
    if (!got.changes) return { text: got.text }
    const made = await this.#lists.made(list, got.text)
    if (made !== undefined) return { text: made.text, known: made }
    this.#report('info', { event: 'changes_do_not_fit', list })
    // The copy counts as delivered and is gone: to ask hands the list out once more.
    await this.#link.ask({ have: this.#have() })
    const whole = await this.#link.download(list)
    return whole === undefined ? undefined : { text: whole.text }
  }

  /**
   * Sends lists back, as few requests as they fit into.
   * @param send does one request, and tells whether others may follow
   */
  async sendBack(
    names: readonly ListName[],
    send: (request: () => Promise<SyncedBack>) => Promise<boolean>
  ): Promise<void> {
    const whole = new Set<string>()
    const goOn = await this.#inBatches(names, true, batch =>
      send(async () => {
        const back = await this.#link.syncBack(batch)
        for (const name of back.whole) whole.add(name)
        return back
      })
    )
    if (!goOn) return
    const again = names.filter(name => whole.has(name))
    await this.#inBatches(again, false, batch => send(() => this.#link.syncBack(batch)))
  }

  async #inBatches(
    names: readonly ListName[],
    mayBeChanges: boolean,
    send: (batch: OutgoingFile[]) => Promise<boolean>
  ): Promise<boolean> {
    let batch: OutgoingFile[] = []
    let bytes = 0
    const flush = async (): Promise<boolean> => {
      const files = batch
      batch = []
      bytes = 0
      return files.length === 0 || send(files)
    }
    for (const name of names) {
      const file = await this.#outgoing(name, mayBeChanges)
      const full = bytes + file.text.length > BATCH_BYTES || batch.length >= BATCH_FILES
      if (full && !(await flush())) return false
      batch.push(file)
      bytes += file.text.length
    }
    return flush()
  }

  async #outgoing(name: ListName, mayBeChanges: boolean): Promise<OutgoingFile> {
    const changes =
      mayBeChanges && this.#byChanges.has(name) ? await this.#lists.changesSinceKept(name) : undefined
    return changes === undefined
      ? { name, text: await this.#lists.text(name) }
      : { name: name + CHANGES_SUFFIX, text: JSON.stringify(changes) }
  }
}
