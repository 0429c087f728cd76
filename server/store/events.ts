import { parseAddress } from '../../common/address.js'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { keepLatest } from '../../common/keep-latest.js'
import { namesIn, serialise, versionOf, type JsonFiles, type Snapshot } from '../../common/json-file.js'
import type { HostEvent } from '../../common/live-messages.js'
import {
  eventsFileOfDay,
  isEventsFileName,
  type EventsFileName,
  type ServerName
} from '../../common/names.js'
import type { BanEvent } from '../../common/shapes.js'
import type { AddressBook } from './address-book.js'
import { numbersIn, numbersOf, type DayNumbers } from './day-numbers.js'
import type { Paths } from './folders.js'
import { GroupCommit } from './group-commit.js'
import { KINDS } from './kinds.js'
import type { LiveNotes } from './live-notes.js'
import {
  hasAlready,
  inOrder,
  isCallback,
  matchCallbacks,
  mergeDay,
  nearMidnight,
  type StoredEvent
} from './same-event.js'
import { parseUpload } from './uploaded-list.js'

/** Of an upload's new events browsers are told the last ones, and of days that are no longer news none. */
const MOST_TOLD = 100
const NEWS_MS = 48 * 3_600_000
const DAY_MS = 86_400_000
/** Callbacks of a day that wait for the host's file, far more than a host whose client works has. */
const MOST_CALLBACKS = 10_000
/** Callbacks that are one write: each is looked for in the day while it is locked. */
const MOST_TOGETHER = 100

/** Far more days than are sent while one request is under way. */
const MOST_LATEST = 10_000

/** What fail2ban tells of an event beside what a day's file holds. */
export type EventDetails = Pick<HostEvent, 'hostname' | 'failures' | 'logs'>

