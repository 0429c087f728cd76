import { useRef } from 'preact/hooks'
import { parseIp } from '../data/ip.js'
import type { AddressReply, Overview } from '../data/shapes.js'
import { AddressEvents } from '../parts/address-events.js'
import { AddressHistory } from '../parts/address-history.js'
import { AddressLists } from '../parts/address-lists.js'
import { AddressWhitelist } from '../parts/address-whitelist.js'
import { Lookups } from '../parts/lookups.js'
import { Failed, Loading } from '../parts/states.js'
import { Tile } from '../parts/tile.js'
import { query } from '../state/api.js'
import { blockDialog } from '../state/blocking.js'
import { isCopy } from '../state/copy.js'
import { countryName, dayName, num, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { go, href, listParam, param } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { whitelistDialog } from '../state/whitelisting.js'

/** Everything that is known of an address or network. */
export function AddressView() {
  const ips = listParam('ip')
  const ip = param('show') || (ips[0] ?? '')
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <form
        class="toolbar plain"
        role="search"
        onSubmit={event => {
          event.preventDefault()
          go(href('address', { ip: input.current?.value.trim() }))
        }}
      >
        <label class="field search">
          {t('address.search')}
          <input
            key={ip}
            ref={input}
            type="search"
            data-search
            defaultValue={ip}
            placeholder="203.0.113.9"
            autocomplete="off"
            spellcheck={false}
          />
        </label>
        <button type="submit" class="primary">
          {t('address.go')}
        </button>
      </form>
      {ips.length > 1 && (
        <nav class="chips" aria-label={t('view.address')}>
          {ips.map(one => (
            <a
              key={one}
              class="chip ip"
              href={severalHref(ips, one)}
              aria-current={one === ip ? 'true' : 'false'}
            >
              {one}
            </a>
          ))}
        </nav>
      )}
      {ip !== '' &&
        (parseIp(ip) === undefined ? (
          <p class="banner bad" role="alert">
            {t('address.bad', { text: ip })}
          </p>
        ) : (
          <Known key={ip} ip={ip} />
        ))}
    </>
  )
}

function Known({ ip }: { ip: string }) {
  const found = useResource<AddressReply>(`address${query({ ip })}`)
  const fleet = useResource<Overview>('servers').value.value
  const reply = found.value.value
  if (reply === undefined)
    return found.problem.value === undefined ? <Loading /> : <Failed problem={found.problem.value} />
  const bans = reply.events.filter(event => event.action === 'Ban').length
  const servers = [...new Set(reply.events.map(event => event.server))]
  const jails = [...new Set(reply.events.map(event => event.jail))]
  return (
    <>
      <header class="panel-head address-head">
        <h2>
          <span class="ip">{reply.ip}</span>
          {reply.country !== null && <span class="country"> {countryName(reply.country)}</span>}
        </h2>
        {mayChange.value && (
          <span class="buttons">
            <button type="button" onClick={() => (whitelistDialog.value = { ips: [reply.ip] })}>
              {t('select.whitelist')}
            </button>
            <button
              type="button"
              class="primary"
              data-block
              onClick={() => (blockDialog.value = { ips: [reply.ip], servers, jails })}
            >
              {t('select.block')}
            </button>
          </span>
        )}
      </header>
      {found.problem.value && <Failed problem={found.problem.value} />}
      <div class="tiles">
        <Tile label={t('address.events')} value={num(reply.total)} detail={t('address.bans', { n: bans })} />
        <Tile
          label={t('address.servers')}
          value={num(servers.length)}
          detail={servers.slice(0, 4).join(', ')}
        />
        <Tile
          label={t('address.first')}
          value={hostDay(reply.events.at(-1)?.timestamp)}
          detail={clockOf(reply.events.at(-1)?.timestamp)}
        />
        <Tile
          label={t('address.last')}
          value={hostDay(reply.events[0]?.timestamp)}
          detail={clockOf(reply.events[0]?.timestamp)}
        />
      </div>
      <div class="columns level">
        <AddressLists reply={reply} fleet={fleet} />
        <div class="stack-panels">
          <AddressWhitelist reply={reply} />
          <Lookups ip={reply.ip} />
        </div>
      </div>
      <AddressEvents reply={reply} />
      {!isCopy && <AddressHistory ip={reply.ip} servers={(fleet?.servers ?? []).map(one => one.name)} />}
    </>
  )
}

function severalHref(ips: readonly string[], show: string): string {
  const params = new URLSearchParams({ view: 'address', show })
  for (const ip of ips) params.append('ip', ip)
  return `?${params.toString()}`
}

/** A day by the host's own clock. */
function hostDay(stamp: string | undefined): string {
  return stamp === undefined ? '–' : dayName(stamp.slice(0, 10).replaceAll('-', ''), 'full')
}

function clockOf(stamp: string | undefined): string | undefined {
  return stamp?.slice(11, 19)
}
