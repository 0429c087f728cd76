import { ACTIONS, stampOf, tableOf } from './event-table.js'
import { parseIp, type IpRange } from './ip.js'
import type { AddressReply, Columns, Entries, WhitelistEntry } from './shapes.js'

/** As the server tells of no more. */
const MOST_EVENTS = 1000

/** What a copy's files say of one address or network, as the server's API would tell it. */
export function addressIn(
  text: string,
  all: { columns: readonly Columns[]; lists: readonly Entries[]; whitelist: readonly WhitelistEntry[] }
): AddressReply {
  const ip = text.trim()
  const wanted = parseIp(ip)
  const meets = (other: string) => wanted !== undefined && overlap(wanted, parseIp(other))
  const same = (other: string) => {
    const range = parseIp(other)
    return range?.family === wanted?.family && range?.first === wanted?.first && range?.bits === wanted?.bits
  }
  const table = tableOf(all.columns.filter(day => day.ips.some(same)))
  const events: AddressReply['events'] = []
  for (let row = 0; row < table.length; row++) {
    if (!same(table.ips[table.ip[row] ?? 0] ?? '')) continue
    events.push({
      server: table.servers[table.server[row] ?? 0] ?? '',
      timestamp: stampOf(table, row),
      action: ACTIONS[table.action[row] ?? 0] ?? '',
      jail: table.jails[table.jail[row] ?? 0] ?? ''
    })
  }
  events.sort((a, b) => (a.timestamp < b.timestamp ? 1 : -1))
  return {
    ip,
    // The database of countries stays with the server.
    country: null,
    total: events.length,
    events: events.slice(0, MOST_EVENTS),
    entries: all.lists.flatMap(({ server, jail, entries }) =>
      entries.filter(entry => meets(entry.ip)).map(entry => ({ server, jail, entry }))
    ),
    whitelist: all.whitelist.filter(entry => meets(entry.ip))
  }
}

function overlap(one: IpRange, other: IpRange | undefined): boolean {
  return other?.family === one.family && other.first <= one.last && other.last >= one.first
}
