import type { BanEvent } from '../../common/shapes.js'

/** An event as it stands in a day's file of the server. */
export interface StoredEvent extends BanEvent {
  /** fail2ban itself told of it, and no uploaded file has had it yet. */
  via?: 'callback'
}

/**
 * How far a callback's time may lie from that of the log's line of the same event, in milliseconds. fail2ban logs the
 * ban first; the actions before ours in the jail may take their time.
 */
const AFTER_MS = 120_000
const BEFORE_MS = 10_000
/** AFTER_MS past midnight, and as much to go. */
const EARLY = '00:02:00'
const LATE = '23:58:00'

/** Milliseconds of a timestamp of a day's file, as if it were UTC: only differences count. */
export function eventMs(timestamp: string): number {
  return Date.parse(`${timestamp.replace(' ', 'T').replace(',', '.')}Z`)
}

/** Whether events at the given time may be the same as others of the day before, or after. */
export function nearMidnight(timestamp: string): 'before' | 'after' | undefined {
  const time = timestamp.slice(11)
  if (time < EARLY) return 'after'
  return time >= LATE ? 'before' : undefined
}

/** A day of the server as an upload leaves it. */
export interface MergedDay {
  /** The upload, with the callbacks it doesn't have yet at their places; the upload itself when there are none. */
  day: readonly StoredEvent[]
  /** Events of the upload that nobody has been told of: neither stored before, nor told by a callback. */
  fresh: BanEvent[]
}

/**
 * Puts an upload in a day's place. The log's own line of an event takes the place of the callback's; a callback that
 * the log doesn't have yet, or never has, stays.
 */
export function mergeDay(stored: readonly StoredEvent[], upload: readonly BanEvent[]): MergedDay {
  const { matched, left } = matchCallbacks(stored.filter(isCallback), upload)
  const known = stored.filter(event => !isCallback(event))
  const fresh = without(upload, known).filter(event => !matched.has(event))
  return { day: left.length === 0 ? upload : inOrder(upload, left), fresh }
}

/**
 * The callbacks that are none of these events, and the events that are one of them. A host chooses how many there are
 * of one address: those of one address, jail and action go past each other by time, each looked at once.
 */
export function matchCallbacks(
  callbacks: readonly StoredEvent[],
  events: readonly BanEvent[]
): { matched: Set<BanEvent>; left: StoredEvent[] } {
  const matched = new Set<BanEvent>()
  const known = new Set<StoredEvent>()
  if (callbacks.length === 0) return { matched, left: [] }
  const ofCallbacks = byKind(callbacks, () => true)
  const logged = byKind(events, kind => ofCallbacks.has(kind))
  for (const [kind, ours] of ofCallbacks) {
    const theirs = byTime(logged.get(kind) ?? [])
    let at = 0
    for (const callback of byTime(ours)) {
      while (at < theirs.length && (theirs[at]?.ms ?? 0) < callback.ms - AFTER_MS) at++
      const same = theirs[at]
      if (same === undefined || same.ms > callback.ms + BEFORE_MS) continue
      matched.add(same.event)
      known.add(callback.event)
      at++
    }
  }
  return { matched, left: callbacks.filter(callback => !known.has(callback)) }
}

/** Events by address, jail and action, of the wanted kinds only. */
function byKind<Event extends BanEvent>(
  events: readonly Event[],
  wanted: (kind: string) => boolean
): Map<string, Event[]> {
  const kinds = new Map<string, Event[]>()
  for (const event of events) {
    const kind = `${event.action} ${event.ip} ${event.jail}`
    if (!wanted(kind)) continue
    const some = kinds.get(kind)
    if (some === undefined) kinds.set(kind, [event])
    else some.push(event)
  }
  return kinds
}

/** Events with their times, oldest first; those whose time is none are left out. */
function byTime<Event extends BanEvent>(events: readonly Event[]): { event: Event; ms: number }[] {
  return events
    .map(event => ({ event, ms: eventMs(event.timestamp) }))
    .filter(({ ms }) => !Number.isNaN(ms))
    .sort((a, b) => a.ms - b.ms)
}

/**
 * Whether a day has the event of a callback that comes late or twice. A ban that follows an unban is another one,
 * however soon it comes.
 */
export function hasAlready(day: readonly StoredEvent[], callback: BanEvent): boolean {
  const oldest = timestampOf(eventMs(callback.timestamp) - AFTER_MS)
  for (let at = day.length - 1; at >= 0; at--) {
    const event = day[at]
    // Timestamps sort as text.
    if (event === undefined || event.timestamp < oldest) return false
    if (event.ip !== callback.ip || event.jail !== callback.jail || !isNear(callback, event)) continue
    if (event.action === callback.action) return !isCallback(event) || event.timestamp === callback.timestamp
    if ((event.action === 'Unban') !== (callback.action === 'Unban')) return false
  }
  return false
}

/** A day with further events at their places by time; those that are there keep their order. */
export function inOrder(day: readonly StoredEvent[], more: readonly StoredEvent[]): StoredEvent[] {
  const backwards: StoredEvent[] = []
  let at = day.length
  const latestFirst = [...more].sort((a, b) => compare(a.timestamp, b.timestamp)).reverse()
  for (const event of latestFirst) {
    for (; at > 0; at--) {
      const before = day[at - 1]
      if (before === undefined || before.timestamp <= event.timestamp) break
      backwards.push(before)
    }
    backwards.push(event)
  }
  return [...day.slice(0, at), ...backwards.reverse()]
}

/** Whether fail2ban itself told of it, and no file has had it yet. */
export function isCallback(event: StoredEvent): boolean {
  return event.via === 'callback'
}

function isNear(callback: BanEvent, logged: BanEvent): boolean {
  const after = eventMs(callback.timestamp) - eventMs(logged.timestamp)
  return after >= -BEFORE_MS && after <= AFTER_MS
}

/** As a day's file has it, without the fraction: the beginning of that second. Empty for no time. */
function timestampOf(ms: number): string {
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

/** The events of an upload that were not there before. Usually it is what was there and some more. */
function without(upload: readonly BanEvent[], known: readonly BanEvent[]): BanEvent[] {
  let same = 0
  for (; same < known.length && same < upload.length; same++) {
    const [one, other] = [known[same], upload[same]]
    if (one === undefined || other === undefined || !isSame(one, other)) break
  }
  const rest = upload.slice(same)
  if (same === known.length) return rest
  const keyOf = ({ timestamp, action, ip, jail }: BanEvent) => JSON.stringify([timestamp, action, ip, jail])
  const before = new Set(known.slice(same).map(keyOf))
  return rest.filter(event => !before.has(keyOf(event)))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function isSame(one: BanEvent, other: BanEvent): boolean {
  return (
    one.timestamp === other.timestamp &&
    one.ip === other.ip &&
    one.action === other.action &&
    one.jail === other.jail
  )
}
