import { dashed } from '../data/event-table.js'
import type { Overview, Warning, Warnings } from '../data/shapes.js'
import { Empty, Failed, Loading } from '../parts/states.js'
import { ServerSelect } from '../parts/server-select.js'
import { query } from '../state/api.js'
import { num, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { change, href, param } from '../state/route.js'

/** Rows that are drawn; a day with more is under attack all day long. */
const MOST = 1000

/** The minutes in which a jail banned too often. */
export function WarningsView() {
  const today = useResource<Overview>('servers').value.value?.today ?? ''
  const server = param('server')
  const day = param('day') || today
  const warnings = useResource<Warnings>(`warnings${query({ server, day: param('day') })}`)
  const reply = warnings.value.value
  return (
    <section class="panel" aria-label={t('view.warnings')}>
      <div class="toolbar">
        <ServerSelect />
        <label class="field">
          {t('events.day')}
          <input
            type="date"
            value={dashed(day)}
            max={dashed(today)}
            onChange={event => {
              const chosen = event.currentTarget.value.replaceAll('-', '')
              change({ day: chosen === today ? undefined : chosen })
            }}
          />
        </label>
        {reply?.threshold && <p class="quiet toolbar-note">{t('warn.rule', reply.threshold)}</p>}
      </div>
      {warnings.problem.value && <Failed problem={warnings.problem.value} />}
      {reply === undefined ? warnings.problem.value === undefined && <Loading /> : <Rows reply={reply} />}
    </section>
  )
}

function Rows({ reply }: { reply: Warnings }) {
  if (reply.threshold === null) return <Empty title={t('warn.off')} />
  if (reply.warnings.length === 0) {
    return (
      <Empty title={t('warn.none')}>
        <p>{t('warn.none.detail', reply.threshold)}</p>
      </Empty>
    )
  }
  const critical = reply.warnings.filter(one => one.level === 'critical').length
  return (
    <>
      <p class="tools-count" role="status">
        {t('warn.count.warning', { n: reply.warnings.length - critical })} ·{' '}
        {t('warn.count.critical', { n: critical })}
      </p>
      <div class="scroll-x">
        <table class="rows warnings">
          <thead>
            <tr>
              <th scope="col">{t('warn.level')}</th>
              <th scope="col">{t('warn.minute')}</th>
              <th scope="col">{t('server')}</th>
              <th scope="col">{t('jail')}</th>
              <th scope="col" class="number">
                {t('warn.events')}
              </th>
              <th scope="col" class="number">
                {t('warn.addresses')}
              </th>
              <th scope="col">
                <span class="unseen">{t('col.actions')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {reply.warnings.slice(0, MOST).map(one => (
              <WarningRow key={`${one.server} ${one.minute} ${one.jail}`} one={one} day={reply.day} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

function WarningRow({ one, day }: { one: Warning; day: string }) {
  const critical = one.level === 'critical'
  return (
    <tr>
      <td>
        <span class={`badge ${critical ? 'bad' : 'wait'}`}>
          <span aria-hidden="true">{critical ? '✕' : '⚠'}</span> {t(`warn.${one.level}`)}
        </span>
      </td>
      <td class="mono">{one.minute}</td>
      <td data-label={t('server')}>{one.server}</td>
      <td data-label={t('jail')}>{one.jail}</td>
      <td class="number strong" data-label={t('warn.events')}>
        {num(one.events)}
      </td>
      <td class="number" data-label={t('warn.addresses')}>
        {num(one.addresses)}
      </td>
      <td>
        <a
          href={href('events', {
            ...{ server: one.server, from: day, to: day },
            ...{ jail: one.jail, action: 'Ban', minute: one.minute }
          })}
        >
          {t('warn.show')}
        </a>
      </td>
    </tr>
  )
}
