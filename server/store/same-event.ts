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

/** Milliseconds of a timestamp of a day's file, as if it were UTC: only differences count. */
export function eventMs(timestamp: string): number {
  return Date.parse(`${timestamp.replace(' ', 'T').replace(',', '.')}Z`)
}

/** Whether events at the given time may be the same as others of the day before, or after. */
export function nearMidnight(timestamp: string): 'before' | 'after' | undefined {
  const ofDay = ((eventMs(timestamp) % 86_400_000) + 86_400_000) % 86_400_000
  if (ofDay < AFTER_MS) return 'after'
  return ofDay >= 86_400_000 - AFTER_MS ? 'before' : undefined
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

/** The callbacks that are none of these events, and the events that are one of them. */
export function matchCallbacks(
  callbacks: readonly StoredEvent[],
  events: readonly BanEvent[]
): { matched: Set<BanEvent>; left: StoredEvent[] } {
  const matched = new Set<BanEvent>()
  if (callbacks.length === 0) return { matched, left: [] }
  const subjects = new Map<string, BanEvent[]>(callbacks.map(event => [subjectOf(event), []]))
  for (const event of events) subjects.get(subjectOf(event))?.push(event)
  const left = callbacks.filter(callback => {
    const same = (subjects.get(subjectOf(callback)) ?? []).find(
      event => !matched.has(event) && event.action === callback.action && isNear(callback, event)
    )
    if (same !== undefined) matched.add(same)
    return same === undefined
  })
  return { matched, left }
}

/**
 * Whether a day has the event of a callback that comes late or twice. A ban that follows an unban is another one,
 * however soon it comes.
 */
export function hasAlready(day: readonly StoredEvent[], callback: BanEvent): boolean {
  const time = eventMs(callback.timestamp)
  for (let at = day.length - 1; at >= 0; at--) {
    const event = day[at]
    if (event === undefined || eventMs(event.timestamp) < time - AFTER_MS) return false
    if (subjectOf(event) !== subjectOf(callback) || !isNear(callback, event)) continue
    if (event.action === callback.action) return !isCallback(event) || event.timestamp === callback.timestamp
    if ((event.action === 'Unban') !== (callback.action === 'Unban')) return false
  }
  return false
}

/** A day with further events at their places by time; those that are there keep their order. */
export function inOrder(day: readonly StoredEvent[], more: readonly StoredEvent[]): StoredEvent[] {
  const result = [...day]
  for (const event of more) {
    let at = result.length
    while (at > 0 && (result[at - 1]?.timestamp ?? '') > event.timestamp) at--
    result.splice(at, 0, event)
  }
  return result
}

function isCallback(event: StoredEvent): boolean {
  return event.via === 'callback'
}

function isNear(callback: BanEvent, logged: BanEvent): boolean {
  const after = eventMs(callback.timestamp) - eventMs(logged.timestamp)
  return after >= -BEFORE_MS && after <= AFTER_MS
}

function subjectOf({ ip, jail }: BanEvent): string {
  return JSON.stringify([ip, jail])
}

/** The events of an upload that were not there before. Usually it is what was there and some more. */
function without(upload: readonly BanEvent[], known: readonly BanEvent[]): BanEvent[] {
  const keyOf = (event: BanEvent) => `${event.timestamp} ${event.action} ${subjectOf(event)}`
  let same = 0
  for (; same < known.length && same < upload.length; same++) {
    const [one, other] = [known[same], upload[same]]
    if (one === undefined || other === undefined || keyOf(one) !== keyOf(other)) break
  }
  const rest = upload.slice(same)
  if (same === known.length) return rest
  const before = new Set(known.slice(same).map(keyOf))
  return rest.filter(event => !before.has(keyOf(event)))
}
