import { parseAddress } from '../../common/address.js'
import { isoTime, timeOf } from '../../common/clock.js'
import type { RowChanges } from '../../common/list-text.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import type { AuditDraft, Audited } from './audit-row.js'

/**
 * Rows a single upload may write of what nobody asked for: a taken-over host that turns its lists over and over
 * must not push the past out of its own trail. What is beyond is counted in one row.
 */
export const MOST_UNASKED = 1000

const FIELDS = ['active', 'pending', 'expires', 'reason', 'source', 'tags'] as const
type Fields = Partial<Record<(typeof FIELDS)[number], unknown>>

/** What the server itself changed in a list: `set` are entries at their places, new ones at the end. */
export function draftsOfChange(
  before: readonly BlocklistEntry[],
  set: RowChanges<BlocklistEntry>['set'],
  jail: string,
  what: (entry: BlocklistEntry) => Audited
): AuditDraft[] {
  return set.map(([at, entry]) => {
    return { what: what(entry), jail, ip: keyOf(entry), ...sidesOf(before[at], entry) }
  })
}

/** What a host's upload made of a list: carried out, kept for the next hand-over, or changed by the host. */
export function draftsOfUpload(
  before: readonly BlocklistEntry[],
  after: readonly BlocklistEntry[],
  about: {
    jail: string
    /** When the list was handed out, ISO 8601. */
    handedOut: string | undefined
    /** The upload's own entries; those of `after` that are none of them were kept by the merge. */
    uploaded: ReadonlySet<BlocklistEntry>
  }
): AuditDraft[] {
  const { jail, handedOut, uploaded } = about
  const old = new Map(before.map(entry => [keyOf(entry), entry]))
  const asked: AuditDraft[] = []
  const unasked: AuditDraft[] = []
  for (const entry of after) {
    const ip = keyOf(entry)
    const was = old.get(ip)
    old.delete(ip)
    if (was !== undefined && !uploaded.has(entry) && entry.pending === true) {
      unasked.push({ what: 'kept', jail, ip, after: fieldsOf(entry) })
    } else if (was?.pending === true && entry.pending !== true && isActive(was) === isActive(entry)) {
      const what = isActive(entry) ? 'in-force' : 'removed'
      asked.push({ what, jail, ip, ...sidesOf(was, entry), ...timesOf(was, handedOut) })
    } else {
      const sides = sidesOf(was, entry)
      const changed = was === undefined || Object.keys(sides.after ?? {}).length > 0
      if (changed) unasked.push({ what: was === undefined ? 'added' : 'changed', jail, ip, ...sides })
    }
  }
  for (const [ip, was] of old) {
    const row: AuditDraft = { what: 'removed', jail, ip, ...sidesOf(was, undefined) }
    if (was.pending === true) asked.push({ ...row, ...timesOf(was, handedOut) })
    else unasked.push(row)
  }
  const rest = unasked.length - MOST_UNASKED
  if (rest > 0) unasked.splice(MOST_UNASKED, rest, { what: 'changed', jail, count: rest })
  return [...asked, ...unasked]
}

function keyOf(entry: BlocklistEntry): string {
  return parseAddress(entry.ip) ?? entry.ip
}

function isActive(entry: BlocklistEntry): boolean {
  return entry.active !== false
}

function timesOf(
  asked: BlocklistEntry,
  handedOut: string | undefined
): Pick<AuditDraft, 'asked' | 'handedOut'> {
  const at = timeOf(asked.lastModified)
  return {
    ...(Number.isNaN(at) ? {} : { asked: isoTime(at) }),
    ...(handedOut === undefined ? {} : { handedOut })
  }
}

/** Old entries may lack any field: absent means active, and not pending (sync-contract.md §1). */
function fieldsOf(entry: BlocklistEntry): Record<string, unknown> {
  const fields: Fields = { active: isActive(entry), pending: entry.pending === true }
  if (entry.expires != null) fields.expires = entry.expires
  if (entry.reason != null && entry.reason !== '') fields.reason = entry.reason
  if (entry.source != null && entry.source !== '') fields.source = entry.source
  if (entry.tags != null && entry.tags.length > 0) fields.tags = entry.tags
  return fields
}

/** Only what differs; a field that is absent on one side is null there. */
function sidesOf(
  before: BlocklistEntry | undefined,
  after: BlocklistEntry | undefined
): Required<Pick<AuditDraft, 'before' | 'after'>> {
  if (before === undefined) return { before: null, after: after === undefined ? null : fieldsOf(after) }
  if (after === undefined) return { before: fieldsOf(before), after: null }
  const [from, to]: [Fields, Fields] = [fieldsOf(before), fieldsOf(after)]
  const sides = { before: {} as Record<string, unknown>, after: {} as Record<string, unknown> }
  for (const name of FIELDS) {
    if (from[name] === to[name] || JSON.stringify(from[name]) === JSON.stringify(to[name])) continue
    sides.before[name] = from[name] ?? null
    sides.after[name] = to[name] ?? null
  }
  return sides
}
