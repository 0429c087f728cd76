import { t } from '../state/i18n.js'

/** When a block ends: a choice, and the moment where that is `own`. */
export interface End {
  choice: string
  moment: string
}

const HOURS = [1, 24, 24 * 7, 24 * 30, 24 * 365]

/** Chooses when a block ends. */
export function EndField({ end, onChange }: { end: End; onChange: (end: End) => void }) {
  return (
    <label>
      {t('block.expires')}
      <select value={end.choice} onChange={event => onChange({ ...end, choice: event.currentTarget.value })}>
        <option value="">{t('block.expires.never')}</option>
        {HOURS.map(hours => (
          <option key={hours} value={String(hours)}>
            {hours < 24 ? t('block.expires.hours', { n: hours }) : t('block.expires.days', { n: hours / 24 })}
          </option>
        ))}
        <option value="own">{t('block.expires.own')}</option>
      </select>
      {end.choice === 'own' && (
        <input
          type="datetime-local"
          aria-label={t('block.expires')}
          value={end.moment}
          onInput={event => onChange({ ...end, moment: event.currentTarget.value })}
        />
      )}
    </label>
  )
}

/** The end as ISO 8601, null for none, undefined while it has to be chosen. @param now milliseconds */
export function endOf({ choice, moment }: End, now: number): string | null | undefined {
  if (choice === '') return null
  const at = choice === 'own' ? Date.parse(moment) : now + Number(choice) * 3_600_000
  return Number.isNaN(at) ? undefined : new Date(at).toISOString()
}
