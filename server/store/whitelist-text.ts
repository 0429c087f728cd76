import { parseAddress, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import type { WhitelistEntry } from './whitelist.js'

const MOST_LINES_TOLD = 5
const LONGEST_DESCRIPTION = 500

/**
 * Reads whitelist text: a line holds an address or network and, after a `#` or `;`, its description; empty lines
 * and lines of comment alone are passed over.
 * @returns each address once, the last line of it counting
 * @throws ProductError BAD_INPUT naming the lines that are none: then nothing is to be taken
 */
export function readWhitelistText(text: string): { ip: Address; description: string }[] {
  const found = new Map<Address, string>()
  const bad: string[] = []
  text.split(/\r?\n/).forEach((line, at) => {
    const [, first = '', comment = ''] = /^([^#;]*)(?:[#;](.*))?$/.exec(line) ?? []
    const item = first.trim()
    if (item === '') return
    const ip = parseAddress(item)
    if (ip === undefined) bad.push(`line ${at + 1}: ${printable(item, 60)}`)
    else found.set(ip, printable(comment.trim(), LONGEST_DESCRIPTION))
  })
  if (bad.length > 0) {
    const more = bad.length > MOST_LINES_TOLD ? ` and ${bad.length - MOST_LINES_TOLD} more` : ''
    throw new ProductError(
      'BAD_INPUT',
      `not an address or network: ${bad.slice(0, MOST_LINES_TOLD).join(', ')}${more}; nothing was taken`
    )
  }
  if (found.size === 0) throw new ProductError('BAD_INPUT', 'there is no address in it')
  return [...found].map(([ip, description]) => ({ ip, description }))
}

/** The text `readWhitelistText` reads; expiry and hosts of an entry are not part of it. */
export function exportWhitelist(entries: readonly WhitelistEntry[]): string {
  return entries
    .flatMap(entry => {
      const ip = parseAddress(entry.ip)
      if (ip === undefined) return []
      const description = printable(entry.description ?? '', LONGEST_DESCRIPTION)
      return [description === '' ? ip : `${ip} # ${description}`]
    })
    .map(line => line + '\n')
    .join('')
}
