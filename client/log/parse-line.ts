import { parseAddress } from '../../common/address.js'
import type { Clock } from '../../common/clock.js'
import type { BanEvent, EventAction } from '../../common/shapes.js'
import { isFail2bans } from './line-prefix.js'

/** A line that is an event, one that bans something that is no IP (fail2ban bans any id), or neither. */
export type ParsedLine = { event: BanEvent } | { event?: undefined; noAddress: boolean }

const NOTHING: ParsedLine = { noAddress: false }

const TIME = String.raw`(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d`
const ISO_DATE = String.raw`(\d{4}-\d{2}-\d{2})([ T])(${TIME})(?:[,.](\d{1,9}))?(?: ?(?:Z|[A-Z]{3,5}|[+-]\d{2}:?\d{2})(?=\s))?`
const SYSLOG_DATE = String.raw`([A-Z][a-z]{2}) +(\d{1,2}) (${TIME})(?:\.(\d{1,9}))?`
// Only a pid, a level or a logger stands in brackets before the jail's: text an attacker chose comes behind.
const BRACKETS = String.raw`\[(?:\d+|[A-Z]{4,8}|fail2ban[\w.-]*)\s*\]`
const MESSAGE = String.raw`\[([^\]]+)\] (Ban|Unban|Increase Ban|Restore Ban|Repeal Ban) ([^\n]+)`
const LINE = new RegExp(
  `^(?:(?:[A-Z][a-z]{2} )?${ISO_DATE}|${SYSLOG_DATE})\\s((?:[^[\\]]|${BRACKETS})*?)${MESSAGE}$`
)

// At a stop, 1.1.1 and later log `Repeal Ban` where versions before logged `Unban`: the address is let in.
const ACTIONS: Record<string, EventAction> = {
  Ban: 'Ban',
  Unban: 'Unban',
  'Increase Ban': 'Increase Ban',
  'Restore Ban': 'Restore Ban',
  'Repeal Ban': 'Unban'
}
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const DAY_MS = 86_400_000
/** What a day file takes (common/shapes.ts): one longer name would make the whole file count as corrupt. */
const LONGEST_JAIL = 256

/**
 * Reads one line of fail2ban's log: file, syslog, journal or custom form of every version (fail2ban-facts.md).
 * The time is kept as it stands there (the host's local time), written as `YYYY-MM-DD HH:MM:SS,mmm`; the address
 * gets the one spelling of common/address.ts.
 * @param clock tells the year of syslog's dates, which have none
 */
export function parseLine(line: string, clock: Clock): ParsedLine {
  const found = LINE.exec(line)
  if (found === null) return NOTHING
  const [, isoDate, between, time, fraction, month, day, syslogTime, syslogFraction] = found
  const [prefix = '', jail = '', word = '', rest = ''] = found.slice(9)
  const action = ACTIONS[word]
  const syslog = isoDate === undefined
  if (action === undefined || jail.length > LONGEST_JAIL) return NOTHING
  if (!isFail2bans(prefix, action, syslog || between === 'T')) return NOTHING
  const date = syslog ? syslogDate(month ?? '', Number(day), clock) : isoDate
  if (date === undefined || !isDay(date)) return NOTHING
  const ip = parseAddress(idOf(action, rest))
  if (ip === undefined) return { noAddress: true }
  const ms = (fraction ?? syslogFraction ?? '').slice(0, 3).padEnd(3, '0')
  return { event: { timestamp: `${date} ${time ?? syslogTime ?? ''},${ms}`, action, ip, jail } }
}

/** What was banned: all of the rest, so that an id which merely begins like an address is none. */
function idOf(action: EventAction, rest: string): string {
  // `Increase Ban` alone says more: `(2 # 2h -> 2026-03-01 12:00:00)`.
  const id = action === 'Increase Ban' ? rest.replace(/ \([^()]*\)\s*$/, '') : rest
  return id.trimEnd()
}

/** True for a day (`YYYY-MM-DD`) that the calendar has: it becomes a file's name. */
function isDay(date: string): boolean {
  const month = Number(date.slice(5, 7))
  const day = Number(date.slice(8))
  if (month < 1 || month > 12 || day < 1) return false
  return day <= 28 || day <= new Date(Date.UTC(Number(date.slice(0, 4)), month, 0)).getUTCDate()
}

/** The latest such day that is not in the future (a day's grace for clocks that differ). */
function syslogDate(monthName: string, day: number, clock: Clock): string | undefined {
  const month = MONTHS.indexOf(monthName) + 1
  const latest = clock() + DAY_MS
  const newest = new Date(latest).getFullYear()
  // 29 February may be up to eight years back.
  for (let year = newest; year > newest - 9; year--) {
    const date = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
    if (isDay(date) && new Date(year, month - 1, day).getTime() <= latest) return date
  }
  return undefined
}
