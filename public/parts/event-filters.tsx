import { ACTIONS } from '../data/event-table.js'
import { MARKS, type EventFilter, type Filtered } from '../data/event-filter.js'
import { t } from '../state/i18n.js'
import { change } from '../state/route.js'
import { Facet } from './facet.js'
import { RedDot, YellowDot } from './mark.js'
import { SearchField } from './search-field.js'

const SIGNS = {
  red: <RedDot />,
  yellow: <YellowDot />,
  both: (
    <>
      <RedDot />
      <YellowDot />
    </>
  ),
  none: undefined
} as const

/** The filters of the event table, each with counts given the others. */
export function EventFilters({ filter, found }: { filter: EventFilter; found: Filtered | undefined }) {
  const count = (of: Map<string, number> | undefined, name: string) => of?.get(name) ?? 0
  const jails = [...new Set([...(found?.jails.keys() ?? []), ...filter.jails])].sort(
    (a, b) => count(found?.jails, b) - count(found?.jails, a) || (a < b ? -1 : 1)
  )
  const actions = ACTIONS.filter(action => filter.increases || action !== 'Increase Ban')
  const set = [filter.actions, filter.marks, filter.jails].some(list => list.length > 0)
  return (
    <>
      <SearchField
        label={t('events.filter.ip')}
        name="ip"
        text={filter.ip}
        placeholder={t('events.filter.ip.hint')}
      />
      <div class="facets">
        <Facet
          label={t('events.filter.action')}
          chosen={filter.actions}
          onChange={action => change({ action })}
          options={actions.map(value => ({
            value,
            text: t(`action.${value}`),
            count: count(found?.actions, value)
          }))}
        />
        <Facet
          label={t('events.filter.mark')}
          chosen={filter.marks}
          onChange={mark => change({ mark })}
          options={MARKS.map(value => ({
            value,
            text: t(`mark.${value}`),
            sign: SIGNS[value],
            count: count(found?.marks, value)
          }))}
        />
        <Facet
          label={t('events.filter.jail')}
          chosen={filter.jails}
          onChange={jail => change({ jail })}
          options={jails.map(value => ({ value, text: value, count: count(found?.jails, value) }))}
        />
        <label class="check inline">
          <input
            type="checkbox"
            checked={filter.increases}
            onChange={event => change({ increases: event.currentTarget.checked ? '1' : undefined })}
          />
          {t('events.increases')}
        </label>
        {filter.minute !== '' && (
          <button type="button" class="chip" onClick={() => change({ minute: undefined })}>
            {t('events.filter.minute', { minute: filter.minute })} ✕
          </button>
        )}
        {(set || filter.ip !== '' || filter.minute !== '') && (
          <button
            type="button"
            class="quiet"
            onClick={() =>
              change({
                action: undefined,
                mark: undefined,
                jail: undefined,
                ip: undefined,
                minute: undefined
              })
            }
          >
            {t('events.filter.clear')}
          </button>
        )}
      </div>
    </>
  )
}
