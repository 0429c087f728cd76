import { readFile, writeFile } from 'node:fs/promises'
import { archiveOf } from '../support/browser.js'
import type { Installation } from '../support/installation.js'

const AGO = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
const JAILS = 'nginx-http-auth\npostfix-sasl\nrecidive\nsshd'
const COMMANDS = [
  { type: 'whitelist_sync', state: 'completed', output: 'unchanged', minutes: 4 },
  { type: 'list_jails', state: 'completed', output: JAILS, minutes: 26 },
  { type: 'ban_ip', state: 'failed', output: 'fail2ban runs no jail proftpd', minutes: 95 },
  { type: 'health', state: 'timeout', output: 'its host did not fetch it in time', minutes: 340 },
  {
    type: 'jail_status',
    state: 'completed',
    output: 'Status for the jail: sshd\n'.repeat(12),
    minutes: 700
  }
] as const

/** Gives each host of a fleet commands in several states, and all but one a copy of the whitelist. */
export async function writeHostStates(at: Installation, servers: readonly string[]): Promise<void> {
  for (const [n, server] of servers.entries()) {
    const commands = COMMANDS.map(({ type, state, output, minutes }, k) => ({
      id: `${server}~0123456789${n}${k}`,
      type,
      params:
        type === 'ban_ip'
          ? { jail: 'proftpd', ip: '203.0.113.40' }
          : type === 'jail_status'
            ? { jail: 'sshd' }
            : {},
      state,
      createdAt: AGO(minutes + n),
      createdBy: k % 2 === 0 ? 'alice' : 'nightly check',
      ...(state === 'timeout' ? {} : { startedAt: AGO(minutes + n - 1) }),
      endedAt: AGO(minutes + n - 1),
      output
    }))
    await writeFile(archiveOf(at, server, 'commands.json'), JSON.stringify(commands.slice(n % 3)))
    if (n === servers.length - 1) continue
    const path = archiveOf(at, server, 'host.json')
    const host = JSON.parse(await readFile(path, 'utf8')) as object
    const why = 'fail2ban does not answer: no such file: /run/fail2ban/fail2ban.sock'
    const failed = n === 1 ? { result: 'fail', message: why } : { result: 'unchanged' }
    const whitelist = { at: AGO(2 + n), hash: 'c0ffee'.repeat(11).slice(0, 64), ...failed }
    await writeFile(path, JSON.stringify({ ...host, peer: `198.51.100.${n + 1}`, whitelist }))
  }
}
