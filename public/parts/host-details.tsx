import type { ServerSummary } from '../data/shapes.js'
import { activeOf, hostState, isSkewed, pendingOf } from '../data/host-state.js'
import { commandDialog } from '../state/commanding.js'
import { isCopy } from '../state/copy.js'
import { duration, moment, num, t } from '../state/i18n.js'
import { href } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { Dialog } from './dialog.js'
import { LastSync, StateBadge } from './host-table.js'
import { SyncWhitelist, WhitelistBadge, whitelistWords } from './whitelist-state.js'

/** Everything of one host, and where to go from there. @param now the server's time, milliseconds */
export function HostDetails({
  server,
  now,
  onClose
}: {
  server: ServerSummary
  now: number
  onClose: () => void
}) {
  const { name, host } = server
  const { whitelist, clockSkewMs } = host
  return (
    <Dialog title={name} onClose={onClose}>
      <p>
        <StateBadge state={hostState(server, now)} pending={pendingOf(server)} />{' '}
        {isSkewed(server) && (
          <span class="bad">⚠ {t('host.skew', { time: duration(clockSkewMs ?? 0) })}</span>
        )}
      </p>
      {server.problem !== undefined && <p class="bad">{server.problem}</p>}
      {server.setAside.map(file => (
        <p key={file} class="bad">
          {t('host.setAside', { name: file })}
        </p>
      ))}
      <dl class="facts">
        <div>
          <dt>{t('host.lastSync')}</dt>
          <dd>
            <LastSync server={server} now={now} />
          </dd>
        </div>
        <Fact name={t('host.blocked')} value={num(activeOf(server))} />
        <Fact name={t('host.client')} value={host.version} />
        <Fact name={t('host.firewall')} value={host.firewall} />
        <Fact name={t('host.peer')} value={host.peer} />
        <div>
          <dt>{t('view.whitelist')}</dt>
          <dd>
            <WhitelistBadge server={server} now={now} /> <span>{whitelistWords(server, now)}</span>
          </dd>
        </div>
        <Fact name={t('host.white.at')} value={moment(whitelist?.at)} />
        <Fact name={t('host.white.result')} value={whitelist && t(`host.white.result.${whitelist.result}`)} />
        <Fact name={t('host.white.hash')} value={whitelist?.hash} mono />
      </dl>
      <nav class="host-links" aria-label={name}>
        <a href={href('events', { server: name })}>{t('view.events')}</a>
        <a href={href('blocklists', { server: name })}>{t('view.blocklists')}</a>
        <a href={href('statistics', { server: name })}>{t('view.statistics')}</a>
        <a href={href('warnings', { server: name })}>{t('view.warnings')}</a>
        {!isCopy && <a href={href('commands', { server: name })}>{t('view.commands')}</a>}
      </nav>
      {mayChange.value && (
        <footer>
          <SyncWhitelist server={name} />
          <button type="button" onClick={() => (commandDialog.value = { servers: [name] })}>
            {t('command.open')}
          </button>
        </footer>
      )}
    </Dialog>
  )
}

function Fact({ name, value, mono = false }: { name: string; value: string | undefined; mono?: boolean }) {
  if ((value ?? '') === '') return null
  return (
    <div>
      <dt>{name}</dt>
      <dd class={mono ? 'mono' : ''}>{value}</dd>
    </div>
  )
}
