import { AddressSet, type Address } from '../../common/address.js'
import type { Clock } from '../../common/clock.js'
import { ProductError, messageOf } from '../../common/errors.js'
import type { HeldLock } from '../../common/file-lock.js'
import type { ListName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import type { Firewall, InForce } from '../firewall/types.js'
import { inForceCheck, planFirewall } from '../firewall/plan.js'
import type { Downloaded, Offered, OutgoingFile, SyncedBack } from '../server-link.js'
import { ListExchange } from './list-exchange.js'
import type { HeldLists } from './held-lists.js'
import type { LocalLists } from './local-lists.js'
import { settle } from './settle.js'
import { refusalOf, wantedOf, type Guard } from './wanted.js'

/** The steps of a cycle, in order. A cycle killed after any of them is healed by the next one. */
export type Step = 'events' | 'asked' | 'downloaded' | 'applied' | 'settled' | 'synced-back'

/** The server, as a cycle needs it. */
export interface Link {
  upload(file: OutgoingFile): Promise<void>
  /** @param onSent told when the question is on its way */
  ask(told: Record<string, string>, onSent?: () => void): Promise<Offered>
  download(list: ListName, base?: string): Promise<Downloaded | undefined>
  syncBack(files: readonly OutgoingFile[]): Promise<SyncedBack>
}

/** One line of what happened. */
export type Report = (
  level: 'info' | 'warn' | 'error',
  fields: { event: string } & Record<string, unknown>
) => void

export interface CycleParts {
  link: Link
  lists: LocalLists
  held: HeldLists
  firewall: Firewall
  guard: Guard
  /** Reads the log and gives the daily files that changed since they were last uploaded. */
  events: {
    collect(): Promise<{
      newEvents: number
      changed: { name: string; text: string; uploaded: () => Promise<void> }[]
    }>
  }
  /** What update.php is told beside the lists the host holds. */
  told: Record<string, string>
  clock: Clock
  report: Report
  /** The lock that keeps other cycles out. */
  lock: HeldLock
  /**
   * What else the server's answer brings, before the firewall is touched. Failures of it are its own.
   * @returns what is never blocked from now on
   */
  onAnswer?: (offered: Offered) => Promise<Guard>
  /** Told after each step. */
  onStep?: (step: Step) => void
}

/** What a cycle did. Counts of addresses, lists and events. */
export interface CycleResult {
  newEvents: number
  uploadedDays: number
  downloaded: ListName[]
  added: number
  removed: number
  syncedBack: string[]
  /** Of the added, blocks that were in force before and had gone; of the removed, blocks of ours that nothing asks for. */
  drift: { putBack: number; strays: number }
  /** Blocks of ours in the firewall by family; absent when it was not read. */
  inForce?: { 4: number; 6: number }
  skipped: { list: ListName; ip: string; reason: string }[]
  notInForce: number
  /** Whether the host's copy of the whitelist is the one the server told of; absent when it told of none. */
  whitelistInStep?: boolean
  /** Whether the server said what there is to fetch. */
  answered: boolean
  /** What failed; the cycle did all it could without it. */
  failures: string[]
}

/**
 * One cycle: log → events → server → lists → firewall → server (sync-contract.md §4, §5). A server that can't be
 * reached doesn't stop the host from keeping its firewall in line with the lists it has.
 * @throws ProductError FIREWALL, COMMAND, DISK, LOCK_LOST; failures of the network are in the result
 */
export async function runCycle(parts: CycleParts): Promise<CycleResult> {
  const result: CycleResult = {
    newEvents: 0,
    uploadedDays: 0,
    downloaded: [],
    added: 0,
    removed: 0,
    syncedBack: [],
    drift: { putBack: 0, strays: 0 },
    skipped: [],
    notInForce: 0,
    answered: false,
    failures: []
  }
  const step = async (name: Step) => {
    await parts.lock.check()
    parts.report('info', { event: 'step', step: name })
    parts.onStep?.(name)
  }
  const attempt: Attempt = async work => {
    try {
      await work()
      return true
    } catch (error) {
      if (!(error instanceof ProductError) || !['NETWORK', 'REFUSED', 'CONFIG'].includes(error.code))
        throw error
      result.failures.push(messageOf(error))
      parts.report('error', { event: 'failed', message: messageOf(error) })
      return error.code !== 'NETWORK'
    }
  }

  await sendEvents(parts, result, attempt)
  await step('events')
  // Read while the server is asked and the lists come: nothing of ours touches the firewall before they are applied.
  const listed = readFirewall(parts)
  let offered: Offered | undefined
  const exchange = new ListExchange(parts)
  await attempt(async () => {
    offered = await exchange.ask(parts.told)
  })
  result.answered = offered !== undefined
  await step('asked')
  const guard = offered === undefined ? parts.guard : ((await parts.onAnswer?.(offered)) ?? parts.guard)
  for (const list of offered?.restore ?? []) await attempt(() => exchange.restore(list))
  for (const list of offered?.updates ?? []) {
    await attempt(async () => {
      if (await exchange.fetch(list)) result.downloaded.push(list)
    })
  }
  await step('downloaded')
  const lists = await parts.lists.all()
  const whole = await checkWhole(parts, lists, exchange.told, offered, result)
  const changed = await applyLists({ ...parts, guard }, lists, whole, listed, result, step)
  await Promise.all([
    remember(parts),
    sendBack(parts, exchange, [...new Set([...result.downloaded, ...changed])], result, attempt)
  ])
  await step('synced-back')
  return result
}

/** Milliseconds; what was read of the firewall earlier is read again: other hands are about as well. */
const FRESH_FOR = 3000

/** Bytes of lists, from which on thousands of blocks are expected. */
const MANY_BYTES = 500_000

/** Begins to read what is in force. @returns gives it, not older than that */
function readFirewall({ firewall, clock, lists }: CycleParts): () => Promise<InForce> {
  const since = clock()
  const read = async () => firewall.list((await lists.bytes()) >= MANY_BYTES)
  const first = read()
  first.catch(() => undefined)
  return async () => {
    const inForce = await first
    return Math.abs(clock() - since) < FRESH_FOR ? inForce : read()
  }
}

/**
 * Does some work and notes it when it fails, so that the rest goes on.
 * @returns false when the server can't be reached: more of the kind would fail as well
 */
type Attempt = (work: () => Promise<void>) => Promise<boolean>

async function sendEvents(parts: CycleParts, result: CycleResult, attempt: Attempt): Promise<void> {
  await attempt(async () => {
    const { newEvents, changed } = await parts.events.collect()
    result.newEvents = newEvents
    for (const day of changed) {
      // A day that is refused must not keep the others back.
      const goOn = await attempt(async () => {
        await parts.link.upload({ name: day.name, text: day.text })
        await day.uploaded()
        result.uploadedDays++
      })
      if (!goOn) break
    }
  })
}

/**
 * Looks whether every list this host has had is there. Where one is missing, no block may go merely because no list
 * asks for it. A server that is told what the host holds, and doesn't offer the list, has it no more either.
 * @param told what the server was told the host holds
 * @returns whether the lists tell all that is to be blocked
 */
async function checkWhole(
  parts: CycleParts,
  lists: ReadonlyMap<ListName, BlocklistEntry[]>,
  told: ReadonlyMap<ListName, unknown>,
  offered: Offered | undefined,
  result: CycleResult
): Promise<boolean> {
  const held = await parts.held.read()
  const missing = [...new Set([...(held ?? []), ...told.keys()])].filter(name => !lists.has(name))
  const offersAll = offered?.restore !== undefined
  // What it was told is there, and went or was found corrupt since, it had no reason to offer.
  const lost = offersAll ? missing.filter(name => offered.updates.includes(name) || told.has(name)) : missing
  if (held !== undefined || lists.size > 0 || offersAll) await parts.held.remember([...lists.keys(), ...lost])
  if (lost.length > 0) {
    const message =
      `this host's copy of ${lost.join(', ')} is gone: blocks stay as they are until the server hands it out ` +
      `again, which a change of the list makes it do`
    result.failures.push(message)
    parts.report('error', { event: 'list_missing', message })
  }
  // Nothing remembered, nothing there and no answer: a state folder that was lost, or is not mounted.
  const blank = held === undefined && lists.size === 0 && offered === undefined
  return lost.length === 0 && !blank
}

/**
 * Brings the firewall in line, reads it back and writes what it shows into the lists.
 * @param whole whether a block goes when no list asks for it; else only when a list asks for its end, a wider one
 *   takes its place, or it must not be there at all
 * @param listed gives what is in force so far
 * @returns lists it changed
 */
async function applyLists(
  parts: CycleParts,
  lists: ReadonlyMap<ListName, BlocklistEntry[]>,
  whole: boolean,
  listed: () => Promise<InForce>,
  result: CycleResult,
  step: (name: Step) => Promise<void>
): Promise<ListName[]> {
  const now = parts.clock()
  const wanted = wantedOf(lists, parts.guard, now)
  result.skipped = wanted.skipped
  for (const skipped of wanted.skipped) parts.report('warn', { event: 'skipped', ...skipped })
  const before = await listed()
  const plan = planFirewall(wanted.block, before, wanted.ended)
  const cannot = new Set<Address>()
  if (parts.guard.unsure !== undefined) {
    const message = `nothing new is blocked: ${parts.guard.unsure}`
    result.failures.push(message)
    parts.report('error', { event: 'guard_unsure', message })
    for (const ip of plan.add) cannot.add(ip)
  }
  for (const ip of parts.guard.unsure === undefined ? plan.add : []) {
    const reason = parts.firewall.cannot?.(ip)
    if (reason === undefined) continue
    cannot.add(ip)
    parts.report('warn', { event: 'cannot_block', ip, reason })
  }
  const add = plan.add.filter(ip => !cannot.has(ip))
  // A block within one that is wanted goes as well: a firewall holds no two that overlap.
  const goes = (ip: Address) =>
    wanted.ended.has(ip) ||
    wanted.block.covering(ip) !== undefined ||
    refusalOf(ip, parts.guard) !== undefined
  // What was to take the place of a block is not there yet.
  const awaited = new AddressSet(parts.guard.unsure === undefined ? [] : plan.add)
  const mayGo = (ip: Address) =>
    awaited.overlapping(ip) === undefined || refusalOf(ip, parts.guard) !== undefined
  const remove = plan.remove.filter(ip => (whole || goes(ip)) && mayGo(ip))
  await parts.lock.check()
  const after = (await parts.firewall.apply(add, remove)) ?? before
  result.added = add.length
  result.removed = remove.length
  const inForce = inForceCheck(after)
  result.inForce = after.own.sizes()
  // What stood behind a wider block that has just gone was never there itself.
  const gone = new AddressSet(remove)
  const putBack = add.filter(ip => !wanted.fresh.has(ip) && gone.covering(ip) === undefined && inForce(ip))
  const strays = remove.filter(ip => before.own.has(ip) && !goes(ip))
  result.drift = { putBack: putBack.length, strays: strays.length }
  await step('applied')
  const outcomes = [...lists].map(([name, list]) => {
    const settled = settle(list, inForce, ip => wanted.block.covering(ip) !== undefined, now)
    result.notInForce += settled.notInForce.length
    return { name, before: list, ...settled }
  })
  // Whatever is missing is asked for by an entry that stays pending.
  for (const ip of result.notInForce > 0 ? wanted.block.outermost() : []) {
    if (inForce(ip) || cannot.has(ip)) continue
    const reason = 'it was not there when the firewall was read back'
    parts.report('warn', { event: 'not_in_force', ip, reason })
  }
  const changed: ListName[] = []
  for (const { name, before, list, notLetIn } of outcomes) {
    for (const ip of notLetIn) {
      const reason = 'a block that is not ours was still there when the firewall was read back'
      parts.report('warn', { event: 'still_blocked', list: name, ip, reason })
    }
    if (list === before) continue
    await parts.lists.replace(name, list)
    changed.push(name)
  }
  await step('settled')
  return changed
}

/** Notes what is known of the lists. Where that fails, the next cycle takes longer, and that is all. */
async function remember({ lists, report }: CycleParts): Promise<void> {
  try {
    await lists.remember()
  } catch (error) {
    if (!(error instanceof ProductError)) throw error
    report('warn', { event: 'not_remembered', message: messageOf(error) })
  }
}

async function sendBack(
  parts: CycleParts,
  exchange: ListExchange,
  names: readonly ListName[],
  result: CycleResult,
  attempt: Attempt
): Promise<void> {
  await exchange.sendBack(names, request =>
    attempt(async () => {
      const { files, refused } = await request()
      result.syncedBack.push(...files)
      for (const { file, message } of refused) {
        result.failures.push(`${file} was not taken back: ${message}`)
        parts.report('error', { event: 'not_taken_back', file, message })
      }
    })
  )
}
