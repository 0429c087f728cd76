import type { EventsFileName, ServerName } from '../../common/names.js'
import { AddressBook } from './address-book.js'
import { summarise, type DaySummary } from './day-summary.js'
import { keptDay, summaryOf } from './kept-sums.js'
import type { KeptDay } from './kinds.js'
import type { Store } from './store.js'

/** Addresses remembered before the book is begun anew: old days' addresses would stay in it for ever. */
const BOOK_SIZE = 3_000_000
/** Days read at once: each takes some milliseconds of the event loop. */
const TOGETHER = 2
/** What is kept of a server is no larger than that: a host may name as many addresses and jails as it likes. */
const MOST_KEPT = { addresses: 500_000, jails: 10_000 }
/** Hosts whose kept sums are in memory at a time; what is not taken from there is read. */
const MOST_HELD = 4
/** Events of a day whose sums are worth a place on the disk: fewer are summed up within a millisecond. */
const LONG = 700

/** A day of a server, summed up, and the version of the file that it was made from. */
export interface SummedDay {
  server: ServerName
  day: EventsFileName
  version: string
  summary: DaySummary
}

interface Remembered {
  version: string
  summary: Promise<DaySummary>
}

type Kept = ReadonlyMap<string, KeptDay>
const NOTHING: Kept = new Map()

/** Sums days up, each once per version of its file: what has not changed is not read again. */
export class Summaries {
  readonly #days = new Map<string, Remembered>()
  /** By server, what an earlier process has kept, until it was all asked for. */
  readonly #kept = new Map<ServerName, Promise<Kept>>()
  /** Of these, how many hold anything. */
  #held = 0
  /** Servers of which a long day had to be read. */
  readonly #fresh = new Set<ServerName>()
  #book = new AddressBook()
  #running: Promise<unknown>[] = []

  /** @param least bans of a jail in a minute that make a burst */
  constructor(
    private readonly store: Pick<Store, 'events' | 'sums'>,
    private readonly least: number
  ) {}

  /** Versions of days, which is all that a reply's own version hangs on; days that are not there are left out. */
  async versions(
    days: readonly { server: ServerName; day: EventsFileName }[]
  ): Promise<{ server: ServerName; day: EventsFileName; version: string }[]> {
    const found = await Promise.all(
      days.map(async one => ({ ...one, version: await this.store.events.version(one.server, one.day) }))
    )
    return found.filter(one => one.version !== '')
  }

  /** Sums up days with the versions that `versions` gave. @returns also the book that has their addresses */
  async of(
    days: readonly { server: ServerName; day: EventsFileName; version: string }[]
  ): Promise<{ days: SummedDay[]; book: AddressBook }> {
    if (this.#book.size > BOOK_SIZE) {
      this.#book = new AddressBook()
      this.#days.clear()
    }
    const book = this.#book
    const summed = days.map(async one => ({ ...one, summary: await this.#day(one, book) }))
    return { days: await Promise.all(summed), book }
  }

  #day(
    { server, day, version }: { server: ServerName; day: EventsFileName; version: string },
    book: AddressBook
  ): Promise<DaySummary> {
    const key = `${server}/${day}`
    const known = this.#days.get(key)
    if (known?.version === version) return known.summary
    const summary = this.#inTurn(async () => {
      const kept = (await this.#keptOf(server)).get(day)
      if (kept?.version === version) return summaryOf(kept, book)
      const numbers = await this.store.events.numbers(server, day, book)
      const read = summarise(numbers, book.size, this.least)
      if (isLong(read)) this.#fresh.add(server)
      return read
    })
    const remembered = { version, summary }
    this.#days.set(key, remembered)
    summary.catch(() => {
      if (this.#days.get(key) === remembered) this.#days.delete(key)
    })
    return summary
  }

  #keptOf(server: ServerName): Promise<Kept> {
    const known = this.#kept.get(server)
    if (known !== undefined) return known
    if (this.#held >= MOST_HELD) return Promise.resolve(NOTHING)
    this.#held++
    const kept = this.store.sums
      .of(server, this.least)
      // Whatever is wrong with it, the days are there.
      .catch(() => NOTHING)
      .then(found => {
        if (found.size === 0) this.#held--
        return found
      })
    this.#kept.set(server, kept)
    return kept
  }

  /**
   * Keeps what a server's long days came to for the next process, if this one had to read any of them; to be called with all
   * days that statistics look back on, when they were asked for.
   * @throws ProductError LOCK_TIMEOUT, DISK
   */
  async keep(server: ServerName, days: readonly EventsFileName[]): Promise<void> {
    const before = await this.#letGo(server)
    const fresh = this.#fresh.has(server) || [...before.keys()].some(day => !days.some(one => one === day))
    if (!fresh) return
    const book = this.#book
    const kept = new Map<EventsFileName, KeptDay>()
    let addresses = 0
    let jails = 0
    for (const day of days) {
      const known = this.#days.get(`${server}/${day}`)
      // The book was begun anew: what is kept is more than what is known.
      if (known === undefined) return
      const summary = await known.summary
      if (!isLong(summary)) continue
      addresses += summary.ids.length
      jails += summary.jails.size + summary.bursts.length
      if (addresses > MOST_KEPT.addresses || jails > MOST_KEPT.jails) break
      kept.set(day, keptDay(known.version, summary, book))
    }
    // The numbers of another book would be those of other addresses.
    if (book !== this.#book) return
    await this.store.sums.keep(server, this.least, kept)
    this.#fresh.delete(server)
  }

  /** Drops what is in memory of a server's kept sums: its days are known by now. @returns it */
  async #letGo(server: ServerName): Promise<Kept> {
    const held = (await this.#kept.get(server)) ?? NOTHING
    if (held.size > 0) this.#held--
    this.#kept.set(server, Promise.resolve(NOTHING))
    return held
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    while (this.#running.length >= TOGETHER) await Promise.race(this.#running)
    const run = work()
    const settled: Promise<unknown> = run
      .catch(() => undefined)
      .then(() => {
        this.#running = this.#running.filter(one => one !== settled)
      })
    this.#running.push(settled)
    return run
  }
}

function isLong({ bans, unbans, increases, restores }: DaySummary): boolean {
  return bans + unbans + increases + restores >= LONG
}
