import { sortKey } from './ip.js'
import type { WhitelistEntry } from './shapes.js'
import { timeOf } from './time.js'

export const WHITE_COLUMNS = ['ip', 'description', 'where', 'since', 'by', 'ends'] as const
export type WhiteColumn = (typeof WHITE_COLUMNS)[number]

/** True for an entry that holds no more. @param now milliseconds */
export function isOver(entry: WhitelistEntry, now: number): boolean {
  return timeOf(entry.expires) <= now
}

/** Where an entry holds; empty for everywhere. */
export function placesOf(entry: WhitelistEntry): string[] {
  return entry.servers ?? []
}

/** Entries that have the text anywhere, and hold on the server (any where it is empty), sorted. */
export function whiteRows(
  entries: readonly WhitelistEntry[],
  wanted: { text: string; server: string; column: WhiteColumn; descending: boolean }
): WhitelistEntry[] {
  const text = wanted.text.trim().toLowerCase()
  const found = entries.filter(entry => {
    const places = placesOf(entry)
    if (wanted.server !== '' && places.length > 0 && !places.includes(wanted.server)) return false
    return text === '' || textOf(entry).includes(text)
  })
  const sign = wanted.descending ? -1 : 1
  const keyed = found.map(entry => ({ entry, key: orderKey(entry, wanted.column) }))
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0))
  return keyed.map(one => one.entry)
}

function textOf({ ip, description, addedBy, servers }: WhitelistEntry): string {
  return [ip, description, addedBy, ...(servers ?? [])].join('\n').toLowerCase()
}

function orderKey(entry: WhitelistEntry, column: WhiteColumn): string | number | bigint {
  switch (column) {
    case 'ip':
      return sortKey(entry.ip)
    case 'since':
      return timeOf(entry.addedAt) || 0
    case 'ends':
      return timeOf(entry.expires) || Infinity
    case 'by':
      return (entry.addedBy ?? '').toLowerCase()
    case 'where':
      return placesOf(entry).join()
    default:
      return (entry.description ?? '').toLowerCase()
  }
}
