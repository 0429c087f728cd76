import type { Mark } from '../data/event-filter.js'
import { t } from '../state/i18n.js'

/** 🔴 banned or unbanned more than once, 🟡 (n) ban increased; with words for those who don't see it. */
export function MarkSign({ mark, increases }: { mark: Mark; increases: number }) {
  if (mark === 'none') return <span class="unseen">{t('mark.none')}</span>
  const red = mark === 'red' || mark === 'both'
  const yellow = mark === 'yellow' || mark === 'both'
  const words = [
    ...(red ? [t('mark.red.long')] : []),
    ...(yellow ? [t('mark.yellow.long', { n: increases })] : [])
  ].join(', ')
  return (
    <span class="marks" title={words}>
      <span aria-hidden="true">
        {red && <RedDot />}
        {yellow && (
          <>
            <YellowDot /> ({increases})
          </>
        )}
      </span>
      <span class="unseen">{words}</span>
    </span>
  )
}

/** What the marks mean. */
export function MarkLegend() {
  return (
    <span class="legend">
      <span>
        <RedDot /> {t('mark.red.long')}
      </span>
      <span>
        <YellowDot /> <span aria-hidden="true">(n)</span> {t('mark.yellow.legend')}
      </span>
    </span>
  )
}

// The stylesheet draws the dots over the signs: not every machine has a font for them.

/** 🔴 */
export function RedDot() {
  return (
    <span class="dot-sign red" aria-hidden="true">
      🔴
    </span>
  )
}

/** 🟡 */
export function YellowDot() {
  return (
    <span class="dot-sign yellow" aria-hidden="true">
      🟡
    </span>
  )
}
