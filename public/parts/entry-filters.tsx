import type { EntryFilter, EntryState } from '../data/entry-rows.js'
import type { ServerSummary } from '../data/shapes.js'
import { num, t } from '../state/i18n.js'
import { change } from '../state/route.js'
import { Facet } from './facet.js'
import { SearchField } from './search-field.js'

const TABS = ['', 'active', 'pendingBlock', 'pendingUnblock', 'expired', 'inactive'] as const

/** The filters of the table of entries. */
export function EntryFilters({
  filter,
  counts,
  servers,
  jails
}: {
  filter: EntryFilter
  counts: Record<EntryState, number>
  servers: readonly ServerSummary[]
  jails: readonly string[]
}) {
  const perJail = new Map<string, number>(jails.map(jail => [jail, 0]))
  for (const { jail, active, pendingBlock, pendingUnblock } of servers.flatMap(one => one.lists)) {
    perJail.set(jail, (perJail.get(jail) ?? 0) + active + pendingBlock + pendingUnblock)
  }
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0)
  const countOf = (tab: (typeof TABS)[number]) => (tab === '' ? total : counts[tab])
  return (
    <>
      <SearchField label={t('lists.search')} name="q" text={filter.text} />
      <label class="field">
        {t('col.since')}
        <input
          type="date"
          value={filter.since}
          onChange={event => change({ since: event.currentTarget.value })}
        />
      </label>
      <div class="facets">
        <div class="tabs" role="group" aria-label={t('col.state')}>
          {TABS.map(tab => (
            <button
              key={tab}
              type="button"
              aria-pressed={filter.state === tab || (filter.state === 'pending' && tab.startsWith('pending'))}
              onClick={() => change({ state: tab })}
            >
              {t(`lists.state.${tab === '' ? 'all' : tab}`)} <span class="count">{num(countOf(tab))}</span>
            </button>
          ))}
        </div>
        <Facet
          label={t('jail')}
          chosen={jails}
          onChange={jail => change({ jail })}
          options={[...perJail].sort().map(([value, count]) => ({ value, text: value, count }))}
        />
      </div>
    </>
  )
}
