import { ACTIONS, INCREASE, type EventTable } from './event-table.js'
import { isWithin, parseIp, sortKey, type IpRange } from './ip.js'

export const MARKS = ['red', 'yellow', 'both', 'none'] as const
export type Mark = (typeof MARKS)[number]

/** What is wanted to be seen; an empty list or text wants everything. */
export interface EventFilter {
  actions: readonly string[]
  marks: readonly string[]
  jails: readonly string[]
  /** Part of an address, or a CIDR. */
  ip: string
  /** `HH:MM`, or empty. */
  minute: string
  /** Rows of the action `Increase Ban` as well. */
  increases: boolean
}

/** Rows that pass, in order, and how many would for each choice of a filter, given the others. */
export interface Filtered {
  rows: Uint32Array
  /** Rows that there are without a filter. */
  of: number
  addresses: number
  actions: Map<string, number>
  marks: Map<string, number>
  jails: Map<string, number>
}

/** The mark of a row. */
export function markOf(table: EventTable, row: number): Mark {
  const red = table.repeated[row] === 1
  const yellow = (table.increases[row] ?? 0) > 0
  return red ? (yellow ? 'both' : 'red') : yellow ? 'yellow' : 'none'
}

/** Filters in one pass. @param order rows in the order they are shown in (`orderOf`) */
export function filterEvents(table: EventTable, order: Uint32Array, filter: EventFilter): Filtered {
  const action = ACTIONS.map(name => filter.actions.length === 0 || filter.actions.includes(name))
  const jail = table.jails.map(name => filter.jails.length === 0 || filter.jails.includes(name))
  const mark = MARKS.map(name => filter.marks.length === 0 || filter.marks.includes(name))
  const ip = ipsWanted(table.ips, filter.ip)
  const minute = minuteOf(filter.minute)
  const counts = {
    action: new Uint32Array(ACTIONS.length),
    jail: new Uint32Array(table.jails.length),
    mark: new Uint32Array(MARKS.length)
  }
  const seen = new Uint8Array(table.ips.length)
  let addresses = 0
  let of = 0
  const rows = new Uint32Array(order.length)
  let found = 0
  const { repeated, increases } = table
  for (let place = 0; place < order.length; place++) {
    const row = order[place] ?? 0
    const a = table.action[row] ?? 0
    if (a === INCREASE && !filter.increases) continue
    of++
    const i = table.ip[row] ?? 0
    if (ip !== undefined && ip[i] === 0) continue
    if (minute >= 0 && Math.floor((table.time[row] ?? 0) / 60_000) !== minute) continue
    const j = table.jail[row] ?? 0
    const kind = KIND_OF[(repeated[row] === 1 ? 0 : 1) + (increases[row] === 0 ? 2 : 0)] ?? 3
    const byAction = action[a] === true
    const byJail = jail[j] === true
    const byMark = mark[kind] === true
    if (byJail && byMark) add(counts.action, a)
    if (byAction && byMark) add(counts.jail, j)
    if (byAction && byJail) add(counts.mark, kind)
    if (!(byAction && byJail && byMark)) continue
    rows[found++] = row
    if (seen[i] === 0) {
      seen[i] = 1
      addresses++
    }
  }
  return {
    rows: rows.subarray(0, found),
    of,
    addresses,
    actions: named(ACTIONS, counts.action),
    jails: named(table.jails, counts.jail),
    marks: named(MARKS, counts.mark)
  }
}

function add(counts: Uint32Array, place: number): void {
  counts[place] = (counts[place] ?? 0) + 1
}

/** Place in MARKS by (not repeated) + 2 × (not increased). */
const KIND_OF = [2, 1, 0, 3]

function named(names: readonly string[], counts: Uint32Array): Map<string, number> {
  return new Map(names.map((name, at) => [name, counts[at] ?? 0]))
}

function minuteOf(text: string): number {
  const [, hours, minutes] = /^(\d\d):(\d\d)$/.exec(text) ?? []
  return hours === undefined ? -1 : Number(hours) * 60 + Number(minutes)
}

function ipsWanted(ips: readonly string[], text: string): Uint8Array | undefined {
  const wanted = text.trim().toLowerCase()
  if (wanted === '') return undefined
  const network = wanted.includes('/') ? parseIp(wanted) : undefined
  // `Uint8Array.from` with a function takes four times as long, at each key that is typed.
  const passes = new Uint8Array(ips.length)
  for (let at = 0; at < ips.length; at++) {
    if (isWanted(ips[at] ?? '', wanted, network)) passes[at] = 1
  }
  return passes
}

function isWanted(ip: string, wanted: string, network: IpRange | undefined): boolean {
  if (network === undefined) return ip.includes(wanted)
  const one = parseIp(ip)
  return one !== undefined && isWithin(one, network)
}

export const EVENT_COLUMNS = ['time', 'action', 'mark', 'ip', 'jail', 'server'] as const
export type EventColumn = (typeof EVENT_COLUMNS)[number]

/** All rows, sorted by a column, then by time. @param descending the column's order; ties are newest first */
export function orderOf(table: EventTable, column: EventColumn, descending: boolean): Uint32Array {
  const when = Float64Array.from({ length: table.length }, (_, row) => whenOf(table, row))
  const key = keysOf(table, column, when)
  const sign = descending ? -1 : 1
  const order = Uint32Array.from({ length: table.length }, (_, row) => row)
  return order.sort((a, b) => {
    const byKey = (key[a] ?? 0) - (key[b] ?? 0)
    return byKey !== 0 ? sign * byKey : (when[b] ?? 0) - (when[a] ?? 0) || b - a
  })
}

function whenOf(table: EventTable, row: number): number {
  return Number(table.days[table.day[row] ?? 0] ?? 0) * 100_000_000 + (table.time[row] ?? 0)
}

function keysOf(table: EventTable, column: EventColumn, when: Float64Array): ArrayLike<number> {
  switch (column) {
    case 'time':
      return when
    case 'action':
      return table.action
    case 'mark':
      return Float64Array.from(
        { length: table.length },
        (_, row) => (table.repeated[row] ?? 0) * 100_000 + (table.increases[row] ?? 0)
      )
    case 'ip': {
      const rank = ranksOf(table.ips.map(sortKey))
      return Float64Array.from(table.ip, ip => rank[ip] ?? 0)
    }
    case 'jail': {
      const rank = ranksOf(table.jails)
      return Float64Array.from(table.jail, jail => rank[jail] ?? 0)
    }
    case 'server': {
      const rank = ranksOf(table.servers)
      return Float64Array.from(table.server, server => rank[server] ?? 0)
    }
  }
}

/** The place of each item among all when sorted. */
function ranksOf(items: readonly (string | bigint)[]): Float64Array {
  const sorted = items.map((_, at) => at).sort((a, b) => compare(items[a] ?? '', items[b] ?? ''))
  const rank = new Float64Array(items.length)
  sorted.forEach((at, place) => (rank[at] = place))
  return rank
}

function compare(a: string | bigint, b: string | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
