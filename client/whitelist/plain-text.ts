import { readFile } from 'node:fs/promises'
import { familyOf, parseAddress, prefixOf, type Address } from '../../common/address.js'
import { ProductError, systemCode } from '../../common/errors.js'
import { printable } from '../../common/names.js'

/** As the server's own limits: a server that was taken over must not switch a host's protection off by one line. */
const WIDEST = { 4: 8, 6: 7 } as const
const MOST_ENTRIES = 20_000

/**
 * Reads what `GET /api/v1/whitelist/plain` gives: an address or network a line, comments behind `#`.
 * @throws ProductError REFUSED when a line is anything else: then nothing of it is to be used
 */
export function readPlain(text: string): Address[] {
  const found = new Set<Address>()
  for (const line of text.split('\n')) {
    const item = (line.split('#', 1)[0] ?? '').trim()
    if (item === '') continue
    const ip = parseAddress(item)
    if (ip === undefined) {
      throw new ProductError('REFUSED', `the whitelist holds what is no address: ${printable(item, 60)}`)
    }
    const widest = WIDEST[familyOf(ip)]
    if (prefixOf(ip) < widest)
      throw new ProductError('REFUSED', `the whitelist holds ${ip}, wider than /${widest}`)
    found.add(ip)
  }
  if (found.size > MOST_ENTRIES) {
    throw new ProductError('REFUSED', `the whitelist has more than ${MOST_ENTRIES} entries`)
  }
  return [...found]
}

/** The text of the host's copy; empty when there is none. @throws ProductError UNREADABLE */
export async function copiedText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return ''
    throw new ProductError('UNREADABLE', `${path} (${systemCode(error) ?? 'unknown error'})`, error)
  })
}

/** What the text of the host's copy holds. Edited by hand, what can be read of it still counts. */
export function addressesIn(text: string): Address[] {
  try {
    return readPlain(text)
  } catch {
    return text.split('\n').flatMap(readableLine)
  }
}

function readableLine(line: string): Address[] {
  try {
    return readPlain(line)
  } catch {
    return []
  }
}
