import type { WhitelistEntry } from '../data/shapes.js'
import { isOver, placesOf } from '../data/whitelist-rows.js'
import { ago, moment, t } from '../state/i18n.js'
import { href } from '../state/route.js'
import { removeFromWhitelist } from '../state/whitelisting.js'

/** One cell of the whitelist's table. What came from a file is set as text. */
export function WhitelistCell({
  entry,
  column,
  now
}: {
  entry: WhitelistEntry | undefined
  column: string
  now: number
}) {
  if (entry === undefined) return null
  switch (column) {
    case 'ip':
      return (
        <a class="ip" tabIndex={-1} title={entry.ip} href={href('address', { ip: entry.ip })}>
          {entry.ip}
        </a>
      )
    case 'description':
      return <span title={entry.description ?? ''}>{entry.description ?? ''}</span>
    case 'where': {
      const places = placesOf(entry)
      return places.length === 0 ? (
        <span class="quiet">{t('servers.all')}</span>
      ) : (
        <span title={places.join(', ')}>{places.join(', ')}</span>
      )
    }
    case 'since':
      return <time title={entry.addedAt ?? ''}>{moment(entry.addedAt) || t('lists.unknown')}</time>
    case 'by':
      return <span>{entry.addedBy ?? ''}</span>
    case 'ends':
      return (
        <>
          {!isOver(entry, now) && <span class="only-narrow">{t('col.ends')} </span>}
          <WhitelistEnd entry={entry} now={now} />
        </>
      )
    default:
      return (
        <button
          type="button"
          class="small"
          tabIndex={-1}
          aria-label={t('white.remove.one', { ip: entry.ip })}
          onClick={() => void removeFromWhitelist([entry])}
        >
          {t('white.remove.short')}
        </button>
      )
  }
}

/** When an entry ends; one that has ended is told apart by a sign too. */
export function WhitelistEnd({ entry, now }: { entry: WhitelistEntry; now: number }) {
  if (entry.expires == null) return <span class="quiet">{t('lists.never')}</span>
  if (isOver(entry, now)) {
    return (
      <span class="badge quiet" title={moment(entry.expires)}>
        <span aria-hidden="true">○</span> {t('lists.state.expired')}
      </span>
    )
  }
  return <time title={moment(entry.expires)}>{ago(entry.expires, now)}</time>
}
