import { parseAddress } from '../../common/address.js'
import { LAST_MOMENT, timeOf } from '../../common/clock.js'
import { ProductError, messageOf } from '../../common/errors.js'
import { parseJson, type JsonKind } from '../../common/json-file.js'
import { checkListChanges, type ListChanges } from '../../common/list-changes.js'
import { isListName, jailOfList, listOfJail, printable, type ListName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import { KINDS } from './kinds.js'

/**
 * Reads a blocklist a client sent (sync-contract.md §5.3): JSON, shape, addresses, jail = file name.
 * @throws ProductError UPLOAD_JSON or UPLOAD_CONTENT saying what is wrong and where, without the content
 */
export function readUploadedList(list: ListName, text: string): BlocklistEntry[] {
  const entries = parseUpload<BlocklistEntry[]>(text, KINDS.blocklist)
  checkEntries(list, entries)
  return entries
}

/**
 * Reads changes of a blocklist that a client sent, checked as far as a whole list's entries are.
 * @throws ProductError as `readUploadedList`
 */
export function readUploadedChanges(list: ListName, text: string): ListChanges & { base: string } {
  const { base, ...changes } = parseUpload<ListChanges>(text, { check: checkListChanges })
  if (base === undefined) throw new ProductError('UPLOAD_CONTENT', 'the changes lack their base')
  checkEntries(
    list,
    changes.set.map(([, row]) => row)
  )
  return { base, ...changes }
}

function checkEntries(list: ListName, entries: readonly BlocklistEntry[]): void {
  entries.forEach((entry, at) => {
    const wrong = wrongJail(list, entry) ?? wrongTime(entry)
    if (wrong !== undefined) throw new ProductError('UPLOAD_CONTENT', `entry ${at + 1}: ${wrong}`)
  })
}

/**
 * Refuses text that is no address, unless the server's own list already has it: an old list may hold such a
 * line, and its client can't be stopped by it for ever.
 * @throws ProductError UPLOAD_CONTENT
 */
export function checkAddresses(upload: readonly BlocklistEntry[], known: readonly BlocklistEntry[]): void {
  let tolerated: Set<string> | undefined
  upload.forEach((entry, at) => {
    if (parseAddress(entry.ip) !== undefined) return
    tolerated ??= new Set(known.map(item => item.ip))
    if (tolerated.has(entry.ip)) return
    throw new ProductError('UPLOAD_CONTENT', `entry ${at + 1}: ip is no IPv4 or IPv6 address or network`)
  })
}

/** Parses an upload. @throws ProductError UPLOAD_JSON when it is no JSON, UPLOAD_CONTENT for a wrong shape */
export function parseUpload<T>(text: string, kind: Pick<JsonKind<T>, 'check' | 'mend'>): T {
  try {
    return parseJson(text, kind.check, kind.mend) as T
  } catch (error) {
    if (messageOf(error) === 'not JSON') throw new ProductError('UPLOAD_JSON', undefined, error)
    throw new ProductError('UPLOAD_CONTENT', messageOf(error), error)
  }
}

function wrongTime(entry: BlocklistEntry): string | undefined {
  return timeOf(entry.lastModified) > LAST_MOMENT ? 'lastModified lies beyond the year 9999' : undefined
}

function wrongJail(list: ListName, entry: BlocklistEntry): string | undefined {
  if (entry.jail === undefined || entry.jail === jailOfList(list)) return undefined
  const own = fileOf(entry.jail)
  // File names are told apart without regard to case in the contract's pattern.
  if (own?.toLowerCase() === list.toLowerCase()) return undefined
  return `jail ${printable(entry.jail)} does not belong to ${list}`
}

function fileOf(jail: string): string | undefined {
  try {
    return listOfJail(jail)
  } catch {
    const plain = `${jail}.blocklist.json`
    return isListName(plain) ? plain : undefined
  }
}
