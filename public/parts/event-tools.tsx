import { markOf, type Filtered } from '../data/event-filter.js'
import { ACTIONS, stampOf, type EventTable } from '../data/event-table.js'
import { askUnblock, blockDialog, type Place } from '../state/blocking.js'
import { t } from '../state/i18n.js'
import { go } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { whitelistDialog } from '../state/whitelisting.js'
import { ExportMenu } from './export-menu.js'
import { chosenWords, Tools } from './tools.js'

const HEAD = ['timestamp', 'server', 'jail', 'action', 'ip', 'mark', 'increases'] as const

/** How many rows there are, and what can be done with those that are chosen, or with all that are shown. */
export function EventTools({
  table,
  found,
  chosen,
  onClear,
  server,
  news,
  onNews
}: {
  table: EventTable
  found: Filtered
  chosen: ReadonlySet<number>
  onClear: () => void
  server: string
  /** Events that are held back. */
  news: number
  onNews: () => void
}) {
  const some = chosen.size > 0
  const rows = some ? found.rows.filter(row => chosen.has(row)) : found.rows
  const places = some ? placesOf(table, rows) : { ips: [], jails: [], servers: server === '' ? [] : [server] }
  return (
    <Tools
      count={
        some
          ? chosenWords(rows.length, places.ips.length)
          : t(found.rows.length === found.of ? 'events.count.all' : 'events.count', {
              ...{ n: found.rows.length, all: found.of, ips: t('count.ips', { n: found.addresses }) }
            })
      }
      onClear={some ? onClear : undefined}
      news={
        news > 0 && (
          <button type="button" class="news small" onClick={onNews}>
            ↑ {t('events.new', { n: news })}
          </button>
        )
      }
    >
      {mayChange.value && (
        <button
          type="button"
          class={some ? 'primary' : ''}
          data-block
          onClick={() => (blockDialog.value = places)}
        >
          {some ? t('select.block') : t('lists.add')}
        </button>
      )}
      {mayChange.value && some && (
        <button type="button" onClick={() => void askUnblock({ places: eachOf(table, rows), entries: [] })}>
          {t('select.unblock')}
        </button>
      )}
      {mayChange.value && some && (
        <button type="button" onClick={() => (whitelistDialog.value = { ips: places.ips })}>
          {t('select.whitelist')}
        </button>
      )}
      {some && (
        <button type="button" onClick={() => go(addressesHref(places.ips))}>
          {t('select.info')}
        </button>
      )}
      <ExportMenu
        name="events"
        head={HEAD}
        rows={() => Array.from(rows, row => textsOf(table, row))}
        lines={() => Array.from(rows, row => textsOf(table, row).slice(0, 5).join('\t'))}
      />
    </Tools>
  )
}

function placesOf(
  table: EventTable,
  rows: Uint32Array
): { ips: string[]; jails: string[]; servers: string[] } {
  const ips = new Set<string>()
  const jails = new Set<string>()
  const servers = new Set<string>()
  for (const row of rows) {
    ips.add(table.ips[table.ip[row] ?? 0] ?? '')
    jails.add(table.jails[table.jail[row] ?? 0] ?? '')
    servers.add(table.servers[table.server[row] ?? 0] ?? '')
  }
  return { ips: [...ips], jails: [...jails], servers: [...servers] }
}

function eachOf(table: EventTable, rows: Uint32Array): Place[] {
  return Array.from(rows, row => ({
    server: table.servers[table.server[row] ?? 0] ?? '',
    jail: table.jails[table.jail[row] ?? 0] ?? '',
    ip: table.ips[table.ip[row] ?? 0] ?? ''
  }))
}

/** The address page for several addresses. */
export function addressesHref(ips: readonly string[]): string {
  const params = new URLSearchParams({ view: 'address' })
  for (const ip of ips.slice(0, 50)) params.append('ip', ip)
  return `?${params.toString()}`
}

function textsOf(table: EventTable, row: number): string[] {
  return [
    stampOf(table, row),
    table.servers[table.server[row] ?? 0] ?? '',
    table.jails[table.jail[row] ?? 0] ?? '',
    ACTIONS[table.action[row] ?? 0] ?? '',
    table.ips[table.ip[row] ?? 0] ?? '',
    markOf(table, row),
    String(table.increases[row] ?? 0)
  ]
}
