import { readFile, writeFile } from 'node:fs/promises'
import { Installation } from './installation.js'

/** The one host of a small installation. */
export const HOST = 'web-1'

/** A server that runs, one host of it, and a log with one ban. */
export async function oneHost(dir: string): Promise<Installation> {
  const at = new Installation(dir)
  await at.serve()
  await at.addHost(HOST)
  await writeFile(
    at.path('fail2ban.log'),
    '2026-03-01 10:00:00,123 fail2ban.actions        [812]: NOTICE  [sshd] Ban 192.0.2.1\n'
  )
  return at
}

/** Blocks or unblocks addresses in its jail sshd, by CLI. */
export const block = (at: Installation, want: 'block' | 'unblock', ...ips: string[]) =>
  at.cli([want, ...ips, '--server', HOST, '--jail', 'sshd', ...at.folders])

/** What the dry-run firewall has in force. */
export const firewall = async (at: Installation) =>
  JSON.parse(await readFile(at.path('state', 'dry-run-firewall.json'), 'utf8')) as string[]

/** The host's own copy of its list, as text. */
export const local = async (at: Installation) =>
  readFile(at.path('state', 'blocklists', 'sshd.blocklist.json'), 'utf8')
