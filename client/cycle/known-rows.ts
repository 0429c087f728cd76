import type { BlocklistEntry } from '../../common/shapes.js'

const TEXT = '"[^"\\\\]*"'
const OPTIONAL = `(?:null|${TEXT})`
/** A row as this product spells one: all fields in the contract's order, no character escaped; and what ends its line. */
const ROW = new RegExp(
  `\\{"ip":"([0-9a-f.:/]+)","jail":${TEXT},"source":${OPTIONAL},"timestamp":${OPTIONAL},` +
    `"expires":(?:null|"([^"\\\\]*)"),"reason":${OPTIONAL},"active":(true|false),"lastModified":${OPTIONAL},` +
    `"tags":\\[(?:${TEXT}(?:,${TEXT})*)?\\],"pending":(true|false)\\}(,\\n|\\n\\]\\n$)`,
  'y'
)
const BEGIN = '[\n'

/**
 * Reads the text of a list that passed its check, its rows no further than a cycle looks at all of them: the parser
 * makes ten values of each of 100,000 rows, and takes three times as long.
 * @returns undefined for a text that is spelled in any other way; else rows that are changed by `withPending` alone
 */
export function knownRows(text: string): BlocklistEntry[] | undefined {
  if (!text.startsWith(BEGIN)) return undefined
  const rows: BlocklistEntry[] = []
  let from = BEGIN.length
  for (;;) {
    ROW.lastIndex = from
    const found = ROW.exec(text)
    if (found === null) return undefined
    const [, ip = '', expires = null, active, pending, end = ''] = found
    const to = ROW.lastIndex - end.length
    rows.push(
      new KnownRow({ ip, expires, active: active === 'true', pending: pending === 'true' }, text, from, to)
    )
    from = ROW.lastIndex
    if (from === text.length) return rows
  }
}

/** The entry, pending or not. */
export function withPending(entry: BlocklistEntry, pending: boolean): BlocklistEntry {
  return { ...(entry instanceof KnownRow ? entry.toJSON() : entry), pending }
}

/** An entry whose other fields are read when they are asked for. */
class KnownRow implements BlocklistEntry {
  readonly ip: string
  readonly expires: string | null
  readonly active: boolean
  readonly pending: boolean
  readonly #text: string
  readonly #from: number
  readonly #to: number
  #whole: Required<BlocklistEntry> | undefined

  constructor(
    {
      ip,
      expires,
      active,
      pending
    }: { ip: string; expires: string | null; active: boolean; pending: boolean },
    text: string,
    from: number,
    to: number
  ) {
    this.ip = ip
    this.expires = expires
    this.active = active
    this.pending = pending
    this.#text = text
    this.#from = from
    this.#to = to
  }

  toJSON(): Required<BlocklistEntry> {
    // Kept: who checks or writes a whole list asks for field after field.
    this.#whole ??= JSON.parse(this.#text.slice(this.#from, this.#to)) as Required<BlocklistEntry>
    return this.#whole
  }

  get jail() {
    return this.toJSON().jail
  }
  get source() {
    return this.toJSON().source
  }
  get timestamp() {
    return this.toJSON().timestamp
  }
  get reason() {
    return this.toJSON().reason
  }
  get lastModified() {
    return this.toJSON().lastModified
  }
  get tags() {
    return this.toJSON().tags
  }
}
