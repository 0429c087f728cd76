import { useState } from 'preact/hooks'
import { stateOf, type EntryRow } from '../data/entry-rows.js'
import type { AddressReply, Overview } from '../data/shapes.js'
import { askUnblock } from '../state/blocking.js'
import { moment, t } from '../state/i18n.js'
import { mayChange } from '../state/session.js'
import { EntryDetails } from './entry-details.js'
import { EntryBadge, isBlocked, pendingWords, placeOf } from './entry-cell.js'
import { timeOf } from '../data/time.js'

/** The blocklists that have an address, or a network around it. */
export function AddressLists({ reply, fleet }: { reply: AddressReply; fleet: Overview | undefined }) {
  const [opened, setOpened] = useState<EntryRow>()
  const now = timeOf(fleet?.time) || Date.now()
  const rows: EntryRow[] = reply.entries.map(one => ({ ...one, state: stateOf(one.entry, now) }))
  return (
    <section class="panel" aria-labelledby="address-lists">
      <h2 id="address-lists">{t('address.lists')}</h2>
      {rows.length === 0 && <p class="quiet">{t('address.lists.none')}</p>}
      <ul class="plain-list">
        {rows.map(row => {
          const host = fleet?.servers.find(server => server.name === row.server)
          return (
            <li key={`${row.server} ${row.jail} ${row.entry.ip}`}>
              <EntryBadge row={row} host={host} now={now} />
              <span class="grow">
                <strong>{row.server}</strong> · {row.jail}
                {row.entry.ip !== reply.ip && ` · ${t('address.within', { ip: row.entry.ip })}`}
                <br />
                <small class="quiet">
                  {row.state.startsWith('pending')
                    ? pendingWords(row, host, now)
                    : moment(row.entry.timestamp)}
                  {(row.entry.reason ?? '') !== '' && ` · ${row.entry.reason ?? ''}`}
                </small>
              </span>
              <button
                type="button"
                class="small quiet"
                aria-label={t('lists.details', { ip: row.entry.ip })}
                onClick={() => setOpened(row)}
              >
                …
              </button>
              {mayChange.value && isBlocked(row) && (
                <button
                  type="button"
                  class="small"
                  aria-label={t('lists.unblock.one', { ip: row.entry.ip })}
                  onClick={() =>
                    void askUnblock({ places: [placeOf(row)], entries: [{ ...row.entry, jail: row.jail }] })
                  }
                >
                  {t('lists.unblock')}
                </button>
              )}
            </li>
          )
        })}
      </ul>
      {opened && (
        <EntryDetails
          row={opened}
          host={fleet?.servers.find(server => server.name === opened.server)}
          now={now}
          onClose={() => setOpened(undefined)}
        />
      )}
    </section>
  )
}
