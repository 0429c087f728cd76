import type { ServerSummary } from './shapes.js'

/** How a host stands with the whitelist; the gravest that holds. */
export type WhitelistState = 'failed' | 'behind' | 'never' | 'unknown' | 'inStep'

/** How a host stands with the whitelist. */
export function whitelistState({ host, whitelistInStep }: ServerSummary): WhitelistState {
  if (host.whitelist === undefined) return 'never'
  if (host.whitelist.result === 'fail') return 'failed'
  // The server can't read its own whitelist then.
  if (whitelistInStep === undefined) return 'unknown'
  return whitelistInStep ? 'inStep' : 'behind'
}
