import * as Type from 'typebox'
import { serialise } from './json-file.js'
import { changedRows, changedText, type RowChanges } from './list-text.js'
import { sha256 } from './sha256.js'
import { BlocklistEntry, shapeCheck } from './shapes.js'

/** The content type by which a reply of download.php tells changes from a whole list. */
export const CHANGES_TYPE = 'application/vnd.fail2ban-report.list-changes+json'
/** The header of download.php's reply that says that syncback.php takes changes: its value is `taken`. */
export const CHANGES_HEADER = 'x-list-changes'
/** What a file of changes is called in a sync-back: the list's name with this behind it. */
export const CHANGES_SUFFIX = '.changes'

/** Rows that may be changed at once; more are sent as a whole list. */
const MOST_CHANGES = 5000
/** A list of which more than this part changes is sent whole. */
const LARGEST_PART = 1 / 2

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Place = Type.Integer({ minimum: 0 })

/** What makes one version of a list out of another (beyond sync-contract.md, between this client and this server). */
export const ListChanges = Type.Object({
  /** SHA-256 (hex) of the version they are made of; absent where only its owner knows it. */
  base: Type.Optional(Sha256),
  /** SHA-256 (hex) and length of the version they make. */
  result: Sha256,
  bytes: Place,
  set: Type.Array(Type.Tuple([Place, BlocklistEntry]), { maxItems: MOST_CHANGES }),
  gone: Type.Array(Place, { maxItems: MOST_CHANGES })
})
export interface ListChanges extends RowChanges<BlocklistEntry> {
  base?: string
  result: string
  bytes: number
}

/** Checks what a peer sent as changes. */
export const checkListChanges = shapeCheck(ListChanges)

/** One version of a list: its entries and its text. */
export interface ListVersion {
  value: BlocklistEntry[]
  text: string
}

/** Whether changes are so few beside a list of that many entries that they are worth telling apart from it. */
export function areFew({ set, gone }: RowChanges<unknown>, entries: number): boolean {
  return set.length + gone.length <= Math.min(MOST_CHANGES, entries * LARGEST_PART)
}

/** Makes the changes. @returns undefined unless the outcome is the very version they tell of */
export function madeOf(version: ListVersion, changes: ListChanges): ListVersion | undefined {
  const value = changedRows(version.value, changes)
  if (value === undefined) return undefined
  const text = changedText(version.text, version.value.length, changes) ?? serialise(value, true)
  const fits = Buffer.byteLength(text) === changes.bytes && sha256(text) === changes.result
  return fits ? { value, text } : undefined
}
