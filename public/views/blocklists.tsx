import { useEffect, useMemo, useState } from 'preact/hooks'
import {
  ENTRY_COLUMNS,
  filterEntries,
  keyOf,
  rowsOf,
  sortEntries,
  type EntryRow
} from '../data/entry-rows.js'
import type { Entries, Overview } from '../data/shapes.js'
import { EntryCell } from '../parts/entry-cell.js'
import { EntryDetails } from '../parts/entry-details.js'
import { EntryFilters } from '../parts/entry-filters.js'
import { EntryTools } from '../parts/entry-tools.js'
import { Grid, type GridColumn } from '../parts/grid.js'
import { ServerSelect } from '../parts/server-select.js'
import { Empty, Failed, Loading } from '../parts/states.js'
import { query } from '../state/api.js'
import { t } from '../state/i18n.js'
import { useResource, useResources } from '../state/resource.js'
import { change, listParam, param, sortParam } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { timeOf } from '../data/time.js'

/** Lists that are loaded at once. */
const MOST_LISTS = 250

/** What is blocked where, and what waits. */
export function BlocklistsView() {
  const overview = useResource<Overview>('servers')
  const fleet = overview.value.value
  const server = param('server')
  const jails = listParam('jail')
  const all = (fleet?.servers ?? []).filter(one => server === '' || one.name === server)
  const lists = all
    .flatMap(one => one.lists.map(list => ({ server: one.name, jail: list.jail })))
    .filter(list => jails.length === 0 || jails.includes(list.jail))
  const tooMany = lists.length > MOST_LISTS
  const parts = useResources<Entries>(
    (tooMany ? [] : lists).map(list => ({ path: `blocklists${query(list)}`, live: true }))
  )
  const loaded = parts.map(one => one.value.value)
  const now = timeOf(fleet?.time)
  const rows = useMemo(
    () =>
      rowsOf(
        loaded.filter(one => one !== undefined),
        now
      ),
    [...padded(loaded), now]
  )
  const filter = { state: param('state'), text: param('q'), since: param('since') }
  const sort = sortParam(ENTRY_COLUMNS, 'since')
  const sorted = useMemo(
    () => sortEntries(rows, sort.column, sort.descending),
    [rows, sort.column, sort.descending]
  )
  const found = useMemo(
    () => filterEntries(sorted, filter),
    [sorted, filter.state, filter.text, filter.since]
  )
  const [chosen, setChosen] = useState<ReadonlySet<string>>(NOTHING)
  const [opened, setOpened] = useState<EntryRow>()
  useEffect(() => setChosen(NOTHING), [server, jails.join('\n'), filter.state, filter.text, filter.since])

  if (fleet === undefined) {
    return overview.problem.value === undefined ? <Loading /> : <Failed problem={overview.problem.value} />
  }
  const problem = parts.find(one => one.problem.value !== undefined)?.problem.value
  const waiting = parts.some(one => one.value.value === undefined && one.problem.value === undefined)
  const columns = COLUMNS.filter(one =>
    one.key === 'server' ? server === '' : one.key !== 'act' || mayChange.value
  )
  const hosts = new Map(fleet.servers.map(one => [one.name, one]))
  return (
    <section class="panel fill" aria-label={t('view.blocklists')}>
      <div class="toolbar">
        <ServerSelect />
        <EntryFilters filter={filter} counts={found.counts} servers={all} jails={jails} />
      </div>
      {problem && <Failed problem={problem} />}
      {tooMany && <div class="banner wait">{t('lists.tooMany')}</div>}
      {waiting ? (
        <Loading />
      ) : (
        <>
          <EntryTools
            rows={found.rows}
            all={rows.length}
            chosen={chosen}
            onClear={() => setChosen(NOTHING)}
          />
          <Grid
            key={server}
            label={t('view.blocklists')}
            layout={`entries-grid${server === '' ? ' with-server' : ''}${mayChange.value ? ' with-act' : ''}`}
            columns={columns}
            count={found.rows.length}
            cell={(row, column) => (
              <EntryCell row={found.rows[row]} column={column} hosts={hosts} now={now} onOpen={setOpened} />
            )}
            sort={sort}
            onSort={(column, descending) => change({ sort: `${descending ? '-' : ''}${column}` })}
            selection={{
              has: row => chosen.has(keyOf(found.rows[row])),
              set: (from, to, on) => {
                const next = new Set(chosen)
                for (const row of found.rows.slice(from, to + 1)) {
                  if (on) next.add(keyOf(row))
                  else next.delete(keyOf(row))
                }
                setChosen(next)
              },
              all: on => setChosen(on ? new Set(found.rows.map(keyOf)) : NOTHING),
              count: found.rows.reduce((sum, row) => sum + (chosen.has(keyOf(row)) ? 1 : 0), 0)
            }}
            onOpen={row => setOpened(found.rows[row])}
            rowKey={row => keyOf(found.rows[row])}
            about={JSON.stringify([server, jails, filter, sort])}
            empty={
              rows.length === 0 ? (
                <Empty title={t('lists.none')}>
                  <p>{t('lists.none.detail')}</p>
                </Empty>
              ) : (
                <Empty title={t('lists.none.filtered')} />
              )
            }
          />
        </>
      )}
      {opened && (
        <EntryDetails
          row={opened}
          host={hosts.get(opened.server)}
          now={now}
          onClose={() => setOpened(undefined)}
        />
      )}
    </section>
  )
}

const NOTHING: ReadonlySet<string> = new Set()
const COLUMNS: readonly GridColumn[] = [
  ...ENTRY_COLUMNS.map(key => ({ key, label: `col.${key}` as const })),
  { key: 'act', label: 'col.actions', sorts: false }
]

/** Hooks want a list of one length. */
function padded<T>(items: readonly T[]): (T | undefined)[] {
  return Array.from({ length: MOST_LISTS }, (_, at) => items[at])
}
