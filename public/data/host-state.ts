import type { ServerSummary } from './shapes.js'
import { timeOf } from './time.js'
import { whitelistState } from './whitelist-state.js'

/** How a host stands; the gravest that holds. */
export type HostState = 'problem' | 'never' | 'silent' | 'pending' | 'handedOut' | 'inStep'

/** A host that was not heard of for so long is silent: three of the five minutes that cron usually leaves. */
export const SILENT_MS = 15 * 60_000
/** How often a host usually asks. */
export const USUAL_MS = 5 * 60_000
/** A clock off by more than this makes events and blocks hard to match. */
const SKEW_MS = 30_000

/** The state of a host. @param now the server's time, milliseconds */
export function hostState(server: ServerSummary, now: number): HostState {
  if (server.problem !== undefined || server.setAside.length > 0) return 'problem'
  const seen = timeOf(server.host.lastSeen ?? server.host.lastSync)
  if (Number.isNaN(seen)) return 'never'
  if (now - seen > SILENT_MS) return 'silent'
  if (server.lists.some(list => list.update === 'handed-out')) return 'handedOut'
  return pendingOf(server) > 0 ? 'pending' : 'inStep'
}

/** True for a host that somebody should look at, and not only wait for. @param now the server's time, milliseconds */
export function needsLook(server: ServerSummary, now: number): boolean {
  const grave = ['problem', 'never', 'silent'].includes(hostState(server, now))
  return grave || isSkewed(server) || whitelistState(server) === 'failed'
}

/** True for a host that has everything it is to have. @param now the server's time, milliseconds */
export function isInStep(server: ServerSummary, now: number): boolean {
  return hostState(server, now) === 'inStep' && whitelistState(server) !== 'behind'
}

/** True for a host whose clock is off. */
export function isSkewed({ host }: ServerSummary): boolean {
  return Math.abs(host.clockSkewMs ?? 0) > SKEW_MS
}

/** Changes that wait for the host. */
export function pendingOf(server: ServerSummary): number {
  return server.lists.reduce((sum, list) => sum + list.pendingBlock + list.pendingUnblock, 0)
}

/** Entries that are in force on the host. */
export function activeOf(server: ServerSummary): number {
  return server.lists.reduce((sum, list) => sum + list.active + list.pendingUnblock, 0)
}

/** When the host is expected to ask next, milliseconds; NaN while it never has. */
export function nextOf(server: ServerSummary): number {
  return timeOf(server.host.lastSeen) + USUAL_MS
}
