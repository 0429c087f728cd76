import { useMemo } from 'preact/hooks'
import type { JailNumbers, Statistics, TopAddress } from '../data/shapes.js'
import { Chart, type HourBars } from '../parts/chart.js'
import { HourTable } from '../parts/hour-table.js'
import { ServerSelect } from '../parts/server-select.js'
import { Failed, Loading } from '../parts/states.js'
import { Tile } from '../parts/tile.js'
import { query } from '../state/api.js'
import { countryName, dayName, num, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { change, href, param } from '../state/route.js'

const PERIODS = ['today', 'yesterday', 'days7', 'days30'] as const
const LISTED = ['today', 'days7', 'days30'] as const

/** Numbers and pictures of one server, or of all. */
export function StatisticsView() {
  const server = param('server')
  const statistics = useResource<Statistics>(`statistics${query({ server })}`)
  const reply = statistics.value.value
  return (
    <>
      <div class="toolbar plain">
        <ServerSelect />
      </div>
      {statistics.problem.value && <Failed problem={statistics.problem.value} />}
      {reply === undefined ? (
        statistics.problem.value === undefined && <Loading />
      ) : (
        <Numbers reply={reply} server={server} />
      )}
    </>
  )
}

function Numbers({ reply, server }: { reply: Statistics; server: string }) {
  const period = LISTED.find(one => one === param('period')) ?? 'today'
  return (
    <>
      <div class="tiles">
        {PERIODS.map(name => {
          const { bans, unbans, addresses } = reply.periods[name]
          return (
            <Tile
              key={name}
              label={t(`stat.bans.${name}`)}
              value={num(bans)}
              detail={t('stat.detail', { unbans, addresses })}
            />
          )
        })}
      </div>
      <Hours reply={reply} />
      <div class="tabs" role="group" aria-label={t('stat.period')}>
        {LISTED.map(name => (
          <button
            key={name}
            type="button"
            aria-pressed={period === name}
            onClick={() => change({ period: name === 'today' ? undefined : name })}
          >
            {t(`stat.${name}`)}
          </button>
        ))}
      </div>
      <div class="columns">
        <section class="panel" aria-labelledby="jails-title">
          <h2 id="jails-title">{t('stat.perJail')}</h2>
          <JailBars jails={reply.jails[period]} server={server} period={period} />
        </section>
        <section class="panel" aria-labelledby="top-title">
          <h2 id="top-title">{t('stat.topAddresses')}</h2>
          <TopTable top={reply.top[period]} />
        </section>
      </div>
    </>
  )
}

function Hours({ reply }: { reply: Statistics }) {
  const month = param('hours') === '30'
  const data = useMemo(() => hoursOf(reply, month), [reply, month])
  const format = (hour: number) => {
    const iso = new Date(hour * 1000).toISOString()
    const clock = iso.slice(11, 16)
    const day = dayName(iso.slice(0, 10).replaceAll('-', ''), 'short')
    return month ? (clock === '00:00' ? day : `${day} ${clock}`) : clock
  }
  return (
    <section class="panel" aria-labelledby="hours-title">
      <header class="panel-head">
        <h2 id="hours-title">{t('stat.perHour')}</h2>
        <div class="tabs" role="group" aria-label={t('stat.period')}>
          <button type="button" aria-pressed={!month} onClick={() => change({ hours: undefined })}>
            {t('stat.hours24')}
          </button>
          <button type="button" aria-pressed={month} onClick={() => change({ hours: '30' })}>
            {t('stat.days30')}
          </button>
        </div>
      </header>
      <Chart data={data} label={t('stat.perHour')} format={format} />
      <HourTable data={data} />
    </section>
  )
}

/** The hours up to the one that is running. */
function hoursOf(reply: Statistics, month: boolean): HourBars {
  const hours = reply.days.flatMap(({ day, hours }) => {
    const midnight =
      Date.UTC(Number(day.slice(0, 4)), Number(day.slice(4, 6)) - 1, Number(day.slice(6, 8))) / 1000
    return hours.map((bans, hour) => ({ at: midnight + hour * 3600, bans }))
  })
  const past = hours.slice(0, hours.length - 23 + reply.hour)
  const shown = month ? past : past.slice(-24)
  return { hours: shown.map(one => one.at), bans: shown.map(one => one.bans) }
}

/** The range of the events view that has a period's bans. */
const RANGES = { today: undefined, days7: '7', days30: '30' } as const

function JailBars({
  jails,
  server,
  period
}: {
  jails: readonly JailNumbers[]
  server: string
  period: keyof typeof RANGES
}) {
  if (jails.length === 0) return <p class="quiet">{t('stat.none')}</p>
  const most = Math.max(1, ...jails.map(one => one.bans))
  return (
    <ol class="bars">
      {jails.map(({ jail, bans, unbans }, at) => (
        <li key={jail}>
          <a href={href('events', { server, jail, action: 'Ban', range: RANGES[period] })}>
            {at < 3 && <span class="rank">{at + 1}</span>}
            {jail}
          </a>
          <svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
            <rect width={(bans / most) * 100} height={1} />
          </svg>
          <span class="number">
            <strong>{num(bans)}</strong> <small class="quiet">{t('stat.unbans.n', { n: unbans })}</small>
          </span>
        </li>
      ))}
    </ol>
  )
}

function TopTable({ top }: { top: readonly TopAddress[] }) {
  if (top.length === 0) return <p class="quiet">{t('stat.none')}</p>
  return (
    <table class="rows compact">
      <thead>
        <tr>
          <th scope="col">{t('col.ip')}</th>
          <th scope="col" class="number">
            {t('stat.bans')}
          </th>
          <th scope="col" class="number">
            {t('stat.onServers')}
          </th>
          <th scope="col" class="number">
            {t('stat.onDays')}
          </th>
        </tr>
      </thead>
      <tbody>
        {top.slice(0, 15).map(({ ip, bans, servers, days, country }) => (
          <tr key={ip}>
            <td>
              <a class="ip" href={href('address', { ip })}>
                {ip}
              </a>
              {country !== null && (
                <abbr class="country" title={countryName(country)}>
                  {country}
                </abbr>
              )}
            </td>
            <td class="number strong">{num(bans)}</td>
            <td class="number">{num(servers)}</td>
            <td class="number">{num(days)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
