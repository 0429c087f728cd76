import type { AddressReply } from '../data/shapes.js'
import { isOver, placesOf } from '../data/whitelist-rows.js'
import { moment, now, t } from '../state/i18n.js'
import { mayChange } from '../state/session.js'
import { removeFromWhitelist } from '../state/whitelisting.js'
import { WhitelistEnd } from './whitelist-cell.js'

/** The entries of the whitelist that protect an address, or a part of a network. */
export function AddressWhitelist({ reply }: { reply: AddressReply }) {
  const entries = reply.whitelist ?? []
  const holds = entries.some(entry => !isOver(entry, now.value))
  return (
    <section class="panel" aria-labelledby="address-white">
      <header class="panel-head">
        <h2 id="address-white">{t('view.whitelist')}</h2>
        {holds && <span class="good">✓ {t('white.protected')}</span>}
      </header>
      {reply.whitelist === null && <p class="bad">{t('white.unreadable')}</p>}
      {reply.whitelist !== null && entries.length === 0 && <p class="quiet">{t('white.not')}</p>}
      <ul class="plain-list">
        {entries.map(entry => (
          <li key={entry.ip}>
            <span class="grow">
              <strong class="ip">{entry.ip}</strong>
              {(entry.description ?? '') !== '' && ` · ${entry.description ?? ''}`}
              <br />
              <small class="quiet">
                {placesOf(entry).length === 0 ? t('servers.all') : placesOf(entry).join(', ')} ·{' '}
                {entry.addedBy ?? ''} {moment(entry.addedAt)} · {t('col.ends')}:{' '}
                <WhitelistEnd entry={entry} now={now.value} />
              </small>
            </span>
            {mayChange.value && (
              <button
                type="button"
                class="small"
                aria-label={t('white.remove.one', { ip: entry.ip })}
                onClick={() => void removeFromWhitelist([entry])}
              >
                {t('white.remove.short')}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}
