import type { BanEvent } from '../../common/shapes.js'
import type { AddressBook } from './address-book.js'

/** Numbers of one jail on one day. */
export interface JailNumbers {
  bans: number
  unbans: number
}

/** A minute in which a jail banned at least as often as a warning needs. */
export interface Burst {
  jail: string
  /** `HH:MM` on the host's clock. */
  minute: string
  events: number
  addresses: number
}

/** What statistics need of a day, some hundred times smaller than the day. */
export interface DaySummary {
  bans: number
  unbans: number
  increases: number
  restores: number
  /** Bans by hour of the host's clock. */
  hours: number[]
  jails: Map<string, JailNumbers>
  /** Numbers of the day's addresses in the `AddressBook`, ascending, and how often each was banned. */
  ids: Uint32Array
  bansOf: Uint32Array
  bursts: Burst[]
}

/** Sums a day up. @param least bans of a jail in a minute that make a burst; Infinity for none */
export function summarise(events: readonly BanEvent[], book: AddressBook, least: number): DaySummary {
  const counts = { Ban: 0, Unban: 0, 'Increase Ban': 0, 'Restore Ban': 0 }
  const hours = new Array<number>(24).fill(0)
  const jails = new Map<string, JailNumbers & { minutes: Uint32Array }>()
  const idOf = new Uint32Array(events.length)
  let at = 0
  for (const { action, ip, jail, timestamp } of events) {
    counts[action]++
    idOf[at++] = book.idOf(ip)
    const ban = action === 'Ban'
    if (!ban && action !== 'Unban') continue
    let numbers = jails.get(jail)
    if (numbers === undefined) {
      numbers = { bans: 0, unbans: 0, minutes: new Uint32Array(MINUTES) }
      jails.set(jail, numbers)
    }
    numbers[ban ? 'bans' : 'unbans']++
    if (!ban) continue
    const minute = minuteOf(timestamp)
    const hour = Math.floor(minute / 60)
    hours[hour] = (hours[hour] ?? 0) + 1
    numbers.minutes[minute] = (numbers.minutes[minute] ?? 0) + 1
  }
  const ids = differentOf(idOf, book.size)
  // A place for every address of the book, and no search, however many there are.
  const bansById = new Uint32Array(book.size)
  for (let at = 0; at < events.length; at++) {
    const id = idOf[at] ?? 0
    if (events[at]?.action === 'Ban') bansById[id] = (bansById[id] ?? 0) + 1
  }
  const bansOf = ids.map(id => bansById[id] ?? 0)
  return {
    bans: counts.Ban,
    unbans: counts.Unban,
    increases: counts['Increase Ban'],
    restores: counts['Restore Ban'],
    hours,
    jails: new Map([...jails].map(([jail, { bans, unbans }]) => [jail, { bans, unbans }])),
    ids,
    bansOf,
    bursts: burstsOf(events, new Map([...jails].map(([jail, { minutes }]) => [jail, minutes])), least)
  }
}

const MINUTES = 24 * 60

/** Different numbers, ascending. */
function differentOf(ids: Uint32Array, size: number): Uint32Array {
  const seen = new Uint8Array(size)
  const found = new Uint32Array(ids.length)
  let count = 0
  for (const id of ids) {
    if (seen[id] === 1) continue
    seen[id] = 1
    found[count++] = id
  }
  return found.slice(0, count).sort()
}

/** Minutes since midnight; the store's shape check has seen that digits stand there. */
function minuteOf(timestamp: string): number {
  const digit = (at: number) => timestamp.charCodeAt(at) - 48
  return (digit(11) * 10 + digit(12)) * 60 + digit(14) * 10 + digit(15)
}

/** Few minutes are bursts, most days have none: only for those are the addresses told apart. */
function burstsOf(
  events: readonly BanEvent[],
  bansOf: ReadonlyMap<string, Uint32Array>,
  least: number
): Burst[] {
  const found = new Map<string, { burst: Burst; ips: Set<string> }>()
  const isBurst = (jail: string, minute: number) => (bansOf.get(jail)?.[minute] ?? 0) >= least
  if (![...bansOf.values()].some(minutes => minutes.some(bans => bans >= least))) return []
  for (const { action, ip, jail, timestamp } of events) {
    if (action !== 'Ban' || !isBurst(jail, minuteOf(timestamp))) continue
    const minute = timestamp.slice(11, 16)
    const key = `${minute}${jail}`
    const one = found.get(key) ?? { burst: { jail, minute, events: 0, addresses: 0 }, ips: new Set() }
    found.set(key, one)
    one.burst.events++
    one.ips.add(ip)
  }
  return [...found.values()].map(({ burst, ips }) => ({ ...burst, addresses: ips.size }))
}

/** How often an address was banned that day; undefined when it had no event at all. */
export function bansOn({ ids, bansOf }: DaySummary, id: number): number | undefined {
  let [from, to] = [0, ids.length - 1]
  while (from <= to) {
    const middle = (from + to) >> 1
    const found = ids[middle] ?? 0
    if (found === id) return bansOf[middle]
    if (found < id) from = middle + 1
    else to = middle - 1
  }
  return undefined
}
