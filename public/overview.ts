import type { ListSummary, Overview, ServerSummary } from './api.js'
import { button, byId, make, moment } from './elements.js'

/** The list that is shown below the servers. */
export interface Chosen {
  server: string
  jail: string
}

/** Draws a card per server with a button per list. */
export function drawServers(
  overview: Overview,
  chosen: Chosen | undefined,
  choose: (list: Chosen) => void
): void {
  const cards = overview.servers.map(server => card(server, Date.parse(overview.time), chosen, choose))
  const none = make('p', {}, 'No host has been added yet.')
  byId('server-cards', HTMLElement).replaceChildren(...(cards.length === 0 ? [none] : cards))
}

function card(
  server: ServerSummary,
  now: number,
  chosen: Chosen | undefined,
  choose: (list: Chosen) => void
): HTMLElement {
  const { host } = server
  const lists = server.lists.map(list => {
    const one = button('', () => choose({ server: server.name, jail: list.jail }))
    one.append(make('strong', {}, list.jail), make('span', {}, numbers(list)))
    one.setAttribute('aria-pressed', String(chosen?.server === server.name && chosen.jail === list.jail))
    return make('li', {}, one)
  })
  const facts = [host.version, host.firewall].filter(text => text !== undefined).join(', ')
  const wrong = [...(server.problem === undefined ? [] : [server.problem]), ...server.setAside.map(setAside)]
  return make(
    'article',
    { className: 'card' },
    make('h3', {}, server.name),
    make('p', {}, `Last seen: ${ago(host.lastSeen, now)}${facts === '' ? '' : ` (${facts})`}`),
    ...wrong.map(text => make('p', { className: 'bad' }, text)),
    ...(lists.length === 0 ? [make('p', {}, 'No blocklist yet.')] : [make('ul', {}, ...lists)])
  )
}

function setAside(name: string): string {
  return `A corrupt file was set aside: ${name}`
}

function numbers(list: ListSummary): string {
  const pending = list.pendingBlock + list.pendingUnblock
  const parts = [`${list.active} active`, `${pending} pending`]
  if (list.expired > 0) parts.push(`${list.expired} expired`)
  if (list.update === 'handed-out') parts.push('with the host')
  return parts.join(', ')
}

function ago(iso: string | undefined, now: number): string {
  const minutes = Math.max(0, Math.floor((now - Date.parse(iso ?? '')) / 60_000))
  if (Number.isNaN(minutes)) return 'never'
  if (minutes < 1) return 'just now'
  if (minutes < 60) return `${minutes} min ago`
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ago` : moment(iso)
}
