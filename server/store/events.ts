import { parseAddress } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { namesIn, versionOf, type JsonFiles, type Snapshot } from '../../common/json-file.js'
import { isEventsFileName, type EventsFileName, type ServerName } from '../../common/names.js'
import type { BanEvent } from '../../common/shapes.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'
import { parseUpload } from './uploaded-list.js'

/** The daily events of all servers, as their clients sent them. */
export class EventStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    /** Older days are not shown. */
    private readonly oldest?: EventsFileName
  ) {}

  /** Events files of a server, oldest first. */
  async days(server: ServerName): Promise<EventsFileName[]> {
    const names = (await namesIn(this.paths.days(server))).filter(isEventsFileName)
    return names.filter(name => name >= (this.oldest ?? ''))
  }

  /** The events of one day in the order they were logged; none when there is no such day. */
  async read(server: ServerName, day: EventsFileName): Promise<Snapshot<BanEvent[]>> {
    return this.files.read(this.paths.day(server, day), KINDS.events)
  }

  /** Like `read`, for a day that is turned into something smaller: it stays in nobody's memory. */
  async readOnce(server: ServerName, day: EventsFileName): Promise<Snapshot<BanEvent[]>> {
    return this.files.read(this.paths.day(server, day), KINDS.events, false)
  }

  /** Changes whenever the day's file does; empty when there is none. Cheaper than `read`. */
  async version(server: ServerName, day: EventsFileName): Promise<string> {
    return versionOf(this.paths.day(server, day))
  }

  /**
   * Replaces a day by what the client sent; the same bytes again write nothing.
   * @throws ProductError UPLOAD_JSON, UPLOAD_CONTENT: nothing changes then
   */
  async replace(server: ServerName, day: EventsFileName, text: string): Promise<void> {
    const events = parseUpload(text, KINDS.events)
    events.forEach((event, at) => {
      if (parseAddress(event.ip) !== undefined) return
      throw new ProductError('UPLOAD_CONTENT', `event ${at + 1}: ip is no IPv4 or IPv6 address or network`)
    })
    await this.files.change(this.paths.day(server, day), KINDS.events, current =>
      current.text === text && current.version !== ''
        ? { result: undefined }
        : { value: events, text, result: undefined }
    )
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