/** The daily events of all servers, as their clients sent them. */
export class EventStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly live: LiveNotes,
    private readonly clock: Clock,
    /** `onNew` is told of events that were not known. Days older than `oldest` are not shown. */
    private readonly options: {
      onNew: (server: ServerName, events: readonly BanEvent[]) => void
      oldest?: EventsFileName | undefined
    }
  ) {}

  /** Events files of a server, oldest first. */
  async days(server: ServerName): Promise<EventsFileName[]> {
    const names = (await namesIn(this.paths.days(server))).filter(isEventsFileName)
    return names.filter(name => name >= (this.options.oldest ?? ''))
  }

  /** The events of one day in the order they were logged; none when there is no such day. */
  async read(server: ServerName, day: EventsFileName): Promise<Snapshot<StoredEvent[]>> {
    return this.files.read(this.paths.day(server, day), KINDS.events)
  }

  /** Like `read`, for a day that is turned into something smaller: it stays in nobody's memory. */
  async readOnce(server: ServerName, day: EventsFileName): Promise<Snapshot<BanEvent[]>> {
    return this.files.read(this.paths.day(server, day), KINDS.events, { keep: false })
  }

  /** A day's events as numbers; they stay in nobody's memory. */
  async numbers(server: ServerName, day: EventsFileName, book: AddressBook): Promise<DayNumbers> {
    return this.files.readInto(this.paths.day(server, day), KINDS.events, {
      quick: bytes => numbersIn(bytes, book),
      whole: events => numbersOf(events, book)
    })
  }

  /** Changes whenever the day's file does; empty when there is none. Cheaper than `read`. */
  async version(server: ServerName, day: EventsFileName): Promise<string> {
    return versionOf(this.paths.day(server, day))
  }

  /**
   * Replaces a day by what the client sent; the same bytes again write nothing. Events that fail2ban itself told of
   * stay until the client's file has them (same-event.ts). Browsers are told what is new.
   * @param arrived which of this process's requests it is. One that is overtaken by a later one of the day changes nothing:
   *   its host was killed, or gave up waiting, and has sent more since.
   * @throws ProductError UPLOAD_JSON, UPLOAD_CONTENT: nothing changes then
   */
  async replace(server: ServerName, day: EventsFileName, text: string, arrived: number): Promise<void> {
    const events = parseUpload<StoredEvent[]>(text, KINDS.events)
    events.forEach((event, at) => {
      if (parseAddress(event.ip) === undefined) {
        throw new ProductError('UPLOAD_CONTENT', `event ${at + 1}: ip is no IPv4 or IPv6 address or network`)
      }
      if ('via' in event) throw new ProductError('UPLOAD_CONTENT', `event ${at + 1}: via is the server's own`)
    })
    const path = this.paths.day(server, day)
    const fresh = await this.files.change(path, KINDS.events, current => {
      if (arrived < (this.#latest.get(path) ?? 0)) return { result: undefined }
      this.#noteLatest(path, arrived)
      if (current.text === text && current.version !== '') return { result: undefined }
      const merged = mergeDay(current.value, events)
      if (merged.day === events) return { value: events, text, result: merged.fresh }
      const value = [...merged.day]
      const same = serialise(value, KINDS.events.rows) === current.text
      return same ? { result: undefined } : { value, result: merged.fresh }
    })
    // Also when nothing is new: whoever was killed between the two files is made good by the same upload.
    await this.#dropTwins(server, events)
    if (fresh === undefined) return
    this.options.onNew(server, fresh)
    await this.#tell(server, day, events.length, fresh)
  }

  /** Of the days that were sent last, which request sent them. */
  readonly #latest = new Map<string, number>()

  #noteLatest(path: string, arrived: number): void {
    keepLatest(this.#latest, path, arrived, MOST_LATEST)
  }

  readonly #together = new GroupCommit<BanEvent, boolean>(MOST_TOGETHER, event => [JSON.stringify(event)])

  /**
   * Stores an event that fail2ban itself told of and tells the browsers, unless it is known. Those of one day that come
   * at the same time are one write.
   * @param event `timestamp` is the host's local time @returns whether it was new
   * @throws ProductError CONFLICT when too many of the day wait for the host's own file
   */
  async addCallback(server: ServerName, event: BanEvent, details: EventDetails): Promise<boolean> {
    if (await this.#hadTheDayBefore(server, event)) return false
    const path = this.paths.day(server, eventsFileOfDay(event.timestamp.slice(0, 10)))
    const isNew = await this.#together
      .add(path, event, take => this.#addAll(path, take))
      .catch((error: unknown) => {
        // Each may fit where all of them together are too many, or be known already.
        if (error instanceof ProductError && error.code === 'CONFLICT') return this.#addOne(path, event)
        throw error
      })
    if (!isNew) return false
    this.options.onNew(server, [event])
    const type = event.action === 'Unban' ? 'unban_event' : 'ban_event'
    await this.live.publish(type, { server, ...event, via: 'callback', ...details })
    return true
  }

  async #addOne(path: string, event: BanEvent): Promise<boolean> {
    return (await this.#addAll(path, () => [event]))[0] === true
  }

  /** @returns of each event whether it was new */
  async #addAll(path: string, take: () => readonly BanEvent[]): Promise<boolean[]> {
    return this.files.change(path, KINDS.events, ({ value }) => {
      const events = take()
      let day: readonly StoredEvent[] = value
      const fresh = events.filter(event => !hasAlready(day, event)).length
      if (fresh > 0 && day.filter(isCallback).length + fresh > MOST_CALLBACKS) {
        throw new ProductError(
          'CONFLICT',
          `${MOST_CALLBACKS} events of that day wait for the host's own file: does its sync run?`
        )
      }
      const result = events.map(event => {
        const isNew = !hasAlready(day, event)
        if (isNew) day = inOrder(day, [{ ...event, via: 'callback' }])
        return isNew
      })
      return day === value ? { result } : { value: [...day], result }
    })
  }

  /** A ban logged just before midnight may be told of just after it. */
  async #hadTheDayBefore(server: ServerName, event: BanEvent): Promise<boolean> {
    if (nearMidnight(event.timestamp) !== 'after') return false
    const { value } = await this.read(server, neighbour(event.timestamp, -DAY_MS))
    return hasAlready(value, event)
  }

  /** As `#hadTheDayBefore`, where the callback came first. */
  async #dropTwins(server: ServerName, events: readonly BanEvent[]): Promise<void> {
    const late = events.filter(({ timestamp }) => nearMidnight(timestamp) === 'before')
    const [first] = late
    if (first === undefined) return
    const next = neighbour(first.timestamp, DAY_MS)
    const twins = (day: readonly StoredEvent[]) => {
      const callbacks = day.filter(isCallback)
      const left = new Set(matchCallbacks(callbacks, late).left)
      return new Set(callbacks.filter(event => !left.has(event)))
    }
    if (twins((await this.read(server, next)).value).size === 0) return
    await this.files.change(this.paths.day(server, next), KINDS.events, ({ value }) => {
      const gone = twins(value)
      return { value: value.filter(event => !gone.has(event)), result: undefined }
    })
  }

  async #tell(
    server: ServerName,
    day: EventsFileName,
    events: number,
    fresh: readonly BanEvent[]
  ): Promise<void> {
    const text = day.replace(/\D/g, '').slice(-8)
    await this.live.publish('server_status', { server, day: text, events })
    if (this.clock() - startOf(text) > NEWS_MS) return
    for (const type of ['ban_event', 'unban_event'] as const) {
      const some = fresh
        .slice(-MOST_TOLD)
        .filter(({ action }) => (action === 'Unban') === (type === 'unban_event'))
      const told = some.map(({ timestamp, action, ip, jail }) => ({ server, timestamp, action, ip, jail }))
      await this.live.publishAll(
        type,
        told.map(event => ({ ...event, via: 'file' as const }))
      )
    }
  }

  /**
   * Takes a day over from another installation, to the byte.
   * @param wanted told the present text, undefined when there is no such day: false leaves it as it is
   */
  async takeOver(
    server: ServerName,
    day: EventsFileName,
    taken: { events: BanEvent[]; text: string },
    wanted: (present: string | undefined) => boolean
  ): Promise<void> {
    await this.files.change(this.paths.day(server, day), KINDS.events, ({ text, version }) =>
      wanted(version === '' ? undefined : text)
        ? { value: taken.events, text: taken.text, result: undefined }
        : { result: undefined }
    )
  }
}

/** Milliseconds of the beginning of a day `YYYYMMDD`, as if it were UTC. */
function startOf(day: string): number {
  return Date.parse(`${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6, 8)}`)
}

/** Events file of the day before or after that of a timestamp. */
function neighbour(timestamp: string, ms: number): EventsFileName {
  return eventsFileOfDay(new Date(Date.parse(timestamp.slice(0, 10)) + ms).toISOString().slice(0, 10))
}
