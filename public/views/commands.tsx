import { useMemo } from 'preact/hooks'
import { COMMAND_COLUMNS, commandRows } from '../data/command-rows.js'
import { COMMAND_STATES, type Commands } from '../data/shapes.js'
import { CommandCell } from '../parts/command-cell.js'
import { CommandDetails } from '../parts/command-details.js'
import { Grid, type GridColumn } from '../parts/grid.js'
import { SearchField } from '../parts/search-field.js'
import { ServerSelect } from '../parts/server-select.js'
import { Empty, Failed, Loading } from '../parts/states.js'
import { Tools } from '../parts/tools.js'
import { query } from '../state/api.js'
import { commandDialog, commandName } from '../state/commanding.js'
import { num, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { change, param, sortParam } from '../state/route.js'
import { mayChange } from '../state/session.js'

/** The newest that are loaded at once. */
const MOST = 1000
const TABS = ['', ...COMMAND_STATES] as const
const LABELS = {
  state: 'col.state',
  command: 'command.what',
  server: 'col.server',
  by: 'command.by',
  since: 'command.asked'
} as const
const COLUMNS: readonly GridColumn[] = COMMAND_COLUMNS.map(key => ({ key, label: LABELS[key] }))

/** What hosts were told to do, and what came of it. */
export function CommandsView() {
  const server = param('server')
  const path = `v1/commands${query({ server_id: server, limit: String(MOST) })}`
  const loaded = useResource<Commands>(path)
  const commands = loaded.value.value?.commands
  const sort = sortParam(COMMAND_COLUMNS, 'since')
  const wanted = { text: param('q'), state: param('state'), ...sort }
  const { rows, counts } = useMemo(
    () => commandRows(commands ?? [], wanted, commandName),
    [commands, ...Object.values(wanted)]
  )
  const problem = loaded.problem.value
  if (commands === undefined) return problem === undefined ? <Loading /> : <Failed problem={problem} />
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0)
  const opened = param('id')
  const openRow = (id: string | undefined) => change({ id })
  return (
    <section class="panel fill" aria-label={t('view.commands')}>
      <div class="toolbar">
        <ServerSelect />
        <SearchField label={t('command.search')} name="q" text={wanted.text} />
        <div class="tabs" role="group" aria-label={t('col.state')}>
          {TABS.map(tab => (
            <button
              key={tab}
              type="button"
              aria-pressed={wanted.state === tab}
              onClick={() => change({ state: tab })}
            >
              {t(tab === '' ? 'lists.state.all' : `command.state.${tab}`)}{' '}
              <span class="count">{num(tab === '' ? total : counts[tab])}</span>
            </button>
          ))}
        </div>
      </div>
      {problem && <Failed problem={problem} />}
      <Tools
        count={`${t(rows.length === commands.length ? 'command.count.all' : 'command.count', { n: rows.length, all: commands.length })}${commands.length >= MOST ? ` · ${t('command.most', { n: MOST })}` : ''}`}
      >
        {mayChange.value && (
          <button
            type="button"
            class="primary"
            onClick={() => (commandDialog.value = { servers: server === '' ? [] : [server] })}
          >
            {t('command.open')}
          </button>
        )}
      </Tools>
      <Grid
        label={t('view.commands')}
        layout="commands-grid"
        columns={COLUMNS}
        count={rows.length}
        cell={(row, column) => <CommandCell command={rows[row]} column={column} />}
        sort={sort}
        onSort={(column, descending) => change({ sort: `${descending ? '-' : ''}${column}` })}
        onOpen={row => openRow(rows[row]?.id)}
        rowKey={row => rows[row]?.id ?? ''}
        about={JSON.stringify([server, wanted])}
        empty={
          commands.length === 0 ? (
            <Empty title={t('command.none')}>
              <p>{t('command.none.detail')}</p>
            </Empty>
          ) : (
            <Empty title={t('command.none.filtered')} />
          )
        }
      />
      {opened !== '' && <CommandDetails key={opened} id={opened} onClose={() => openRow(undefined)} />}
    </section>
  )
}
