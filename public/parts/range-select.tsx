import { dashed } from '../data/event-table.js'
import { t } from '../state/i18n.js'
import type { Range } from '../state/range.js'
import { change } from '../state/route.js'

/** Chooses the days. @param most the operator's `max_display_days` */
export function RangeSelect({ range, today, most }: { range: Range; today: string; most: number }) {
  const choices = [...new Set([2, 7, most, 30])].sort((a, b) => a - b).filter(days => days > 1)
  const known = ['', 'yesterday', 'own', ...choices.map(String)].includes(range.kind)
  const pick = (kind: string) => {
    if (kind === 'own') change({ range: undefined, from: range.from, to: range.to })
    else change({ range: kind, from: undefined, to: undefined })
  }
  const day = (name: 'from' | 'to', other: 'from' | 'to') => (
    <label class="field">
      {t(`events.${name}`)}
      <input
        type="date"
        value={dashed(range[name])}
        max={dashed(today)}
        onChange={event => {
          const value = event.currentTarget.value.replaceAll('-', '')
          if (value !== '') change({ range: undefined, [name]: value, [other]: range[other] })
        }}
      />
    </label>
  )
  return (
    <>
      <label class="field">
        {t('events.range')}
        <select value={range.kind} onChange={event => pick(event.currentTarget.value)}>
          <option value="">{t('events.range.today')}</option>
          <option value="yesterday">{t('events.range.yesterday')}</option>
          {choices.map(days => (
            <option key={days} value={String(days)}>
              {t('events.range.days', { n: days })}
            </option>
          ))}
          {!known && <option value={range.kind}>{t('events.range.days', { n: Number(range.kind) })}</option>}
          <option value="own">{t('events.range.own')}</option>
        </select>
      </label>
      {range.kind === 'own' && day('from', 'to')}
      {range.kind === 'own' && day('to', 'from')}
    </>
  )
}
