import type { EntryRow } from '../data/entry-rows.js'
import type { ServerSummary } from '../data/shapes.js'
import { isCopy } from '../state/copy.js'
import { moment, t } from '../state/i18n.js'
import { href } from '../state/route.js'
import { Dialog } from './dialog.js'
import { EntryBadge, pendingWords } from './entry-cell.js'
import { EntryHistory } from './entry-history.js'

/** Everything an entry says. */
export function EntryDetails({
  row,
  host,
  now,
  onClose
}: {
  row: EntryRow
  host: ServerSummary | undefined
  now: number
  onClose: () => void
}) {
  const { entry, state } = row
  const unknown = t('lists.unknown')
  const facts: [string, string][] = [
    [t('col.server'), row.server],
    [t('col.jail'), row.jail],
    [t('lists.asked'), moment(entry.timestamp) || unknown],
    [t('lists.changed'), moment(entry.lastModified) || unknown],
    [t('col.ends'), entry.expires == null ? t('lists.never') : moment(entry.expires)],
    [t('col.reason'), (entry.reason ?? '') || unknown],
    [t('col.source'), (entry.source ?? '') || unknown],
    [t('lists.tags'), (entry.tags ?? []).join(', ') || '–']
  ]
  return (
    <Dialog title={entry.ip} onClose={onClose}>
      <p>
        <EntryBadge row={row} host={host} now={now} />{' '}
        {(state === 'pendingBlock' || state === 'pendingUnblock') && pendingWords(row, host, now)}
      </p>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {!isCopy && <EntryHistory server={row.server} jail={row.jail} ip={entry.ip} />}
      <footer>
        <a href={href('address', { ip: entry.ip })} onClick={onClose}>
          {t('lists.address')}
        </a>
      </footer>
    </Dialog>
  )
}
