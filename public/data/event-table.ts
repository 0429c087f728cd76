import type { Columns } from './shapes.js'

/** fail2ban's actions, by the numbers the server uses. */
export const ACTIONS = ['Ban', 'Unban', 'Increase Ban', 'Restore Ban'] as const
export const INCREASE = ACTIONS.indexOf('Increase Ban')

/** Events of any number of days and servers, by column; one place in each column is one event. */
export interface EventTable {
  length: number
  server: Uint16Array
  day: Uint16Array
  /** Milliseconds since midnight on the host's clock. */
  time: Int32Array
  action: Uint8Array
  ip: Uint32Array
  jail: Uint16Array
  servers: string[]
  /** `YYYYMMDD`. */
  days: string[]
  ips: string[]
  jails: string[]
  /** 1 where the row's address was banned or unbanned more than once by its server in these days: 🔴. */
  repeated: Uint8Array
  /** How often the ban of the row's address was increased there: 🟡 (n). */
  increases: Uint16Array
}

/** Puts days together. */
export function tableOf(parts: readonly Columns[]): EventTable {
  const length = parts.reduce((sum, part) => sum + part.time.length, 0)
  const servers = new Dictionary()
  const days = new Dictionary()
  const ips = new Dictionary()
  const jails = new Dictionary()
  const table = {
    length,
    server: new Uint16Array(length),
    day: new Uint16Array(length),
    time: new Int32Array(length),
    action: new Uint8Array(length),
    ip: new Uint32Array(length),
    jail: new Uint16Array(length)
  }
  let row = 0
  for (const part of parts) {
    const server = servers.of(part.server)
    const day = days.of(part.day)
    const ipOf = part.ips.map(text => ips.of(text))
    const jailOf = part.jails.map(text => jails.of(text))
    let time = 0
    for (let at = 0; at < part.time.length; at++, row++) {
      time += part.time[at] ?? 0
      table.server[row] = server
      table.day[row] = day
      table.time[row] = time
      table.action[row] = part.action[at] ?? 0
      table.ip[row] = ipOf[part.ip[at] ?? 0] ?? 0
      table.jail[row] = jailOf[part.jail[at] ?? 0] ?? 0
    }
  }
  const texts = { servers: servers.texts, days: days.texts, ips: ips.texts, jails: jails.texts }
  return { ...table, ...texts, ...marksOf(table, ips.texts.length, servers.texts.length) }
}

/** A mark is told of an address on one server: all its rows there have the same. */
function marksOf(
  table: Pick<EventTable, 'length' | 'server' | 'ip' | 'action'>,
  ips: number,
  servers: number
): Pick<EventTable, 'repeated' | 'increases'> {
  const counts = [0, 1, 2].map(() => new Uint16Array(ips * servers))
  const place = (row: number) => (table.server[row] ?? 0) * ips + (table.ip[row] ?? 0)
  for (let row = 0; row < table.length; row++) {
    const count = counts[table.action[row] ?? 0]
    if (count === undefined) continue
    const at = place(row)
    count[at] = Math.min(65_535, (count[at] ?? 0) + 1)
  }
  const [bans, unbans, more] = counts
  const repeated = new Uint8Array(table.length)
  const increases = new Uint16Array(table.length)
  for (let row = 0; row < table.length; row++) {
    const at = place(row)
    repeated[row] = (bans?.[at] ?? 0) > 1 || (unbans?.[at] ?? 0) > 1 ? 1 : 0
    increases[row] = more?.[at] ?? 0
  }
  return { repeated, increases }
}

/** `HH:MM:SS`. */
export function clockFace(time: number): string {
  const second = Math.floor(time / 1000)
  return [second / 3600, (second / 60) % 60, second % 60].map(part => two(Math.floor(part))).join(':')
}

/** `YYYY-MM-DD HH:MM:SS,mmm`, as fail2ban has logged it. */
export function stampOf(table: EventTable, row: number): string {
  const time = table.time[row] ?? 0
  const day = dashed(table.days[table.day[row] ?? 0] ?? '')
  return `${day} ${clockFace(time)},${String(time % 1000).padStart(3, '0')}`
}

/** `YYYY-MM-DD` of `YYYYMMDD`. */
export function dashed(day: string): string {
  return `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6, 8)}`
}

function two(part: number): string {
  return String(part).padStart(2, '0')
}

class Dictionary {
  readonly texts: string[] = []
  readonly #numbers = new Map<string, number>()

  of(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.texts.push(text) - 1)
    return this.texts.length - 1
  }
}
