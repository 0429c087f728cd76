import { sortKey } from './ip.js'
import type { BlocklistEntry, Entries } from './shapes.js'
import { timeOf } from './time.js'

export const ENTRY_STATES = ['active', 'pendingBlock', 'pendingUnblock', 'expired', 'inactive'] as const
export type EntryState = (typeof ENTRY_STATES)[number]

/** An entry with the list it stands in. */
export interface EntryRow {
  server: string
  jail: string
  entry: BlocklistEntry
  state: EntryState
}

/** What is wanted to be seen; empty wants everything. */
export interface EntryFilter {
  /** An EntryState, or `pending` for both that wait. */
  state: string
  text: string
  /** Days in the reader's zone, `YYYY-MM-DD`. */
  since: string
}

export const ENTRY_COLUMNS = ['ip', 'state', 'server', 'jail', 'since', 'ends', 'reason'] as const
export type EntryColumn = (typeof ENTRY_COLUMNS)[number]

/** The state of an entry (sync-contract.md §4, §5.7). @param now the server's time, milliseconds */
export function stateOf(entry: BlocklistEntry, now: number): EntryState {
  const ended = timeOf(entry.expires) <= now
  const wanted = entry.active !== false && !ended
  if (entry.pending === true) return wanted ? 'pendingBlock' : 'pendingUnblock'
  if (entry.active === false) return 'inactive'
  return ended ? 'expired' : 'active'
}

/** What tells an entry from all others. */
export function keyOf(row: EntryRow | undefined): string {
  return row === undefined ? '' : `${row.server}\n${row.jail}\n${row.entry.ip}`
}

/** All entries of some lists. @param now the server's time, milliseconds */
export function rowsOf(lists: readonly Entries[], now: number): EntryRow[] {
  return lists.flatMap(({ server, jail, entries }) =>
    entries.map(entry => ({ server, jail, entry, state: stateOf(entry, now) }))
  )
}

/** Rows that pass text and date, and of those the number in each state. */
export function filterEntries(
  rows: readonly EntryRow[],
  filter: EntryFilter
): { rows: EntryRow[]; counts: Record<EntryState, number> } {
  const counts: Record<EntryState, number> = {
    ...{ active: 0, pendingBlock: 0, pendingUnblock: 0 },
    ...{ expired: 0, inactive: 0 }
  }
  const text = filter.text.trim().toLowerCase()
  const since = filter.since === '' ? -Infinity : Date.parse(`${filter.since}T00:00`)
  const found = rows.filter(row => {
    const { entry } = row
    if (since > -Infinity && !(timeOf(entry.timestamp) >= since)) return false
    if (text !== '' && !textOf(row).includes(text)) return false
    counts[row.state]++
    return (
      filter.state === '' ||
      filter.state === row.state ||
      (filter.state === 'pending' && entry.pending === true)
    )
  })
  return { rows: found, counts }
}

function textOf({ entry, jail }: EntryRow): string {
  return [entry.ip, entry.reason, entry.source, jail, ...(entry.tags ?? [])].join('\n').toLowerCase()
}

/** Sorts by a column, then newest first. */
export function sortEntries(rows: readonly EntryRow[], column: EntryColumn, descending: boolean): EntryRow[] {
  const sign = descending ? -1 : 1
  const keyed = rows.map(row => ({
    row,
    key: orderKey(row, column),
    when: timeOf(row.entry.timestamp) || 0
  }))
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : b.when - a.when))
  return keyed.map(one => one.row)
}

function orderKey(row: EntryRow, column: EntryColumn): string | number | bigint {
  switch (column) {
    case 'ip':
      return sortKey(row.entry.ip)
    case 'state':
      return ENTRY_STATES.indexOf(row.state)
    case 'since':
      return timeOf(row.entry.timestamp) || 0
    case 'ends':
      return timeOf(row.entry.expires) || Infinity
    case 'reason':
      return (row.entry.reason ?? '').toLowerCase()
    default:
      return row[column]
  }
}
