import type { BlocklistEntry, Entries } from './api.js'
import { button, byId, make, moment } from './elements.js'

/** Rows drawn at most: the filter finds the others. */
const MOST_ROWS = 500

const STATES = {
  active: 'active',
  pendingBlock: 'pending: to be blocked',
  pendingUnblock: 'pending: to be let in',
  expired: 'expired',
  inactive: 'not blocked'
} as const

/** Draws the entries that contain `filter`. @param unblock undefined for those who may not */
export function drawEntries(
  list: Entries,
  filter: string,
  unblock: ((ip: string) => void) | undefined
): void {
  const wanted = filter.trim().toLowerCase()
  const found = list.entries.filter(entry =>
    `${entry.ip} ${entry.reason ?? ''}`.toLowerCase().includes(wanted)
  )
  byId('list-title', HTMLElement).textContent = `${list.jail} on ${list.server}`
  const shown = Math.min(found.length, MOST_ROWS)
  byId('list-count', HTMLElement).textContent =
    shown < found.length ? `${shown} of ${found.length} entries; filter to see others` : `${shown} entries`
  const now = Date.now()
  const rows = found.slice(0, MOST_ROWS).map(entry => row(entry, now, unblock))
  byId('entries', HTMLElement).replaceChildren(...rows)
}

function row(entry: BlocklistEntry, now: number, unblock: ((ip: string) => void) | undefined): HTMLElement {
  const state = stateOf(entry, now)
  const blocked = state === 'active' || state === 'pendingBlock'
  const action = unblock !== undefined && blocked ? [button('Unblock', () => unblock(entry.ip))] : []
  action[0]?.setAttribute('aria-label', `Unblock ${entry.ip}`)
  const labelled = (label: string, text: string) => (text === '' ? make('td') : make('td', { label }, text))
  return make(
    'tr',
    {},
    make('td', {}, entry.ip),
    make('td', { className: state }, STATES[state]),
    labelled('since', moment(entry.timestamp)),
    labelled('ends', moment(entry.expires)),
    make('td', {}, entry.reason ?? ''),
    make('td', {}, ...action)
  )
}

/** As the server counts them (sync-contract.md §4, §5.7). */
function stateOf(entry: BlocklistEntry, now: number): keyof typeof STATES {
  const ended = Date.parse(entry.expires ?? '') <= now
  const wanted = entry.active !== false && !ended
  if (entry.pending === true) return wanted ? 'pendingBlock' : 'pendingUnblock'
  if (entry.active === false) return 'inactive'
  return ended ? 'expired' : 'active'
}
