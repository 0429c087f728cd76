import { ACTIONS } from '../data/event-table.js'
import type { AddressReply } from '../data/shapes.js'
import { dayName, t } from '../state/i18n.js'

const MOST = 200

/** The events of one address on all servers, newest first. */
export function AddressEvents({ reply }: { reply: AddressReply }) {
  const { events, total } = reply
  const shown = events.slice(0, MOST)
  return (
    <section class="panel" aria-labelledby="address-events">
      <h2 id="address-events">{t('address.events')}</h2>
      {shown.length === 0 ? (
        <p class="quiet">{t('address.events.none')}</p>
      ) : (
        <div class="scroll-x">
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{t('col.time')}</th>
                <th scope="col">{t('col.action')}</th>
                <th scope="col">{t('col.server')}</th>
                <th scope="col">{t('col.jail')}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((event, at) => {
                const action = ACTIONS.find(one => one === event.action)
                return (
                  <tr key={at}>
                    <td class="cell-time">
                      <time title={event.timestamp}>
                        {dayName(event.timestamp.slice(0, 10).replaceAll('-', ''), 'full')}{' '}
                        {event.timestamp.slice(11, 19)}
                      </time>
                    </td>
                    <td>
                      <span class={`action ${(action ?? '').replace(' ', '-').toLowerCase()}`}>
                        {action === undefined ? event.action : t(`action.${action}`)}
                      </span>
                    </td>
                    <td data-label={t('col.server')}>{event.server}</td>
                    <td data-label={t('col.jail')}>{event.jail}</td>
                  </tr>
                )
              })}
            </tbody>
          </table>
        </div>
      )}
      {shown.length > 0 && <p class="quiet">{t('events.clock')}</p>}
      {total > shown.length && (
        <p class="quiet">{t('address.events.more', { n: shown.length, all: total })}</p>
      )}
    </section>
  )
}
