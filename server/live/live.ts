import type { Clock } from '../../common/clock.js'
import { isoTime } from '../../common/clock.js'
import { ADMINS_ONLY, WAKE_TEXT, type LiveMessage, type LiveNote } from '../../common/live-messages.js'
import type { Role } from '../../common/shapes.js'
import type { NotesReader } from '../store/notes-reader.js'
import type { Store } from '../store/store.js'
import { Connections } from './connections.js'
import type { LogLines } from './log-lines.js'

/** A browser that looks on. */
export interface Browser {
  role: Role
  /** It asked for the server's log. */
  console: boolean
}

/** A server process's live connections; hosts and users beyond them go on without. */
const BROWSERS = { all: 500, ofOne: 20 }
const HOSTS = { all: 5000, ofOne: 4 }
const TICK_MS = 1000
const TICKS_A_BEAT = 30
const AGAIN_MS = 75

/**
 * Tells browsers what changes and hosts that wait when to come. What is told comes from the archive's notes, so that it
 * does not matter which process made a change.
 */
export class Live {
  readonly browsers: Connections<Browser>
  readonly hosts: Connections<undefined>
  #reader: NotesReader | undefined
  #timer: NodeJS.Timeout | undefined
  #unlisten = () => undefined as unknown
  #ticks = 0
  #lookAgain: NodeJS.Timeout | undefined

  /** @param failed told of what went wrong; nobody is waiting for it */
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly failed: (error: unknown) => void,
    private readonly logLines?: LogLines
  ) {
    this.browsers = new Connections(clock, BROWSERS)
    this.hosts = new Connections(clock, HOSTS)
  }

  /** Begins to follow what changes. @param tickMs milliseconds between looks where nothing tells of a change */
  start(tickMs = TICK_MS): void {
    this.#reader = this.store.live.follow(note => this.#pass(note))
    this.#unlisten = this.logLines?.listen(line => this.#log(line)) ?? this.#unlisten
    this.#timer = setInterval(() => this.#tick(), tickMs)
    this.#timer.unref()
  }

  /**
   * Looks for notes of other processes, as their file has grown; and once more: what is told of the file's growth
   * passes over what follows within 50 milliseconds.
   */
  look(): void {
    void this.#reader?.look()
    this.#lookAgain ??= setTimeout(() => {
      this.#lookAgain = undefined
      void this.#reader?.look()
    }, AGAIN_MS).unref()
  }

  /** Looks whether all who are connected may still be: when users or sessions have changed, or clients. */
  recheck(which: 'browsers' | 'hosts'): void {
    void this[which].recheck(this.failed)
  }

  /** Ends every connection. */
  async end(): Promise<void> {
    clearInterval(this.#timer)
    clearTimeout(this.#lookAgain)
    this.#unlisten()
    await Promise.all([this.browsers.end(), this.hosts.end()])
    if (this.#reader !== undefined) await this.store.live.unfollow(this.#reader)
  }

  #tick(): void {
    this.browsers.expire()
    this.hosts.expire()
    void this.#reader?.look()
    if (++this.#ticks % TICKS_A_BEAT !== 0) return
    this.#send({ type: 'heartbeat', time: isoTime(this.clock()), data: {} })
    this.browsers.beat()
    this.hosts.beat()
    this.recheck('browsers')
    this.recheck('hosts')
  }

  #pass(note: LiveNote): void {
    if (note.type === 'wake') this.#wake(note.data.server, note.data.after ?? 0)
    else this.#send(note)
  }

  #wake(server: string, after: number): void {
    const wake = () => this.hosts.send(WAKE_TEXT, { key: server })
    if (after > 0) setTimeout(wake, after).unref()
    else wake()
  }

  #send(message: LiveMessage): void {
    if (this.browsers.size === 0) return
    const text = JSON.stringify(message)
    this.browsers.send(text, { wanted: ({ role }) => role === 'admin' })
    if (ADMINS_ONLY.has(message.type)) return
    const forViewers = withoutLogs(message)
    const other = forViewers === message ? text : JSON.stringify(forViewers)
    this.browsers.send(other, { wanted: ({ role }) => role !== 'admin' })
  }

  #log(line: string): void {
    const wanted = ({ role, console }: Browser) => console && role === 'admin'
    if (!this.browsers.some(wanted)) return
    const data = { line: JSON.parse(line) as Record<string, unknown> }
    const message: LiveMessage = { type: 'console_log', time: isoTime(this.clock()), data }
    this.browsers.send(JSON.stringify(message), { wanted })
  }
}

/** Lines of a host's log are for admins: they may hold what people typed. */
function withoutLogs(message: LiveMessage): LiveMessage {
  if (message.type !== 'ban_event' && message.type !== 'unban_event') return message
  if (message.data.logs === undefined) return message
  const data = { ...message.data }
  delete data.logs
  return { ...message, data }
}
