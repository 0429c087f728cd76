import type { AuditActor, AuditRow } from './audit-row.js'

/** What became of one wish: who asked for it and when, when its host got it, and when that had carried it out. */
export interface HistoryStep {
  what: AuditRow['what']
  /** Null when the row of the asking is not there any more, or its change came from before the trail. */
  by: AuditActor | null
  /** ISO 8601; null for what is not known, or has not come to pass. */
  asked: string | null
  handedOut: string | null
  /** When a block came into force on the host, or an unblock was carried out there. */
  done: string | null
  /** Where the host reported it from. */
  doneBy: AuditActor | null
  /** The fields that changed; null where there was, or is, no entry. */
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
}

/** What asks for something, which a host then carries out. */
const ASKS = new Set<AuditRow['what']>(['block', 'unblock', 'expired'])

/**
 * One entry's history.
 * @param rows those of the entry and the hand-overs of its list, newest first
 * @returns its steps, newest first
 */
export function historyOf(rows: readonly AuditRow[]): HistoryStep[] {
  const steps: HistoryStep[] = []
  for (const row of [...rows].reverse()) {
    const open = steps.at(-1)?.done === null ? steps.at(-1) : undefined
    if (row.what === 'handed-out') {
      if (open !== undefined) open.handedOut = row.time
    } else if (row.what === 'kept') {
      // The host carried out an older version: this wish goes out once more.
      if (open !== undefined) open.handedOut = null
    } else if (ASKS.has(row.what)) {
      steps.push({ ...stepOf(row), by: row.actor, asked: row.time })
    } else if (row.what === 'in-force' || row.what === 'removed') {
      if (open === undefined) steps.push(stepOf(row))
      Object.assign(open ?? steps.at(-1) ?? {}, doneBy(row))
    } else if (row.ip !== undefined) {
      steps.push({ ...stepOf(row), by: row.actor, done: row.time })
    }
  }
  return steps.reverse()
}

function stepOf(row: AuditRow): HistoryStep {
  return {
    what: row.what,
    // A host that took an entry away unasked did it itself; who asked for what it carried out is not in the row.
    by: row.asked === undefined ? row.actor : null,
    asked: row.asked ?? null,
    handedOut: row.handedOut ?? null,
    done: null,
    doneBy: null,
    before: row.before ?? null,
    after: row.after ?? null
  }
}

function doneBy(row: AuditRow): Partial<HistoryStep> {
  const { handedOut } = row
  return { done: row.time, doneBy: row.actor, ...(handedOut === undefined ? {} : { handedOut }) }
}
