import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Overview, Whitelist, WhitelistEntry } from '../data/shapes.js'
import { timeOf } from '../data/time.js'
import { isOver, WHITE_COLUMNS, whiteRows } from '../data/whitelist-rows.js'
import { ExportMenu } from '../parts/export-menu.js'
import { Grid, type GridColumn } from '../parts/grid.js'
import { SearchField } from '../parts/search-field.js'
import { ServerSelect } from '../parts/server-select.js'
import { WhitelistHosts } from '../parts/whitelist-hosts.js'
import { Empty, Failed, Loading } from '../parts/states.js'
import { Tools } from '../parts/tools.js'
import { WhitelistCell } from '../parts/whitelist-cell.js'
import { now, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { change, go, href, param, sortParam } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { removeFromWhitelist, whitelistDialog } from '../state/whitelisting.js'

const NOTHING: ReadonlySet<string> = new Set()
const LABELS = { since: 'white.since', by: 'white.by', where: 'white.where' } as const
const COLUMNS: readonly GridColumn[] = [
  ...WHITE_COLUMNS.map(key => ({
    key,
    label:
      key === 'description'
        ? ('white.description' as const)
        : key === 'ip' || key === 'ends'
          ? (`col.${key}` as const)
          : LABELS[key]
  })),
  { key: 'act', label: 'col.actions', sorts: false }
]
const HEAD = ['ip', 'description', 'servers', 'addedBy', 'addedAt', 'expires'] as const

/** What is never blocked. */
export function WhitelistView() {
  const whitelist = useResource<Whitelist>('whitelist')
  const entries = whitelist.value.value?.entries
  const fleet = useResource<Overview>('servers').value.value
  const sort = sortParam(WHITE_COLUMNS, 'since')
  const wanted = { text: param('q'), server: param('server'), ...sort }
  const rows = useMemo(() => whiteRows(entries ?? [], wanted), [entries, ...Object.values(wanted)])
  const [chosen, setChosen] = useState<ReadonlySet<string>>(NOTHING)
  useEffect(() => setChosen(NOTHING), [wanted.text, wanted.server])
  if (entries === undefined) {
    return whitelist.problem.value === undefined ? <Loading /> : <Failed problem={whitelist.problem.value} />
  }
  const some = rows.filter(entry => chosen.has(entry.ip))
  const over = entries.filter(entry => isOver(entry, now.value)).length
  return (
    <section class="panel fill" aria-label={t('view.whitelist')}>
      <div class="toolbar">
        <ServerSelect />
        {fleet && <WhitelistHosts servers={fleet.servers} now={timeOf(fleet.time)} />}
        <SearchField label={t('white.search')} name="q" text={wanted.text} />
        <p class="quiet toolbar-note">{t('white.what')}</p>
      </div>
      {whitelist.problem.value && <Failed problem={whitelist.problem.value} />}
      <Tools
        count={
          some.length > 0
            ? t('white.chosen', { n: some.length })
            : `${t(rows.length === entries.length ? 'lists.count.all' : 'lists.count', { n: rows.length, all: entries.length })}${over > 0 ? ` · ${t('white.over', { n: over })}` : ''}`
        }
        onClear={some.length > 0 ? () => setChosen(NOTHING) : undefined}
      >
        {mayChange.value && some.length === 0 && (
          <button
            type="button"
            class="primary"
            onClick={() => (whitelistDialog.value = { servers: wanted.server === '' ? [] : [wanted.server] })}
          >
            {t('white.add')}
          </button>
        )}
        {mayChange.value && some.length > 0 && (
          <button
            type="button"
            class="primary"
            onClick={() => void removeFromWhitelist(some).then(() => setChosen(NOTHING))}
          >
            {t('white.remove.short')}
          </button>
        )}
        <ExportMenu
          name="whitelist"
          head={HEAD}
          rows={() => (some.length > 0 ? some : rows).map(textsOf)}
          lines={() => (some.length > 0 ? some : rows).map(entry => entry.ip)}
        />
      </Tools>
      <Grid
        label={t('view.whitelist')}
        layout={`white-grid${mayChange.value ? ' with-act' : ''}`}
        columns={COLUMNS.filter(one => one.key !== 'act' || mayChange.value)}
        count={rows.length}
        cell={(row, column) => <WhitelistCell entry={rows[row]} column={column} now={now.value} />}
        sort={sort}
        onSort={(column, descending) => change({ sort: `${descending ? '-' : ''}${column}` })}
        selection={{
          has: row => chosen.has(rows[row]?.ip ?? ''),
          set: (from, to, on) => {
            const next = new Set(chosen)
            for (const { ip } of rows.slice(from, to + 1)) {
              if (on) next.add(ip)
              else next.delete(ip)
            }
            setChosen(next)
          },
          all: on => setChosen(on ? new Set(rows.map(entry => entry.ip)) : NOTHING),
          count: some.length
        }}
        rowKey={row => rows[row]?.ip ?? ''}
        about={JSON.stringify(wanted)}
        onOpen={row => go(href('address', { ip: rows[row]?.ip }))}
        empty={
          entries.length === 0 ? (
            <Empty title={t('white.none')}>
              <p>{t('white.none.detail')}</p>
            </Empty>
          ) : (
            <Empty title={t('lists.none.filtered')} />
          )
        }
      />
    </section>
  )
}

function textsOf({ ip, description, servers, addedBy, addedAt, expires }: WhitelistEntry): string[] {
  const end = Number.isNaN(timeOf(expires)) ? '' : (expires ?? '')
  return [ip, description ?? '', (servers ?? []).join(' '), addedBy ?? '', addedAt ?? '', end]
}
