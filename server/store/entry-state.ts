import { asksForBlock, isExpired, type BlocklistEntry } from '../../common/shapes.js'

/** What a person is told of an entry; exactly one holds. */
export const ENTRY_STATES = ['active', 'pendingBlock', 'pendingUnblock', 'expired', 'inactive'] as const
export type EntryState = (typeof ENTRY_STATES)[number]

/** The state of an entry (sync-contract.md §4, §5.7). @param now milliseconds */
export function entryState(entry: BlocklistEntry, now: number): EntryState {
  if (entry.pending === true) return asksForBlock(entry, now) ? 'pendingBlock' : 'pendingUnblock'
  if (entry.active === false) return 'inactive'
  return isExpired(entry, now) ? 'expired' : 'active'
}
