import { nextOf } from '../data/host-state.js'
import type { EntryRow, EntryState } from '../data/entry-rows.js'
import type { ServerSummary } from '../data/shapes.js'
import { askUnblock } from '../state/blocking.js'
import { ago, moment, t } from '../state/i18n.js'
import { href } from '../state/route.js'

const SIGNS: Record<EntryState, [string, string]> = {
  active: ['●', 'good'],
  pendingBlock: ['◔', 'wait'],
  pendingUnblock: ['◔', 'wait'],
  expired: ['○', 'quiet'],
  inactive: ['○', 'quiet']
}

/** One cell of the table of entries. What came from a file is set as text. */
export function EntryCell({
  row,
  column,
  hosts,
  now,
  onOpen
}: {
  row: EntryRow | undefined
  column: string
  hosts: ReadonlyMap<string, ServerSummary>
  now: number
  onOpen: (row: EntryRow) => void
}) {
  if (row === undefined) return null
  const { entry } = row
  switch (column) {
    case 'ip':
      return (
        <a class="ip" tabIndex={-1} title={entry.ip} href={href('address', { ip: entry.ip })}>
          {entry.ip}
        </a>
      )
    case 'state':
      return <EntryBadge row={row} host={hosts.get(row.server)} now={now} />
    case 'since':
      return <time title={entry.timestamp ?? ''}>{moment(entry.timestamp)}</time>
    case 'ends':
      return entry.expires == null ? (
        <span class="quiet">{t('lists.never')}</span>
      ) : (
        <time title={moment(entry.expires)}>{ago(entry.expires, now)}</time>
      )
    case 'reason':
      return (
        <span title={entry.reason ?? ''}>
          {(entry.tags ?? []).map(tag => (
            <span key={tag} class="tag">
              {tag}
            </span>
          ))}
          {entry.reason ?? ''}
        </span>
      )
    case 'act':
      return (
        <>
          {isBlocked(row) && (
            <button
              type="button"
              class="small"
              tabIndex={-1}
              aria-label={t('lists.unblock.one', { ip: entry.ip })}
              onClick={() =>
                void askUnblock({ places: [placeOf(row)], entries: [{ ...entry, jail: row.jail }] })
              }
            >
              {t('lists.unblock')}
            </button>
          )}
          <button
            type="button"
            class="small quiet"
            tabIndex={-1}
            aria-label={t('lists.details', { ip: entry.ip })}
            onClick={() => onOpen(row)}
          >
            …
          </button>
        </>
      )
    default:
      return <span>{column === 'server' ? row.server : row.jail}</span>
  }
}

/** The state, with a sign; what waits tells for whom and since when. */
export function EntryBadge({
  row,
  host,
  now
}: {
  row: EntryRow
  host: ServerSummary | undefined
  now: number
}) {
  const [sign, tone] = SIGNS[row.state]
  const pending = row.state === 'pendingBlock' || row.state === 'pendingUnblock'
  const title = pending ? { title: pendingWords(row, host, now) } : {}
  return (
    <span class={`badge ${tone}`} {...title}>
      <span aria-hidden="true">{sign}</span> {t(`lists.state.${row.state}`)}
    </span>
  )
}

/** Since when an entry waits, and when its host is expected. @param now the server's time, milliseconds */
export function pendingWords(row: EntryRow, host: ServerSummary | undefined, now: number): string {
  const since = row.entry.lastModified ?? row.entry.timestamp
  const next = host === undefined ? NaN : nextOf(host)
  const key = Number.isNaN(next)
    ? 'lists.pending.never'
    : next < now
      ? 'lists.pending.overdue'
      : 'lists.pending.expected'
  return t(key, {
    since: since == null ? '–' : ago(since, now),
    server: row.server,
    when: Number.isNaN(next) ? '' : ago(new Date(next).toISOString(), now)
  })
}

/** True for what can be unblocked. */
export function isBlocked(row: EntryRow): boolean {
  return row.state === 'active' || row.state === 'pendingBlock'
}

/** Where an entry stands. */
export function placeOf(row: EntryRow): { server: string; jail: string; ip: string } {
  return { server: row.server, jail: row.jail, ip: row.entry.ip }
}
