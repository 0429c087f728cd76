import { useState } from 'preact/hooks'
import type { AuditPage } from '../data/shapes.js'
import { query } from '../state/api.js'
import { moment, t } from '../state/i18n.js'
import { useResources } from '../state/resource.js'
import { ActorName, whatWords } from './audit-words.js'
import { Failed, Loading } from './states.js'

const MOST = 200

/** What was done about an address on all servers; read only when somebody wants to know. */
export function AddressHistory({ ip, servers }: { ip: string; servers: readonly string[] }) {
  const [wanted, setWanted] = useState(false)
  return (
    <section class="panel" aria-labelledby="address-history">
      <h2 id="address-history">{t('address.history')}</h2>
      {wanted ? (
        <Rows ip={ip} servers={servers} />
      ) : (
        <button type="button" class="small" onClick={() => setWanted(true)}>
          {t('address.history.show')}
        </button>
      )}
    </section>
  )
}

function Rows({ ip, servers }: { ip: string; servers: readonly string[] }) {
  const pages = useResources<AuditPage>(
    servers.map(server => ({
      path: `servers/${encodeURIComponent(server)}/audit${query({ ip, limit: String(MOST) })}`,
      live: true
    }))
  )
  const problem = pages.find(one => one.problem.value !== undefined)?.problem.value
  if (pages.some(one => one.value.value === undefined && one.problem.value === undefined)) return <Loading />
  const rows = pages
    .flatMap(one => (one.value.value?.rows ?? []).map(row => ({ ...row, of: one.value.value?.server ?? '' })))
    .sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0))
    .slice(0, MOST)
  return (
    <>
      {problem && <Failed problem={problem} />}
      {rows.length === 0 ? (
        <p class="quiet">{t('history.none')}</p>
      ) : (
        <div class="scroll-x">
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{t('col.time')}</th>
                <th scope="col">{t('history.what')}</th>
                <th scope="col">{t('col.server')}</th>
                <th scope="col">{t('col.jail')}</th>
                <th scope="col">{t('white.by')}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(row => (
                <tr key={`${row.of} ${row.id}`}>
                  <td class="mono">{moment(row.time)}</td>
                  <td>{whatWords(row.what)}</td>
                  <td data-label={t('col.server')}>{row.of}</td>
                  <td data-label={t('col.jail')}>{row.jail ?? ''}</td>
                  <td data-label={t('white.by')}>
                    <ActorName actor={row.actor} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}
