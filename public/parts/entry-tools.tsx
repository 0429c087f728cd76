import { keyOf, type EntryRow } from '../data/entry-rows.js'
import { askUnblock, blockDialog } from '../state/blocking.js'
import { t } from '../state/i18n.js'
import { go, listParam, param } from '../state/route.js'
import { mayChange } from '../state/session.js'
import { whitelistDialog } from '../state/whitelisting.js'
import { isBlocked, placeOf } from './entry-cell.js'
import { addressesHref } from './event-tools.js'
import { ExportMenu } from './export-menu.js'
import { chosenWords, Tools } from './tools.js'

const HEAD = ['ip', 'server', 'jail', 'state', 'timestamp', 'expires', 'reason', 'source', 'tags'] as const

/** How many entries there are, and what can be done with those that are chosen, or with all that are shown. */
export function EntryTools({
  rows,
  all,
  chosen,
  onClear
}: {
  rows: readonly EntryRow[]
  all: number
  chosen: ReadonlySet<string>
  onClear: () => void
}) {
  const some = chosen.size > 0
  const meant = some ? rows.filter(row => chosen.has(keyOf(row))) : rows
  const blocked = some ? meant.filter(isBlocked) : []
  const ips = [...new Set(meant.map(row => row.entry.ip))]
  const server = param('server')
  return (
    <Tools
      count={
        some
          ? chosenWords(meant.length, ips.length)
          : t(rows.length === all ? 'lists.count.all' : 'lists.count', { n: rows.length, all })
      }
      onClear={some ? onClear : undefined}
    >
      {mayChange.value && !some && (
        <button
          type="button"
          class="primary"
          data-block
          onClick={() =>
            (blockDialog.value = { servers: server === '' ? [] : [server], jails: listParam('jail') })
          }
        >
          {t('lists.add')}
        </button>
      )}
      {mayChange.value && blocked.length > 0 && (
        <button
          type="button"
          class="primary"
          onClick={() => {
            const entries = blocked.map(row => ({ ...row.entry, jail: row.jail }))
            void askUnblock({ places: blocked.map(placeOf), entries }).then(onClear)
          }}
        >
          {t('select.unblock')}
        </button>
      )}
      {mayChange.value && some && (
        <button type="button" onClick={() => (whitelistDialog.value = { ips })}>
          {t('select.whitelist')}
        </button>
      )}
      {some && (
        <button type="button" onClick={() => go(addressesHref(ips))}>
          {t('select.info')}
        </button>
      )}
      <ExportMenu
        name="blocklist"
        head={HEAD}
        rows={() => meant.map(textsOf)}
        lines={() => meant.map(row => row.entry.ip)}
      />
    </Tools>
  )
}

function textsOf({ server, jail, state, entry }: EntryRow): string[] {
  const { ip, timestamp, expires, reason, source, tags } = entry
  return [
    ip,
    server,
    jail,
    state,
    timestamp ?? '',
    expires ?? '',
    reason ?? '',
    source ?? '',
    (tags ?? []).join(' ')
  ]
}
