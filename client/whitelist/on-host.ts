import { messageOf, ProductError } from '../../common/errors.js'
import type { ClientConfig } from '../config/config.js'
import { onHost, type Host, type SyncParts } from '../host.js'
import { reportOf, type BegunSync, type WhitelistResult } from './whitelist-sync.js'

/**
 * The whitelist alone: pulled, made to hold, and told to the server.
 * @param surely asks fail2ban whether it runs also where nothing differs
 * @returns what came of it; failures too
 * @throws ProductError BUSY when another run is under way; CONFIG when the whitelist is switched off
 */
export async function syncWhitelistOnce(
  config: Readonly<ClientConfig>,
  parts: SyncParts,
  surely = false
): Promise<WhitelistResult> {
  if (!config.whitelist.enabled) throw new ProductError('CONFIG', 'whitelist_enabled is no')
  return onHost(config, parts, async ({ whitelist, link }) => {
    const result = await whitelist.sync(surely)
    await link.report({ whitelist: reportOf(result) }).catch((error: unknown) => {
      // The pull's own failure says it already.
      if (result.result === 'fail') return
      throw error
    })
    return result
  })
}

/**
 * The second half of a sync that a cycle began: fail2ban is seen to, and the server is told.
 * @returns what failed
 */
export async function finishWhitelist({ whitelist, link, parts }: Host, begun: BegunSync): Promise<string[]> {
  const done = await whitelist.finish(begun)
  if (done.result === 'unchanged') return []
  const failures = done.message === undefined ? [] : [`whitelist: ${done.message}`]
  try {
    await link.report({ whitelist: reportOf(done) })
  } catch (error) {
    failures.push(`whitelist: ${messageOf(error)}`)
  }
  for (const message of failures) parts.report('error', { event: 'whitelist_failed', message })
  return failures
}

/** Takes everything back that was done for the whitelist, once it is switched off. @returns what failed */
export async function withdrawWhitelist({ whitelist, parts }: Host): Promise<string[]> {
  try {
    await whitelist.withdraw()
    return []
  } catch (error) {
    const message = `the whitelist is switched off, but fail2ban still heeds it: ${messageOf(error)}`
    parts.report('error', { event: 'whitelist_left', message })
    return [message]
  }
}
