import type { Address } from '../../common/address.js'
import { timeOf } from '../../common/clock.js'
import type { ServerName } from '../../common/names.js'
import { historyOf, type HistoryStep } from './audit-history.js'
import { olderLines, type Line, type Place } from './audit-read.js'
import { readRow, type AuditRow } from './audit-row.js'
import type { Paths } from './folders.js'

/** Which rows are wanted; what is absent narrows nothing. */
export interface AuditFilter {
  jail?: string | undefined
  ip?: Address | undefined
  /** The host that a row of the trail of users and clients is about. */
  server?: string | undefined
  /** Milliseconds; older rows are not wanted. */
  since?: number | undefined
}

/** Some rows, newest first. */
export interface AuditPage {
  rows: AuditRow[]
  /** Where the older ones go on; undefined when there are none. There may be a `next` behind no rows at all. */
  next: Place | undefined
  /** Lines met that are no rows: torn by a crash, or by other hands. */
  unreadable: number
}

/** Bytes read for one page at most: a filter that fits nothing must not read a whole trail in one request. */
const MOST_READ = 32 * 1024 * 1024
const MOST_STEPS = 1000
/** A clock may have been set back: rows this much older than wanted don't end the search yet. */
const CLOCK_STEP_MS = 24 * 3_600_000

interface Piece {
  rows: { row: AuditRow; place: Place }[]
  next: Place | undefined
  bytes: number
  unreadable: number
}

/** Reads the audit trails from their ends backwards, piece by piece; `undefined` is that of users and clients. */
export class AuditTrails {
  constructor(private readonly paths: Paths) {}

  /** A page of a trail. @param from `next` of the page before; undefined begins with the newest row */
  async page(
    server: ServerName | undefined,
    filter: AuditFilter,
    limit: number,
    from?: Place
  ): Promise<AuditPage> {
    const page: AuditPage = { rows: [], next: from, unreadable: 0 }
    let bytes = 0
    do {
      const piece = await this.#piece(server, filter, page.next)
      page.unreadable += piece.unreadable
      page.next = piece.next
      bytes += piece.bytes
      const some = piece.rows.slice(0, limit - page.rows.length)
      page.rows.push(...some.map(({ row }) => row))
      if (some.length < piece.rows.length) page.next = some.at(-1)?.place
    } while (page.rows.length < limit && page.next !== undefined && bytes < MOST_READ)
    return page
  }

  /** All rows of a trail, one by one. @param unreadable told of lines that are no rows */
  async *rows(
    server: ServerName | undefined,
    filter: AuditFilter,
    unreadable: (lines: number) => void
  ): AsyncGenerator<AuditRow, void, undefined> {
    let next: Place | undefined
    do {
      const piece = await this.#piece(server, filter, next)
      if (piece.unreadable > 0) unreadable(piece.unreadable)
      for (const { row } of piece.rows) yield row
      next = piece.next
    } while (next !== undefined)
  }

  /** What became of one address in one list, newest first. */
  async history(server: ServerName, jail: string, ip: Address): Promise<HistoryStep[]> {
    const rows: AuditRow[] = []
    let entries = 0
    let next: Place | undefined
    do {
      const piece = await this.#piece(server, { jail }, next, ip)
      for (const { row } of piece.rows) {
        if (row.what !== 'handed-out') entries++
        // Of hand-overs with nothing of the entry in between, the last one counts.
        else if (rows.at(-1)?.what === 'handed-out') continue
        rows.push(row)
      }
      next = piece.next
    } while (next !== undefined && entries < MOST_STEPS)
    return historyOf(rows)
  }

  /** @param entry narrows to one address, but for the hand-overs of its list */
  async #piece(
    server: ServerName | undefined,
    filter: AuditFilter,
    from: Place | undefined,
    entry?: Address
  ): Promise<Piece> {
    const read = await olderLines(this.paths.audit(server), from)
    const piece: Piece = { ...read, rows: [] }
    const needles = needlesOf(filter)
    const own = entry === undefined ? '' : member('ip', entry)
    for (const { text, place } of read.lines) {
      // Text that a wanted row must have: most lines need no parsing.
      if (!needles.every(needle => text.includes(needle))) continue
      if (own !== '' && !text.includes(own) && !text.includes(HANDED_OUT)) continue
      const row = readRow(text)
      if (row === undefined) piece.unreadable++
      else if (isWanted(row, filter, entry)) piece.rows.push({ row, place })
    }
    if (filter.since !== undefined && isPast(read.lines, filter.since - CLOCK_STEP_MS)) piece.next = undefined
    return piece
  }
}

function member(name: string, value: string): string {
  return `"${name}":${JSON.stringify(value)}`
}

const HANDED_OUT = member('what', 'handed-out')

function needlesOf({ ip, jail, server }: AuditFilter): string[] {
  return Object.entries({ ip, jail, server }).flatMap(([name, value]) =>
    value === undefined ? [] : [member(name, value)]
  )
}

function isWanted(row: AuditRow, filter: AuditFilter, entry: Address | undefined): boolean {
  const { ip, jail, server, since } = filter
  if (entry !== undefined && row.what !== 'handed-out' && row.ip !== entry) return false
  if (ip !== undefined && row.ip !== ip) return false
  if (jail !== undefined && row.jail !== jail) return false
  if (server !== undefined && row.server !== server) return false
  return since === undefined || timeOf(row.time) >= since
}

/** True when the oldest of these lines was written before that time. Recovered rows are older than their place. */
function isPast(lines: readonly Line[], time: number): boolean {
  const row = readRow(lines.at(-1)?.text ?? '')
  return row !== undefined && row.recovered !== true && timeOf(row.time) < time
}
