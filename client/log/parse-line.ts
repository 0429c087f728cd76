import { parseAddress } from '../../common/address.js'
import type { Clock } from '../../common/clock.js'
import type { BanEvent, EventAction } from '../../common/shapes.js'

/** A line that is an event, one that bans something that is no IP (fail2ban bans any id), or neither. */
export type ParsedLine = { event: BanEvent } | { event?: undefined; noAddress: boolean }

const NOTHING: ParsedLine = { noAddress: false }

// What stands before `[jail]`: a date in one of three forms, then host, logger, pid, level. No opening bracket
// but a pid's: text an attacker chose comes only behind the jail, so the first other bracket is the jail's.
const LINE =
  /^(?:(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:[,.](\d{1,9}))?(?:Z|[+-]\d{2}:?\d{2})?|([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}:\d{2}:\d{2}))\s((?:[^[\]]|\[\d+\])*?)\[([^\]]+)\] (Ban|Unban|Increase Ban|Restore Ban|Repeal Ban) (\S+)(.*)$/u

// At a stop, 1.1.1 and later log `Repeal Ban` where versions before logged `Unban`: the address is let in.
const ACTIONS: Record<string, EventAction> = {
  Ban: 'Ban',
  Unban: 'Unban',
  'Increase Ban': 'Increase Ban',
  'Restore Ban': 'Restore Ban',
  'Repeal Ban': 'Unban'
}
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * Reads one line of fail2ban's log: file, syslog or journal form of every version. The time is kept as it stands
 * there (the host's local time), written as `YYYY-MM-DD HH:MM:SS,mmm`.
 * @param clock tells the year of syslog's dates, which have none
 */
export function parseLine(line: string, clock: Clock): ParsedLine {
  const found = LINE.exec(line)
  if (found === null) return NOTHING
  const [
    ,
    date,
    time,
    fraction,
    month,
    day,
    syslogTime,
    prefix = '',
    jail = '',
    word = '',
    id = '',
    tail = ''
  ] = found
  const action = ACTIONS[word]
  if (action === undefined || !fromActions(prefix) || !tailFits(action, tail)) return NOTHING
  const when =
    date === undefined
      ? syslogDate(month ?? '', Number(day), syslogTime ?? '', clock)
      : `${date} ${time ?? ''}`
  if (when === undefined) return NOTHING
  const ip = parseAddress(id)
  if (ip === undefined) return { noAddress: true }
  return { event: { timestamp: `${when},${(fraction ?? '').slice(0, 3).padEnd(3, '0')}`, action, ip, jail } }
}

/** The logger, where one is named, must be the one that bans; filter and observer lines only look alike. */
function fromActions(prefix: string): boolean {
  const loggers = prefix.match(/fail2ban(?:[.-][a-z]+)?/gi) ?? []
  return loggers.every(logger =>
    ['fail2ban', 'fail2ban.actions', 'fail2ban-server'].includes(logger.toLowerCase())
  )
}

// `Increase Ban` alone says more: `(2 # 2h -> 2026-03-01 12:00:00)`.
function tailFits(action: EventAction, tail: string): boolean {
  return action === 'Increase Ban' ? /^\s*(\(.*\))?\s*$/.test(tail) : /^\s*$/.test(tail)
}

/** The latest such day that is not in the future (a day's grace for clocks that differ). */
function syslogDate(month: string, day: number, time: string, clock: Clock): string | undefined {
  const at = MONTHS.indexOf(month)
  if (at < 0 || day < 1 || day > 31) return undefined
  const now = clock()
  let year = new Date(now).getFullYear()
  if (new Date(year, at, day).getTime() > now + 86_400_000) year--
  return `${year}-${String(at + 1).padStart(2, '0')}-${String(day).padStart(2, '0')} ${time}`
}
