import { spawn, type ChildProcess } from 'node:child_process'
import { BIN, type Installation } from './installation.js'
import type { Namespace } from './netns.js'
import { asUsersDo } from './processes.js'

const PASSWORD = 'correct horse battery'

/** Adds the admin alice by the command line. */
export async function addAdmin(at: Installation): Promise<void> {
  await at.cli(['user', 'add', 'alice', '--role', 'admin', ...at.folders], { input: `${PASSWORD}\n` })
}

/**
 * Starts `sync --watch` on a host, which comes by itself only in an hour; its log is client.log.
 * @param host where it blocks by nftables; absent, it is this machine and its firewall is only played
 */
export function watchOn(at: Installation, host?: Namespace): ChildProcess {
  const flags = ['--watch', '--interval', '3600', '--client-log', at.path('client.log')]
  const firewall = host === undefined ? 'dry-run' : 'nftables'
  const words = [...(host?.prefix ?? []), process.execPath, BIN, ...at.syncArgs(firewall), ...flags]
  return spawn(...asUsersDo(words), { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Logs alice in at a server process, from its namespace. @returns blocks an address on web-1 there */
export async function blockByApi(
  at: Installation,
  where: Namespace
): Promise<(ip: string) => Promise<unknown>> {
  const jar = at.path(`cookies-${at.url.replace(/\D/g, '')}`)
  const post = async (name: string, body: object, csrf = '') => {
    const headers = ['-H', 'content-type: application/json', '-H', `x-csrf-token: ${csrf}`]
    const url = `${at.url}/api/${name}`
    const args = ['-sSf', '-b', jar, '-c', jar, ...headers, '-d', JSON.stringify(body), url]
    return JSON.parse(await where.exec('curl', ...args)) as { csrf: string }
  }
  const { csrf } = await post('login', { username: 'alice', password: PASSWORD })
  return ip => post('block', { servers: ['web-1'], jails: ['sshd'], ips: [ip] }, csrf)
}
