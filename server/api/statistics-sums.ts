import { dayOfEventsFile, type ServerName } from '../../common/names.js'
import type { AddressBook } from '../store/address-book.js'
import { bansOn, type DaySummary } from '../store/day-summary.js'
import type { SummedDay } from '../store/summaries.js'
import type { Statistics } from './statistics.js'

/** Addresses that the lists of top addresses name. */
const TOP = 25

type Top = Statistics['top']['today'][number]

interface Summed {
  days: readonly SummedDay[]
  book: AddressBook
}

/**
 * Adds days up.
 * @param calendar the days looked back on, oldest first, the last is today; `YYYYMMDD`
 * @param countryOf an address's country
 * @param critical bans of a jail in a minute that are critical; undefined while warnings are off
 */
export function statisticsOf(
  { days, book }: Summed,
  servers: readonly ServerName[],
  calendar: readonly string[],
  critical: number | undefined,
  countryOf: (ip: string) => string | null
): Omit<Statistics, 'success' | 'time' | 'hour'> {
  const place = new Map(calendar.map((day, at) => [day, at]))
  const last = calendar.length - 1
  /** Days from `from` to `to` before today, both included. */
  const span = (from: number, to: number) =>
    days.filter(({ day }) => {
      const ago = last - (place.get(dayOfEventsFile(day)) ?? -Infinity)
      return ago <= from && ago >= to
    })
  const spans = { today: span(0, 0), yesterday: span(1, 1), days7: span(6, 0), days30: span(29, 0) }
  const before = span(7, 1)
  const counted = {
    today: addressesOf(spans.today, book.size),
    yesterday: addressesOf(spans.yesterday, book.size),
    days7: addressesOf(spans.days7, book.size),
    days30: addressesOf(spans.days30, book.size)
  }
  const numbers = (name: keyof typeof spans) => ({
    bans: total(spans[name], 'bans'),
    unbans: total(spans[name], 'unbans'),
    addresses: counted[name].different
  })
  const withCountry = (one: Omit<Top, 'country'>): Top => ({ ...one, country: countryOf(one.ip) })
  return {
    today: calendar[last] ?? '',
    periods: {
      today: numbers('today'),
      yesterday: numbers('yesterday'),
      days7: numbers('days7'),
      days30: numbers('days30')
    },
    mean7: mean(before),
    jails: { today: jailsOf(spans.today), days7: jailsOf(spans.days7), days30: jailsOf(spans.days30) },
    top: {
      today: topOf(spans.today, counted.today.bans, book).map(withCountry),
      days7: topOf(spans.days7, counted.days7.bans, book).map(withCountry),
      days30: topOf(spans.days30, counted.days30.bans, book).map(withCountry)
    },
    days: calendar.map((day, at) => {
      const those = span(last - at, last - at)
      return {
        day,
        bans: total(those, 'bans'),
        unbans: total(those, 'unbans'),
        increases: total(those, 'increases'),
        hours: hoursOf(those)
      }
    }),
    servers: servers.map(server => {
      const own = (some: readonly SummedDay[]) => some.filter(one => one.server === server)
      const bursts = own(spans.today).flatMap(one => one.summary.bursts)
      const reached = bursts.filter(burst => critical !== undefined && burst.events >= critical).length
      return {
        server,
        today: total(own(spans.today), 'bans'),
        yesterday: total(own(spans.yesterday), 'bans'),
        mean7: mean(own(before)),
        warnings: bursts.length - reached,
        critical: reached,
        hours: [...hoursOf(own(spans.yesterday)), ...hoursOf(own(spans.today))]
      }
    })
  }
}

function total(days: readonly SummedDay[], what: 'bans' | 'unbans' | 'increases'): number {
  return days.reduce((sum, { summary }) => sum + summary[what], 0)
}

/** Bans a day, over the days there are. */
function mean(days: readonly SummedDay[]): number {
  const different = new Set(days.map(one => one.day)).size
  return different === 0 ? 0 : Math.round((total(days, 'bans') / different) * 10) / 10
}

function hoursOf(days: readonly SummedDay[]): number[] {
  const hours = new Array<number>(24).fill(0)
  for (const { summary } of days)
    summary.hours.forEach((bans, hour) => (hours[hour] = (hours[hour] ?? 0) + bans))
  return hours
}

function jailsOf(days: readonly SummedDay[]): Statistics['jails']['today'] {
  const jails = new Map<string, { jail: string; bans: number; unbans: number }>()
  for (const { summary } of days) {
    for (const [jail, { bans, unbans }] of summary.jails) {
      const sum = jails.get(jail) ?? { jail, bans: 0, unbans: 0 }
      jails.set(jail, { jail, bans: sum.bans + bans, unbans: sum.unbans + unbans })
    }
  }
  return [...jails.values()].sort((a, b) => b.bans - a.bans || (a.jail < b.jail ? -1 : 1))
}

/** Bans by address number, in one array over all addresses: a month of a fleet is added up in milliseconds. */
function addressesOf(days: readonly SummedDay[], size: number): { bans: Uint32Array; different: number } {
  const bans = new Uint32Array(size)
  for (const { summary } of days) forEachBanned(summary, (id, times) => (bans[id] = (bans[id] ?? 0) + times))
  let different = 0
  for (const times of bans) if (times > 0) different++
  return { bans, different }
}

function forEachBanned({ ids, bansOf }: DaySummary, tell: (id: number, times: number) => void): void {
  for (let at = 0; at < ids.length; at++) {
    const times = bansOf[at] ?? 0
    if (times > 0) tell(ids[at] ?? 0, times)
  }
}

function topOf(days: readonly SummedDay[], bans: Uint32Array, book: AddressBook): Omit<Top, 'country'>[] {
  let best: number[] = []
  let least = 0
  for (let id = 0; id < bans.length; id++) {
    if ((bans[id] ?? 0) <= least) continue
    best.push(id)
    if (best.length < 4 * TOP) continue
    best = firsts(best, bans)
    least = bans[best.at(-1) ?? 0] ?? 0
  }
  return firsts(best, bans).map(id => {
    const seen = days.filter(({ summary }) => (bansOn(summary, id) ?? 0) > 0)
    const servers = new Set(seen.map(one => one.server)).size
    return { ip: book.textOf(id), bans: bans[id] ?? 0, servers, days: new Set(seen.map(one => one.day)).size }
  })
}

function firsts(ids: readonly number[], bans: Uint32Array): number[] {
  return [...ids].sort((a, b) => (bans[b] ?? 0) - (bans[a] ?? 0) || a - b).slice(0, TOP)
}
