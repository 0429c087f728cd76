import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { ACTIONS, type EventTable } from '../data/event-table.js'
import { EVENT_COLUMNS, filterEvents, orderOf, type EventFilter } from '../data/event-filter.js'
import type { Overview, Settings } from '../data/shapes.js'
import { EventCell } from '../parts/event-cell.js'
import { EventFilters } from '../parts/event-filters.js'
import { EventTools } from '../parts/event-tools.js'
import { Grid, type GridColumn, type GridSelection } from '../parts/grid.js'
import { MarkLegend } from '../parts/mark.js'
import { RangeSelect } from '../parts/range-select.js'
import { ServerSelect } from '../parts/server-select.js'
import { Empty, Failed, Loading } from '../parts/states.js'
import { useEvents } from '../state/events.js'
import { t } from '../state/i18n.js'
import { rangeParam } from '../state/range.js'
import { useResource } from '../state/resource.js'
import { change, go, href, listParam, param, sortParam } from '../state/route.js'

/** Browsers draw no more than some 16 million pixels in one element. */
const MOST_ROWS = 250_000

const COLUMNS: readonly GridColumn[] = EVENT_COLUMNS.map(key => ({ key, label: `col.${key}` as const }))

/** The events of a server, or of all, as fail2ban logged them. */
export function EventsView() {
  const overview = useResource<Overview>('servers')
  const settings = useResource<Settings>('settings').value.value
  const server = param('server')
  const today = overview.value.value?.today ?? ''
  const range = rangeParam(today)
  const events = useEvents(server, range, overview.value.value)
  const filter = useFilter()
  const [reading, setReading] = useState(false)
  const [chosen, setChosen] = useState<ReadonlySet<number>>(NOTHING)
  const about = `${server} ${range.from} ${range.to}`
  const { table, news, showNews } = useCalm(about, events.table, reading || chosen.size > 0)
  const sort = sortParam(EVENT_COLUMNS, 'time')
  const order = useMemo(
    () => table && orderOf(table, sort.column, sort.descending),
    [table, sort.column, sort.descending]
  )
  const filterKey = JSON.stringify(filter)
  const found = useMemo(() => table && order && filterEvents(table, order, filter), [table, order, filterKey])
  useEffect(() => setChosen(NOTHING), [table, filterKey])

  if (overview.value.value === undefined) {
    return overview.problem.value === undefined ? <Loading /> : <Failed problem={overview.problem.value} />
  }
  const rows = found?.rows.subarray(0, MOST_ROWS)
  const columns = server === '' ? COLUMNS : COLUMNS.filter(one => one.key !== 'server')
  return (
    <section class="panel fill" aria-label={t('view.events')}>
      <div class="toolbar">
        <ServerSelect />
        <RangeSelect range={range} today={today} most={settings?.maxDisplayDays ?? 7} />
        <EventFilters filter={filter} found={found} />
      </div>
      {events.failed > 0 && (
        <div class="banner bad" role="alert">
          {t('events.partial', { n: events.failed })}
        </div>
      )}
      {table === undefined || found === undefined || rows === undefined ? (
        <Loading />
      ) : (
        <>
          <EventTools
            table={table}
            found={found}
            chosen={chosen}
            onClear={() => setChosen(NOTHING)}
            server={server}
            news={news}
            onNews={() => {
              setChosen(NOTHING)
              showNews()
            }}
          />
          <Grid
            key={about}
            label={t('view.events')}
            layout={server === '' ? 'events-grid with-server' : 'events-grid'}
            columns={columns}
            count={rows.length}
            cell={(row, column) => (
              <EventCell
                table={table}
                row={rows[row] ?? 0}
                column={column}
                withDay={range.from !== range.to}
              />
            )}
            sort={sort}
            onSort={(column, descending) => change({ sort: `${descending ? '-' : ''}${column}` })}
            selection={selectionOf(rows, chosen, setChosen)}
            onOpen={row => go(href('address', { ip: table.ips[table.ip[rows[row] ?? 0] ?? 0] }))}
            onReading={setReading}
            empty={
              table.length === 0 ? (
                <Empty title={t('events.none')}>
                  <p>{t('events.none.detail')}</p>
                </Empty>
              ) : (
                <Empty title={t('events.none.filtered')} />
              )
            }
          />
          <footer class="panel-foot">
            <MarkLegend />
            <span>
              {found.rows.length > MOST_ROWS && `${t('events.tooMany', { n: MOST_ROWS })} `}
              {t('events.clock')}
            </span>
          </footer>
        </>
      )}
    </section>
  )
}

const NOTHING: ReadonlySet<number> = new Set()

function useFilter(): EventFilter {
  return {
    actions: listParam('action').filter(one => ACTIONS.some(action => action === one)),
    marks: listParam('mark'),
    jails: listParam('jail'),
    ip: param('ip'),
    minute: param('minute'),
    increases: param('increases') === '1'
  }
}

/** Holds news back while somebody reads or has chosen rows: nothing moves under their eyes, or their pointer. */
function useCalm(
  about: string,
  latest: EventTable | undefined,
  hold: boolean
): { table: EventTable | undefined; news: number; showNews: () => void } {
  const shown = useRef<{ about: string; table: EventTable | undefined }>({ about, table: latest })
  const [, again] = useState(0)
  const { table } = shown.current
  if (shown.current.about !== about || !hold || table === undefined) shown.current = { about, table: latest }
  const present = shown.current.table
  return {
    table: present,
    news: (latest?.length ?? 0) - (present?.length ?? 0),
    showNews: () => {
      shown.current = { about, table: latest }
      again(times => times + 1)
    }
  }
}

function selectionOf(
  rows: Uint32Array,
  chosen: ReadonlySet<number>,
  choose: (chosen: ReadonlySet<number>) => void
): GridSelection {
  return {
    has: row => chosen.has(rows[row] ?? -1),
    set: (from, to, on) => {
      const next = new Set(chosen)
      for (const row of rows.subarray(from, to + 1)) {
        if (on) next.add(row)
        else next.delete(row)
      }
      choose(next)
    },
    all: on => choose(on ? new Set(rows) : NOTHING),
    count: chosen.size
  }
}
