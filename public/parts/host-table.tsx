import {
  activeOf,
  hostState,
  isSkewed,
  needsLook,
  nextOf,
  pendingOf,
  type HostState
} from '../data/host-state.js'
import type { ServerNumbers, ServerSummary } from '../data/shapes.js'
import { ago, duration, moment, num, t } from '../state/i18n.js'
import { change, href } from '../state/route.js'
import { Spark } from './spark.js'
import { WhitelistBadge } from './whitelist-state.js'

const GRAVITY: readonly HostState[] = ['problem', 'never', 'silent']
const SIGNS: Record<HostState, [string, string]> = {
  problem: ['✕', 'bad'],
  never: ['○', 'quiet'],
  silent: ['!', 'bad'],
  pending: ['◔', 'wait'],
  handedOut: ['⟳', 'wait'],
  inStep: ['✓', 'good']
}

/** Every host, those that need a look first. @param now the server's time, milliseconds */
export function HostTable({
  servers,
  numbers,
  hour,
  now
}: {
  servers: readonly ServerSummary[]
  numbers: readonly ServerNumbers[]
  hour: number
  now: number
}) {
  const numbersOf = new Map(numbers.map(one => [one.server, one]))
  const gravity = (server: ServerSummary) => {
    const place = GRAVITY.indexOf(hostState(server, now))
    return place >= 0 ? place : GRAVITY.length + (needsLook(server, now) ? 0 : 1)
  }
  const sorted = [...servers].sort((a, b) => gravity(a) - gravity(b) || (a.name < b.name ? -1 : 1))
  return (
    <div class="scroll-x">
      <table class="hosts">
        <thead>
          <tr>
            <th scope="col">{t('host.state')}</th>
            <th scope="col">{t('server')}</th>
            <th scope="col">{t('host.lastSync')}</th>
            <th scope="col" class="number">
              {t('overview.bansToday')}
            </th>
            <th scope="col" class="number">
              {t('overview.yesterday')}
            </th>
            <th scope="col" class="number">
              {t('overview.mean7')}
            </th>
            <th scope="col">{t('host.trend')}</th>
            <th scope="col" class="number">
              {t('view.warnings')}
            </th>
            <th scope="col" class="number">
              {t('host.blocked')}
            </th>
            <th scope="col">{t('view.whitelist')}</th>
            <th scope="col">{t('host.client')}</th>
            <th scope="col">
              <span class="unseen">{t('col.actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map(server => (
            <HostRow
              key={server.name}
              server={server}
              numbers={numbersOf.get(server.name)}
              hour={hour}
              now={now}
            />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function HostRow({
  server,
  numbers,
  hour,
  now
}: {
  server: ServerSummary
  numbers: ServerNumbers | undefined
  hour: number
  now: number
}) {
  const { name, host } = server
  const state = hostState(server, now)
  const warnings = (numbers?.warnings ?? 0) + (numbers?.critical ?? 0)
  return (
    <tr>
      <td class="host-state">
        <StateBadge state={state} pending={pendingOf(server)} />
      </td>
      <th scope="row">
        <a href={href('events', { server: name })}>{name}</a>
        {server.problem !== undefined && <p class="bad">{server.problem}</p>}
        {server.setAside.map(file => (
          <p key={file} class="bad">
            {t('host.setAside', { name: file })}
          </p>
        ))}
        {isSkewed(server) && <p class="bad">⚠ {t('host.skew', { time: duration(host.clockSkewMs ?? 0) })}</p>}
      </th>
      <td data-label={t('host.lastSync')}>
        <LastSync server={server} now={now} />
      </td>
      <td class="number strong" data-label={t('overview.bansToday')}>
        {numbers ? num(numbers.today) : '…'}
      </td>
      <td class="number" data-label={t('overview.yesterday')}>
        {numbers ? num(numbers.yesterday) : '…'}
      </td>
      <td class="number" data-label={t('overview.mean7')}>
        {numbers ? num(numbers.mean7) : '…'}
      </td>
      <td data-label={t('host.trend')}>{numbers && <Spark hours={numbers.hours} hour={hour} />}</td>
      <td class="number" data-label={t('view.warnings')}>
        {warnings === 0 ? (
          <span class="quiet">0</span>
        ) : (
          <a class={(numbers?.critical ?? 0) > 0 ? 'bad' : 'wait'} href={href('warnings', { server: name })}>
            {num(warnings)}
            {(numbers?.critical ?? 0) > 0 &&
              ` (${t('overview.warnings.detail', { n: numbers?.critical ?? 0 })})`}
          </a>
        )}
      </td>
      <td class="number" data-label={t('host.blocked')}>
        <a href={href('blocklists', { server: name })}>{num(activeOf(server))}</a>
      </td>
      <td data-label={t('view.whitelist')}>
        <WhitelistBadge server={server} now={now} />
      </td>
      <td class="quiet" data-label={t('host.client')}>
        {host.version ?? '–'} <small>{host.firewall}</small>
      </td>
      <td class="host-act">
        <button
          type="button"
          class="small"
          aria-label={t('host.details', { server: name })}
          onClick={() => change({ host: name })}
        >
          {t('host.details.short')}
        </button>
      </td>
    </tr>
  )
}

/** When a host last synced, and when it is expected. */
export function LastSync({ server, now }: { server: ServerSummary; now: number }) {
  const { lastSync, lastSeen } = server.host
  if (lastSync === undefined && lastSeen === undefined) return <span class="quiet">–</span>
  const next = nextOf(server)
  const late = next < now
  return (
    <>
      {lastSync === undefined ? (
        <span class="quiet">–</span>
      ) : (
        <time dateTime={lastSync} title={moment(lastSync)}>
          {ago(lastSync, now)}
        </time>
      )}{' '}
      {!Number.isNaN(next) && (
        <small class="quiet">
          {late ? t('host.overdue') : t('host.expected', { when: ago(new Date(next).toISOString(), now) })}
        </small>
      )}
    </>
  )
}

/** How a host stands, with a sign. */
export function StateBadge({ state, pending }: { state: HostState; pending: number }) {
  const [sign, tone] = SIGNS[state]
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{sign}</span> {t(`host.${state}`, { n: pending })}
    </span>
  )
}
