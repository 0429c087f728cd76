import type { EventsFileName, ServerName } from '../../common/names.js'
import { AddressBook } from './address-book.js'
import { summarise, type DaySummary } from './day-summary.js'
import type { EventStore } from './events.js'

/** Addresses remembered before the book is begun anew: old days' addresses would stay in it for ever. */
const BOOK_SIZE = 3_000_000
/** Days read at once: each takes some milliseconds of the event loop. */
const TOGETHER = 2

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

/** Sums days up, each once per version of its file: what has not changed is not read again. */
export class Summaries {
  readonly #days = new Map<string, Remembered>()
  #book = new AddressBook()
  #running: Promise<unknown>[] = []

  /** @param least bans of a jail in a minute that make a burst */
  constructor(
    private readonly events: EventStore,
    private readonly least: number
  ) {}

  /** Versions of days, which is all that a reply's own version hangs on; days that are not there are left out. */
  async versions(
    days: readonly { server: ServerName; day: EventsFileName }[]
  ): Promise<{ server: ServerName; day: EventsFileName; version: string }[]> {
    const found = await Promise.all(
      days.map(async one => ({ ...one, version: await this.events.version(one.server, one.day) }))
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
      const numbers = await this.events.numbers(server, day, book)
      return summarise(numbers, book.size, this.least)
    })
    const remembered = { version, summary }
    this.#days.set(key, remembered)
    summary.catch(() => {
      if (this.#days.get(key) === remembered) this.#days.delete(key)
    })
    return summary
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
