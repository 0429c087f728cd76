import { t } from '../state/i18n.js'

const WIDTH = 96
const HEIGHT = 22

/**
 * The last 24 hours in small bars.
 * @param hours bans by hour of yesterday and today @param hour the one that is running: the last bar
 */
export function Spark({ hours, hour }: { hours: readonly number[]; hour: number }) {
  const last = 24 + hour
  const shown = hours.slice(last - 23, last + 1)
  const most = Math.max(1, ...shown)
  const bar = WIDTH / shown.length
  const total = shown.reduce((sum, one) => sum + one, 0)
  return (
    <svg
      class="spark"
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={t('host.trend.label', { n: total })}
    >
      {shown.map((bans, at) => {
        const height = bans === 0 ? 1 : Math.max(2, (bans / most) * HEIGHT)
        return <rect key={at} x={at * bar} y={HEIGHT - height} width={bar - 1} height={height} />
      })}
    </svg>
  )
}
