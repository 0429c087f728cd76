import type { Statistics } from '../data/shapes.js'
import { dayName, num, t } from '../state/i18n.js'

const HOURS = Array.from({ length: 24 }, (_, hour) => hour)

/** The chart's numbers for those who don't see it. */
export function HourTable({ days }: { days: Statistics['days'] }) {
  return (
    <details>
      <summary>{t('stat.asTable')}</summary>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t('stat.perHour')}>
        <table class="compact hours">
          <thead>
            <tr>
              <th scope="col">{t('events.day')}</th>
              {HOURS.map(hour => (
                <th key={hour} scope="col" class="number">
                  {String(hour).padStart(2, '0')}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {days.map(({ day, hours }) => (
              <tr key={day}>
                <th scope="row">{dayName(day, 'short')}</th>
                {HOURS.map(hour => (
                  <td key={hour} class="number">
                    {num(hours[hour] ?? 0)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}
