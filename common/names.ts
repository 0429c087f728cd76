import { ProductError } from './errors.js'

declare const brand: unique symbol

/** A server name (= client user name) that passed `serverName`: safe as one path segment. */
export type ServerName = string & { readonly [brand]: 'server' }
/** A blocklist file name that passed `listName`: safe as one path segment. */
export type ListName = string & { readonly [brand]: 'list' }
/** An events file name that passed `eventsFileName`: safe as one path segment. */
export type EventsFileName = string & { readonly [brand]: 'events' }

// sync-contract.md §1, file names.
const SERVER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
// A host's folder lies beside update.json, its lock and its copies.
const FILE_LIKE = /\.(jsonl?|lock)(\.|$)/i
const LIST = /^[a-z0-9_-]+\.blocklist\.json$/i
const EVENTS = /^fail2ban-events-(\d{4})(\d{2})(\d{2})\.json$/
const LIST_SUFFIX = '.blocklist.json'
/** File systems take 255 bytes a name; the rest is left for lock and set-aside suffixes. */
const LONGEST_LIST_NAME = 200

/** True for text that `serverName` takes. */
export function isServerName(text: string): text is ServerName {
  return SERVER.test(text) && !FILE_LIKE.test(text)
}

/** Checks a server name. @throws ProductError BAD_NAME */
export function serverName(text: string): ServerName {
  if (!isServerName(text)) {
    throw new ProductError(
      'BAD_NAME',
      `a server name has 1 to 64 letters, digits, dots, dashes or underscores, starts with a letter or digit, and is not that of a file (.json, .lock)`
    )
  }
  return text
}

/** True for text that `listName` takes. */
export function isListName(text: string): text is ListName {
  return text.length <= LONGEST_LIST_NAME && LIST.test(text)
}

/** Checks a blocklist file name (`<jail>.blocklist.json`). @throws ProductError FILE_NAME */
export function listName(text: string): ListName {
  if (!isListName(text)) throw new ProductError('FILE_NAME', printable(text))
  return text
}

/** True for text that is an events file's name. */
export function isEventsFileName(text: string): text is EventsFileName {
  const [, year = '', month = '', day = ''] = EVENTS.exec(text) ?? []
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`)
  // A day the calendar doesn't have, such as February 30th, is read as another one, or as none.
  return date.getUTCMonth() + 1 === Number(month) && date.getUTCDate() === Number(day)
}

/** The day of an events file, `YYYYMMDD`: the inverse of `eventsFileOfDay`. */
export function dayOfEventsFile(name: EventsFileName): string {
  return name.slice('fail2ban-events-'.length, -'.json'.length)
}

/** Events file of a day. @param day `YYYYMMDD` or `YYYY-MM-DD` @throws ProductError FILE_NAME */
export function eventsFileOfDay(day: string): EventsFileName {
  const name = `fail2ban-events-${day.replaceAll('-', '')}.json`
  if (!isEventsFileName(name)) throw new ProductError('FILE_NAME', printable(name))
  return name
}

// A jail whose name is no legal file stem (spaces, dots, letters beyond ASCII, or the prefix itself) is
// written as this prefix and its UTF-8 bytes, so that two jails never share a list and the name can be read
// back. Legal names, which is all that existing installations have, stay as they are.
const ENCODED = '_j_'
const LEGAL_STEM = /^[A-Za-z0-9_-]+$/

/**
 * The blocklist file of a jail; reversible by `jailOfList`.
 * @throws ProductError BAD_NAME when the name is empty, has control characters or is too long for a file
 */
export function listOfJail(jail: string): ListName {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (jail === '' || jail.trim() !== jail || /[\u0000-\u001f\u007f]/.test(jail) || !jail.isWellFormed()) {
    throw new ProductError(
      'BAD_NAME',
      'a jail name has at least one character and no control characters or outer blanks'
    )
  }
  const stem = LEGAL_STEM.test(jail) && !jail.startsWith(ENCODED) ? jail : encode(jail)
  if (stem.length + LIST_SUFFIX.length > LONGEST_LIST_NAME) {
    throw new ProductError('BAD_NAME', 'the jail name is too long for a blocklist file')
  }
  return (stem + LIST_SUFFIX) as ListName
}

/** The jail a blocklist file belongs to: the inverse of `listOfJail`. */
export function jailOfList(list: ListName): string {
  const stem = list.slice(0, -LIST_SUFFIX.length)
  if (!stem.startsWith(ENCODED)) return stem
  const bytes = stem
    .slice(ENCODED.length)
    .replaceAll(/_([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  const jail = Buffer.from(bytes, 'latin1').toString('utf8')
  // A hand-made file that merely begins like an encoded one is a jail of that very name.
  return encode(jail) === stem ? jail : stem
}

function encode(jail: string): string {
  const bytes = Buffer.from(jail, 'utf8').toString('latin1')
  return (
    ENCODED +
    bytes.replaceAll(/[^A-Za-z0-9-]/g, byte => `_${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
  )
}

/** Untrusted text made fit for one line of a log or an error: cut, control characters replaced. */
export function printable(text: string, longest = 120): string {
  const cut = text.length > longest ? `${text.slice(0, longest)}…` : text
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd')
}
