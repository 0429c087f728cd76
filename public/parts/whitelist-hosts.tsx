import { useId } from 'preact/hooks'
import type { ServerSummary } from '../data/shapes.js'
import { whitelistState } from '../data/whitelist-state.js'
import { t } from '../state/i18n.js'
import { href } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { placeBelow } from './place-below.js'
import { SyncWhitelist, WhitelistBadge, whitelistWords } from './whitelist-state.js'

const GRAVITY = ['failed', 'behind', 'unknown', 'never', 'inStep']

/** On how many hosts the whitelist holds as it is, and which ones lag. @param now the server's time, milliseconds */
export function WhitelistHosts({ servers, now }: { servers: readonly ServerSummary[]; now: number }) {
  const id = useId()
  if (servers.length === 0) return null
  const rows = servers
    .map(server => ({ server, gravity: GRAVITY.indexOf(whitelistState(server)) }))
    .sort((a, b) => a.gravity - b.gravity || (a.server.name < b.server.name ? -1 : 1))
  const inStep = rows.filter(one => whitelistState(one.server) === 'inStep').length
  const tone = inStep === rows.length ? 'good' : rows[0]?.gravity === 0 ? 'bad' : 'wait'
  return (
    <>
      <button type="button" popovertarget={id}>
        <span class={tone} aria-hidden="true">
          {tone === 'good' ? '✓' : '⚠'}
        </span>{' '}
        {t('white.hosts', { n: inStep, all: rows.length })} <span aria-hidden="true">▾</span>
      </button>
      <div
        id={id}
        popover="auto"
        class="menu white-hosts"
        role="group"
        aria-label={t('white.hosts.title')}
        onBeforeToggle={placeBelow}
      >
        <ul class="plain-list">
          {rows.map(({ server }) => (
            <li key={server.name}>
              <span class="grow">
                <a href={href('overview', { host: server.name })}>{server.name}</a>
                <br />
                <small class="quiet">{whitelistWords(server, now)}</small>
              </span>
              <WhitelistBadge server={server} now={now} />
              {mayChange.value && <SyncWhitelist server={server.name} small />}
            </li>
          ))}
        </ul>
      </div>
    </>
  )
}
