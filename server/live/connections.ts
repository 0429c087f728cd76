import type { Clock } from '../../common/clock.js'

/** What is used of a WebSocket; a poll that waits (waiting-poll.ts) is one too. */
export interface Line {
  readonly readyState: number
  readonly OPEN: number
  readonly bufferedAmount: number
  send(text: string): void
  ping(): void
  close(code: number, reason: string): void
  terminate(): void
  on(event: 'close' | 'error' | 'pong' | 'message', listener: () => void): unknown
  once(event: 'close', listener: () => void): unknown
}

/** One end of a connection, and what is known of the other. */
export interface Peer<About> {
  about: About
  /** Whose it is: a user, or a host. */
  key: string
  /** Milliseconds at which it ends in any case. */
  until: number
  /** Looks whether what let it in still holds. */
  stillGood: () => Promise<boolean>
}

/** Codes of RFC 6455 §7.4 that a connection is closed with, and one of ours. */
export const CLOSE = { goingAway: 1001, nothingTaken: 1003, failed: 1011, notAnyMore: 4401 } as const

/** Bytes that may wait for a peer that reads slowly; a slower one is dropped. */
const MOST_BUFFERED = 1024 * 1024
/** Milliseconds for the other end to say goodbye. */
const GOODBYE_MS = 1000

interface Held<About> extends Peer<About> {
  socket: Line
  /** It has answered since the last ping. */
  heard: boolean
}

/** Connections that are only spoken to: kept, watched over and ended. */
export class Connections<About> {
  readonly #all = new Map<Line, Held<About>>()
  readonly #byKey = new Map<string, Set<Held<About>>>()

  /** @param most connections held at a time, in all and of one key */
  constructor(
    private readonly clock: Clock,
    private readonly most: { all: number; ofOne: number }
  ) {}

  get size(): number {
    return this.#all.size
  }

  /** True when no more fit in; a key that has its share makes room for itself. */
  get full(): boolean {
    return this.#all.size >= this.most.all
  }

  /** Keeps a connection until it ends. The oldest one of its key goes when that has too many. */
  add(socket: Line, peer: Peer<About>): void {
    const held = { ...peer, socket, heard: true }
    const others = this.#byKey.get(peer.key) ?? new Set()
    this.#byKey.set(peer.key, others)
    const [oldest] = others
    if (oldest !== undefined && others.size >= this.most.ofOne) this.#drop(oldest)
    others.add(held)
    this.#all.set(socket, held)
    socket.on('close', () => this.#forget(held))
    // A broken connection is closed by ws itself.
    socket.on('error', () => undefined)
    socket.on('pong', () => (held.heard = true))
    socket.on('message', () => this.#close(held, CLOSE.nothingTaken, 'nothing is taken here'))
  }

  /** Sends a text to all of one key, or to all that are wanted. */
  send(text: string, to: { key: string } | { wanted: (about: About) => boolean }): void {
    const some = 'key' in to ? (this.#byKey.get(to.key) ?? []) : this.#all.values()
    for (const held of some) {
      if ('wanted' in to && !to.wanted(held.about)) continue
      if (held.socket.readyState !== held.socket.OPEN) continue
      if (held.socket.bufferedAmount > MOST_BUFFERED) this.#drop(held)
      else held.socket.send(text)
    }
  }

  /** True when any is wanted. */
  some(wanted: (about: About) => boolean): boolean {
    for (const { about } of this.#all.values()) if (wanted(about)) return true
    return false
  }

  /** Drops who has not answered the last ping, and pings the rest. */
  beat(): void {
    for (const held of [...this.#all.values()]) {
      if (!held.heard) {
        this.#drop(held)
        continue
      }
      held.heard = false
      if (held.socket.readyState === held.socket.OPEN) held.socket.ping()
    }
  }

  /** Ends those whose time is over. */
  expire(): void {
    const now = this.clock()
    for (const held of [...this.#all.values()]) if (now >= held.until) this.#end(held)
  }

  #wanted = false
  #checking: Promise<void> = Promise.resolve()

  /**
   * Ends those that would not be let in any more. A call while another is at work makes it go round once more.
   * @param failed told of each that could not be looked at; it stays
   */
  async recheck(failed: (error: unknown) => void): Promise<void> {
    if (this.#wanted) return this.#checking
    this.#wanted = true
    this.#checking = this.#checking.then(async () => {
      this.#wanted = false
      await this.#recheckAll(failed)
    })
    return this.#checking
  }

  async #recheckAll(failed: (error: unknown) => void): Promise<void> {
    for (const held of [...this.#all.values()]) {
      try {
        if (!(await held.stillGood())) this.#end(held)
      } catch (error) {
        failed(error)
      }
    }
  }

  /** Ends all, as the server goes. */
  async end(): Promise<void> {
    const gone = [...this.#all.values()].map(held => {
      const closed = new Promise<void>(resolve => held.socket.once('close', resolve))
      this.#close(held, CLOSE.goingAway, 'the server stops')
      return closed
    })
    await Promise.all(gone)
  }

  #end(held: Held<About>): void {
    this.#close(held, CLOSE.notAnyMore, 'what let you in has ended')
  }

  #close(held: Held<About>, code: number, reason: string): void {
    this.#forget(held)
    held.socket.close(code, reason)
    setTimeout(() => held.socket.terminate(), GOODBYE_MS).unref()
  }

  #drop(held: Held<About>): void {
    this.#forget(held)
    held.socket.terminate()
  }

  #forget(held: Held<About>): void {
    this.#all.delete(held.socket)
    const others = this.#byKey.get(held.key)
    others?.delete(held)
    if (others?.size === 0) this.#byKey.delete(held.key)
  }
}
