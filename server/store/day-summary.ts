import { EVENT_ACTIONS } from '../../common/shapes.js'
import type { DayNumbers } from './day-numbers.js'

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

const BAN = EVENT_ACTIONS.indexOf('Ban')
const UNBAN = EVENT_ACTIONS.indexOf('Unban')
const INCREASE = EVENT_ACTIONS.indexOf('Increase Ban')
const RESTORE = EVENT_ACTIONS.indexOf('Restore Ban')
const HOURS = 24
const MINUTES = HOURS * 60

/**
 * Sums a day up.
 * @param addresses how many the book has by now
 * @param least bans of a jail in a minute that make a burst; Infinity for none
 */
export function summarise(day: DayNumbers, addresses: number, least: number): DaySummary {
  const counts = new Uint32Array(EVENT_ACTIONS.length)
  for (let at = 0; at < day.actions.length; at++) add(counts, day.actions[at])
  const bans = bansByMinute(day)
  const hours = Array.from(
    { length: HOURS },
    (_, hour) => bans.before(hour * 60 + 60) - bans.before(hour * 60)
  )
  return {
    bans: counts[BAN] ?? 0,
    unbans: counts[UNBAN] ?? 0,
    increases: counts[INCREASE] ?? 0,
    restores: counts[RESTORE] ?? 0,
    hours,
    jails: jailsOf(day),
    ...addressesOf(day, addresses),
    bursts: burstsOf(day, bans, least)
  }
}

function add(counts: Uint32Array, place = 0): void {
  counts[place] = (counts[place] ?? 0) + 1
}

function jailsOf({ actions, jails, names }: DayNumbers): Map<string, JailNumbers> {
  const bans = new Uint32Array(names.length)
  const unbans = new Uint32Array(names.length)
  for (let at = 0; at < actions.length; at++) {
    if (actions[at] === BAN) add(bans, jails[at])
    else if (actions[at] === UNBAN) add(unbans, jails[at])
  }
  const found = new Map<string, JailNumbers>()
  for (const [at, name] of names.entries()) {
    const numbers = { bans: bans[at] ?? 0, unbans: unbans[at] ?? 0 }
    if (numbers.bans + numbers.unbans > 0) found.set(name, numbers)
  }
  return found
}

/** Different addresses and their bans: a place for every address of the book, and no search, however many there are. */
function addressesOf({ ids, actions }: DayNumbers, addresses: number): Pick<DaySummary, 'ids' | 'bansOf'> {
  const found = new Uint32Array(ids.length)
  const bans = new Uint32Array(ids.length)
  /** By address, its place in both, from 1. */
  const places = new Uint32Array(addresses)
  let count = 0
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] ?? 0
    let place = places[id] ?? 0
    if (place === 0) {
      found[count] = id
      places[id] = place = ++count
    }
    if (actions[at] === BAN) add(bans, place - 1)
  }
  const different = found.slice(0, count).sort()
  const bansOf = new Uint32Array(count)
  for (let at = 0; at < count; at++) bansOf[at] = bans[(places[different[at] ?? 0] ?? 0) - 1] ?? 0
  return { ids: different, bansOf }
}

/** Places of a day's bans in the order of their minutes. */
interface BansByMinute {
  order: Uint32Array
  /** How many stand before a minute. */
  before: (minute: number) => number
}

/** Each is counted and put into its place; the shape of a timestamp has room for minutes that no day has. */
function bansByMinute({ actions, minutes }: DayNumbers): BansByMinute {
  const ends = new Uint32Array(MINUTES)
  for (let at = 0; at < actions.length; at++) if (actions[at] === BAN) add(ends, minutes[at])
  for (let minute = 1; minute < MINUTES; minute++)
    ends[minute] = (ends[minute] ?? 0) + (ends[minute - 1] ?? 0)
  const next = new Uint32Array(MINUTES)
  next.set(ends.subarray(0, MINUTES - 1), 1)
  const order = new Uint32Array(ends[MINUTES - 1] ?? 0)
  for (let at = 0; at < actions.length; at++) {
    const minute = minutes[at] ?? 0
    if (actions[at] !== BAN || minute >= MINUTES) continue
    order[next[minute] ?? 0] = at
    add(next, minute)
  }
  return { order, before: minute => ends[minute - 1] ?? 0 }
}

/**
 * Minute by minute, in the order in which jails first banned. A count for every jail and minute would be a host's to
 * blow up: it may name a million jails.
 */
function burstsOf(
  { jails, ids, names }: DayNumbers,
  { order, before }: BansByMinute,
  least: number
): Burst[] {
  const bursts: Burst[] = []
  const bans = new Uint32Array(names.length)
  for (let minute = 0; minute < MINUTES; minute++) {
    const [from, to] = [before(minute), before(minute + 1)]
    if (to - from < least) continue
    const those = order.subarray(from, to)
    for (const at of those) add(bans, jails[at])
    const addresses = new Map<number, Set<number>>()
    for (const at of those) {
      const jail = jails[at] ?? 0
      if ((bans[jail] ?? 0) >= least)
        addresses.set(jail, (addresses.get(jail) ?? new Set()).add(ids[at] ?? 0))
    }
    for (const [jail, different] of addresses) {
      const burst = { minute: clockFace(minute), events: bans[jail] ?? 0, addresses: different.size }
      bursts.push({ jail: names[jail] ?? '', ...burst })
    }
    for (const at of those) bans[jails[at] ?? 0] = 0
  }
  return bursts
}

/** `HH:MM` */
function clockFace(minute: number): string {
  const two = (number: number) => String(Math.floor(number)).padStart(2, '0')
  return `${two(minute / 60)}:${two(minute % 60)}`
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
