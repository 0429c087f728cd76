import { dayName, num, t } from '../state/i18n.js'
import type { HourBars } from './chart.js'

const HOURS = Array.from({ length: 24 }, (_, hour) => hour)

/** The chart's numbers for those who don't see it; hours that it does not show have an empty cell. */
export function HourTable({ data }: { data: HourBars }) {
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
            {[...byDay(data)].map(([day, bans]) => (
              <tr key={day}>
                <th scope="row">{dayName(day, 'short')}</th>
                {HOURS.map(hour => {
                  const number = bans.get(hour)
                  return (
                    <td key={hour} class="number">
                      {number === undefined ? '' : num(number)}
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}

/** Bans by hour of each day (YYYYMMDD). */
function byDay({ hours, bans }: HourBars): Map<string, Map<number, number>> {
  const days = new Map<string, Map<number, number>>()
  hours.forEach((seconds, at) => {
    const moment = new Date(seconds * 1000)
    const day = moment.toISOString().slice(0, 10).replaceAll('-', '')
    const known = days.get(day) ?? new Map<number, number>()
    days.set(day, known.set(moment.getUTCHours(), bans[at] ?? 0))
  })
  return days
}
