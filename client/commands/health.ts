import { loadavg, uptime } from 'node:os'
import { ownVersion } from '../../common/package-root.js'
import type { Fail2ban } from '../fail2ban/fail2ban.js'
import type { Firewall } from '../firewall/types.js'
import type { WhitelistSync } from '../whitelist/whitelist-sync.js'

/** How a host is, as JSON. @throws ProductError FIREWALL, COMMAND when its firewall can't be read */
export async function healthOf(
  fail2ban: Fail2ban,
  firewall: Firewall,
  whitelist: WhitelistSync
): Promise<string> {
  const [version, running] = [await fail2ban.version(), await fail2ban.isRunning()]
  const blocks = (await firewall.list()).own.size
  return JSON.stringify({
    client: ownVersion(),
    node: process.version,
    uptime: Math.round(uptime()),
    load: loadavg().map(value => Math.round(value * 100) / 100),
    firewall: { name: firewall.name, blocks },
    fail2ban: { version: version?.join('.') ?? null, running, jails: running ? await fail2ban.jails() : [] },
    whitelist: await whitelist.report()
  })
}
