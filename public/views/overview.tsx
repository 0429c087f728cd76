import { HostDetails } from '../parts/host-details.js'
import { HostTable } from '../parts/host-table.js'
import { Empty, Failed, Loading } from '../parts/states.js'
import { Tile } from '../parts/tile.js'
import { activeOf, isInStep, needsLook } from '../data/host-state.js'
import type { Overview, Statistics, Warnings } from '../data/shapes.js'
import { num, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { change, href, param } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { timeOf } from '../data/time.js'

/** The fleet at a glance. */
export function OverviewView() {
  const overview = useResource<Overview>('servers')
  const statistics = useResource<Statistics>('statistics?days=8')
  const warnings = useResource<Warnings>('warnings')
  const fleet = overview.value.value
  if (fleet === undefined) {
    return overview.problem.value === undefined ? <Loading /> : <Failed problem={overview.problem.value} />
  }
  if (fleet.servers.length === 0) return <NoServer />
  const problem = overview.problem.value ?? statistics.problem.value ?? warnings.problem.value
  const now = timeOf(fleet.time)
  const bad = fleet.servers.filter(one => needsLook(one, now)).length
  const waiting = fleet.servers.filter(one => !needsLook(one, now) && !isInStep(one, now)).length
  const opened = fleet.servers.find(one => one.name === param('host'))
  return (
    <>
      {problem && <Failed problem={problem} />}
      <FleetTiles fleet={fleet} statistics={statistics.value.value} warnings={warnings.value.value} />
      {fleet.setAside.map(name => (
        <div key={name} class="banner bad" role="alert">
          {t('host.setAside', { name })}
        </div>
      ))}
      <section class="panel" aria-labelledby="servers-title">
        <header class="panel-head">
          <h2 id="servers-title">{t('servers')}</h2>
          <span class="panel-note">
            {bad > 0 && <span class="bad">⚠ {t('overview.attention', { n: bad })}</span>}
            {waiting > 0 && <span class="wait">◔ {t('overview.waiting', { n: waiting })}</span>}
            {bad + waiting === 0 && <span class="good">✓ {t('overview.allInStep')}</span>}
          </span>
        </header>
        <HostTable
          servers={fleet.servers}
          numbers={statistics.value.value?.servers ?? []}
          hour={statistics.value.value?.hour ?? 0}
          now={now}
        />
      </section>
      {opened && <HostDetails server={opened} now={now} onClose={() => change({ host: undefined })} />}
    </>
  )
}

function FleetTiles({
  fleet,
  statistics,
  warnings
}: {
  fleet: Overview
  statistics: Statistics | undefined
  warnings: Warnings | undefined
}) {
  const lists = fleet.servers.flatMap(server => server.lists)
  const block = lists.reduce((sum, list) => sum + list.pendingBlock, 0)
  const unblock = lists.reduce((sum, list) => sum + list.pendingUnblock, 0)
  const active = fleet.servers.reduce((sum, server) => sum + activeOf(server), 0)
  const critical = warnings?.warnings.filter(one => one.level === 'critical').length ?? 0
  const total = warnings?.warnings.length ?? 0
  const off = warnings?.threshold === null
  return (
    <div class="tiles">
      <Tile
        label={t('overview.bansToday')}
        value={statistics && num(statistics.periods.today.bans)}
        detail={
          statistics &&
          t('overview.versus', { yesterday: statistics.periods.yesterday.bans, mean: statistics.mean7 })
        }
        to={href('events', { action: 'Ban' })}
      />
      <Tile
        label={t('overview.addresses')}
        value={statistics && num(statistics.periods.today.addresses)}
        detail={
          statistics && t('overview.addresses.yesterday', { n: statistics.periods.yesterday.addresses })
        }
        to={href('statistics')}
      />
      <Tile
        label={t('overview.warnings')}
        value={warnings && (off ? '–' : num(total))}
        detail={
          warnings &&
          (off
            ? t('overview.warnings.off')
            : t(critical > 0 ? 'overview.warnings.detail' : 'overview.warnings.none', { n: critical }))
        }
        to={href('warnings')}
        tone={critical > 0 ? 'bad' : total > 0 ? 'wait' : undefined}
      />
      <Tile
        label={t('overview.blocked')}
        value={num(active)}
        detail={t('overview.blocked.detail', { n: fleet.servers.length })}
        to={href('blocklists', { state: 'active' })}
      />
      <Tile
        label={t('overview.pending')}
        value={num(block + unblock)}
        detail={t('overview.pending.detail', { block, unblock })}
        to={href('blocklists', { state: 'pending' })}
        tone={block + unblock > 0 ? 'wait' : undefined}
      />
    </div>
  )
}

function NoServer() {
  return (
    <section class="panel">
      <Empty title={t('servers.none')}>
        <p>{t('servers.none.how')}</p>
        {mayChange.value && (
          <pre>
            <code>
              fail2ban-report client add web-1 --server-url{' '}
              {new URL('.', location.href).href.replace(/\/$/, '')}
            </code>
          </pre>
        )}
      </Empty>
    </section>
  )
}
