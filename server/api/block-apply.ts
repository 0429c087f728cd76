import { parseAddress, type Address } from '../../common/address.js'
import { ProductError, type ErrorCode } from '../../common/errors.js'
import type { ServerName } from '../../common/names.js'
import type { AuditActor } from '../store/audit-row.js'
import type { ChangeOutcome } from '../store/entry-changes.js'
import type { Refused } from '../store/guard.js'
import { stillBlocked, stillBlockedWords, type StillBlocked } from '../store/still-blocked.js'
import type { Store } from '../store/store.js'
import type { ListPlan } from './block-plan.js'

export const OUTCOMES = [
  'blocked',
  'already-blocked',
  'unblocked',
  'already-unblocked',
  'not-blocked',
  'refused',
  'failed'
] as const
/** What came of one address in one list. */
export type Outcome = (typeof OUTCOMES)[number]

/** One address in one list, and what came of it in words. */
export interface Told {
  server: ServerName
  jail: string
  ip: Address
  outcome: Outcome
  message: string
  /** With `refused`: the same for a page that speaks other languages. */
  why?: Omit<Refused, 'words'>
  /** After an unblock: what keeps the address blocked on that host all the same. */
  still?: StillBlocked
}

/** These concern one list alone; anything else (a full disk, a taken lock) would meet the next list as well. */
const ONE_LIST_ONLY = new Set<ErrorCode>(['LIST_SET_ASIDE', 'CONFLICT'])

/**
 * Carries out a plan: one write per list, however many addresses.
 * @param actor who asks, for the audit trail
 * @param note told what came of each list
 * @returns one result per list and address, in the plan's order
 * @throws the first list's error when no list could be changed: then nothing has changed
 */
export async function applyBlocks(
  store: Store,
  plans: readonly ListPlan[],
  actor: AuditActor,
  note: (plan: ListPlan, results: readonly Told[], error?: unknown) => void
): Promise<Told[]> {
  const told: Told[] = []
  let firstError: { error: unknown } | undefined
  let done = false
  let stopped = false
  for (const plan of plans) {
    let results: Told[]
    let error: unknown
    if (stopped) {
      results = tell(plan, failure('was not tried, because another list could not be written'))
    } else {
      try {
        results = await applyOne(store, plan, actor)
        done ||= plan.changes.length > 0
      } catch (thrown) {
        error = thrown
        firstError ??= { error }
        results = tell(plan, failure(reasonOf(error)))
        stopped = !(error instanceof ProductError && ONE_LIST_ONLY.has(error.code))
      }
    }
    note(plan, results, error)
    told.push(...results)
  }
  if (firstError !== undefined && !done) throw firstError.error
  return told
}

/** Adds to the results of unblocks what keeps their addresses blocked. @param now milliseconds */
export async function tellStillBlocked(store: Store, told: readonly Told[], now: number): Promise<Told[]> {
  const ofServer = new Map<ServerName, ReadonlyMap<Address, StillBlocked>>()
  for (const server of new Set(told.map(one => one.server))) {
    const ips = told.flatMap(one => (one.server === server && one.outcome !== 'failed' ? one.ip : []))
    ofServer.set(server, await stillBlocked(store.lists, server, [...new Set(ips)], now))
  }
  return told.map(one => {
    const still = ofServer.get(one.server)?.get(one.ip)
    if (still === undefined) return one
    return { ...one, message: `${one.message}, but ${stillBlockedWords(still)}`, still }
  })
}

function reasonOf(error: unknown): string {
  return error instanceof ProductError ? error.message : 'internal error; the server log says more'
}

async function applyOne(store: Store, plan: ListPlan, actor: AuditActor): Promise<Told[]> {
  const { server, list, changes } = plan
  const outcomes = changes.length === 0 ? [] : await store.lists.change(server, list, changes, actor)
  const lifted = await store.guard.recheck(server, list, changes, actor)
  const byIp = new Map(changes.map((change, at) => [change.ip, outcomes[at]]))
  const already = outcomes.some(outcome => outcome.startsWith('already-'))
  const waiting = already ? await pendingOf(store, plan) : new Set<Address>()
  const refused = new Map([...plan.refused, ...lifted])
  return tell({ ...plan, refused }, ip => {
    const outcome = byIp.get(ip) ?? 'not-blocked'
    return { outcome, message: words(outcome, server, waiting.has(ip)) }
  })
}

async function pendingOf(store: Store, plan: ListPlan): Promise<Set<Address>> {
  const { value } = await store.lists.read(plan.server, plan.list)
  return new Set(value.flatMap(entry => (entry.pending === true ? (parseAddress(entry.ip) ?? []) : [])))
}

type Tell = (ip: Address) => Pick<Told, 'outcome' | 'message'>

function failure(message: string): Tell {
  return () => ({ outcome: 'failed', message })
}

function tell({ server, jail, ips, refused }: ListPlan, of: Tell): Told[] {
  return ips.map(ip => {
    const why = refused.get(ip)
    if (why === undefined) return { server, jail, ip, ...of(ip) }
    const { code, hit, note, words } = why
    return {
      ...{ server, jail, ip, outcome: 'refused' as const, message: `refused: ${words}` },
      why: { code, hit, note }
    }
  })
}

function words(outcome: ChangeOutcome, server: ServerName, waits: boolean): string {
  switch (outcome) {
    case 'blocked':
      return `will be blocked; waits for ${server}`
    case 'already-blocked':
      return waits ? `is to be blocked already and waits for ${server}` : 'is blocked already'
    case 'unblocked':
      return `will be let in again; waits for ${server}`
    case 'already-unblocked':
      return waits ? `is to be let in already and waits for ${server}` : 'is not blocked any more'
    case 'not-blocked':
      return 'was not blocked'
  }
}
