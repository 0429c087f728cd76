import { parseAddress, type Address } from '../../common/address.js'
import { isoTime, timeOf } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { isServerName, printable, type ServerName } from '../../common/names.js'
import type { WhitelistEntry, WhitelistWish } from './whitelist.js'

const MOST_LINES_TOLD = 5
const LONGEST_DESCRIPTION = 500
const [ALL, NEVER] = ['all', 'never']

/**
 * Reads whitelist text: a line holds an address or network and, after a `#` or `;`, its description; empty lines and
 * lines of comment alone are passed over. A description that begins with `[hosts=web-1,db-1 ends=2027-01-31T12:00:00Z]`
 * says where the entry holds and until when, `all` and `never` included; what a line does not say stays undefined.
 * @returns each address once, the last line of it counting
 * @throws ProductError BAD_INPUT naming the lines that are none: then nothing is to be taken
 */
export function readWhitelistText(text: string): WhitelistWish[] {
  const found = new Map<Address, WhitelistWish>()
  const bad: string[] = []
  text.split(/\r?\n/).forEach((line, at) => {
    const [, first = '', comment] = /^([^#;]*)(?:[#;](.*))?$/.exec(line) ?? []
    const item = first.trim()
    if (item === '') return
    const ip = parseAddress(item)
    const more = commentOf(comment?.trim())
    if (ip === undefined || more === undefined) bad.push(`line ${at + 1}: ${printable(line.trim(), 60)}`)
    else found.set(ip, { ip, ...more })
  })
  if (bad.length > 0) {
    const more = bad.length > MOST_LINES_TOLD ? ` and ${bad.length - MOST_LINES_TOLD} more` : ''
    throw new ProductError(
      'BAD_INPUT',
      `not an address or network, or not "[hosts=… ends=…]" after its #: ${bad.slice(0, MOST_LINES_TOLD).join(', ')}${more}; nothing was taken`
    )
  }
  if (found.size === 0) throw new ProductError('BAD_INPUT', 'there is no address in it')
  return [...found.values()]
}

/** The text `readWhitelistText` reads, with the hosts and the end of every entry; one a line, its address first. */
export function exportWhitelist(entries: readonly WhitelistEntry[]): string {
  return entries
    .map(entry => {
      const ip = parseAddress(entry.ip)
      const hosts = entry.servers ?? []
      // Others could not be read again, and without its hosts an entry would hold on all.
      if (ip === undefined || !hosts.every(isServerName)) return `# left out: ${printable(entry.ip, 60)}`
      const end = timeOf(entry.expires)
      const bounds = `[hosts=${hosts.join(',') || ALL} ends=${Number.isNaN(end) ? NEVER : isoTime(end)}]`
      return `${ip} # ${bounds} ${printable(entry.description ?? '', LONGEST_DESCRIPTION)}`.trimEnd()
    })
    .map(line => line + '\n')
    .join('')
}

/** What stands after a line's `#`, undefined where there is none. @returns undefined for bounds that are not understood */
function commentOf(comment: string | undefined): Omit<WhitelistWish, 'ip'> | undefined {
  if (comment === undefined) return { description: undefined, expires: undefined, servers: undefined }
  const [, bounds = '', text = ''] = /^\[((?:hosts|ends)=[^\]]*)\](.*)$/.exec(comment) ?? ['', '', comment]
  const wish: Omit<WhitelistWish, 'ip'> = {
    description: printable(text.trim(), LONGEST_DESCRIPTION),
    expires: undefined,
    servers: undefined
  }
  for (const part of bounds === '' ? [] : bounds.trim().split(/\s+/)) {
    const [name, value = ''] = part.split('=', 2)
    const [hosts, end] = [hostsIn(value), endIn(value)]
    if (name === 'hosts' && hosts !== undefined) wish.servers = hosts
    else if (name === 'ends' && end !== undefined) wish.expires = end
    else return undefined
  }
  return wish
}

function hostsIn(text: string): ServerName[] | undefined {
  if (text === ALL) return []
  const names = text.split(',')
  return names.every(isServerName) ? [...new Set(names)].sort() : undefined
}

function endIn(text: string): string | null | undefined {
  if (text === NEVER) return null
  const end = timeOf(text)
  return Number.isNaN(end) ? undefined : isoTime(end)
}
