import { ProductError } from '../../common/errors.js'
import type { CycleResult } from '../cycle/cycle.js'
import type { Guard } from '../cycle/wanted.js'
import type { Firewall } from '../firewall/types.js'
import type { Host } from '../host.js'
import type { CommandHost } from './carry-out.js'
import { reportOf } from '../whitelist/whitelist-sync.js'
import { healthOf } from './health.js'

/** What commands act on here. @param blocklistSync what came of the cycle that fetched them */
export function commandHost(
  { config, fail2ban, whitelist, link, parts }: Host,
  firewall: Firewall,
  guard: Guard,
  blocklistSync: () => string
): CommandHost {
  return {
    allowed: config.commands,
    fail2ban,
    mayChange: config.firewall !== 'dry-run',
    guard,
    blocklistSync,
    whitelistSync: async () => {
      if (!config.whitelist.enabled) throw new ProductError('CONFIG', 'whitelist_enabled is no')
      parts.bus?.emit('sync_requested', { what: 'whitelist', by: 'command' })
      const done = await whitelist.sync()
      const { result, entries, lifted, message } = done
      if (result !== 'unchanged') await link.report({ whitelist: reportOf(done) })
      if (message !== undefined) throw new ProductError('REFUSED', message)
      return JSON.stringify({ result, entries, lifted })
    },
    health: () => healthOf(fail2ban, firewall, whitelist)
  }
}

/** What came of a cycle, as JSON. @throws ProductError when something of it failed */
export function cycleInWords(result: CycleResult): string {
  if (result.failures.length > 0) throw new ProductError('REFUSED', result.failures.join('; '))
  const { downloaded, added, removed, syncedBack, skipped, notInForce } = result
  return JSON.stringify({
    downloaded,
    added,
    removed,
    syncedBack,
    skipped: skipped.slice(0, 100),
    notInForce
  })
}
