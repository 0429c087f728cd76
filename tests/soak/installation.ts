import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import type { ClientEntry, UserEntry } from '../../common/shapes.js'
import { SmallDisk } from '../support/small-disk.js'

export const PASSWORD = 'a-password-of-the-soak'
export const ADMINS = ['alice', 'bob', 'carol']
const DAY = '2026-03-01'

/** The folders of a run: the servers' on one small disk, the hosts' on another, where there can be any. */
export class SoakInstallation {
  /** Small disks; empty without root. */
  readonly disks: SmallDisk[] = []
  /** Events that each host's fail2ban has logged. */
  readonly logged = new Map<string, number>()

  constructor(
    readonly dir: string,
    readonly hosts: readonly string[]
  ) {}

  /** Makes folders and settings. @param small puts them on small disks */
  async make(small: boolean): Promise<void> {
    if (small) {
      for (const name of ['server', 'hosts']) this.disks.push(await SmallDisk.mount(join(this.dir, name)))
    }
    for (const name of ['archive', 'download', 'temp', 'settings']) {
      await mkdir(this.server(name), { recursive: true })
    }
    // The cheapest hash: the servers of a run check thousands of them.
    const password = hashSync(PASSWORD, 4).replace('$2b$', '$2y$')
    const users: UserEntry[] = ADMINS.map(username => ({ username, password, role: 'admin' }))
    const clients: ClientEntry[] = this.hosts.map(host => ({ username: host, password, uuid: uuidOf(host) }))
    await writeFile(this.server('settings', 'users.json'), JSON.stringify(users, null, 2))
    await writeFile(this.server('settings', 'client-list.json'), JSON.stringify(clients, null, 2))
    for (const host of this.hosts) {
      await mkdir(this.host(host), { recursive: true })
      const lines = [`username = ${host}`, `password = ${PASSWORD}`, `uuid = ${uuidOf(host)}`, '']
      await writeFile(this.config(host), lines.join('\n'), { mode: 0o600 })
      await writeFile(this.log(host), '')
      this.logged.set(host, 0)
    }
  }

  server(...parts: string[]): string {
    return join(this.dir, 'server', ...parts)
  }

  host(host: string, ...parts: string[]): string {
    return join(this.dir, 'hosts', host, ...parts)
  }

  /** Arguments of `serve`. */
  serveArgs(): string[] {
    const folders = ['archive', 'download', 'temp', 'settings'].flatMap(name => [
      `--${name}`,
      this.server(name)
    ])
    return ['serve', '--port', '0', ...folders]
  }

  /** Arguments of `sync`. */
  syncArgs(host: string, server: string): string[] {
    return [
      ...['sync', '--config', this.config(host), '--state', this.host(host, 'state')],
      ...['--log', this.log(host), '--firewall', 'dry-run', '--server', server, '--timeout', '10']
    ]
  }

  /** Lets a host's fail2ban log some bans. */
  async ban(host: string, count: number): Promise<void> {
    const from = this.logged.get(host)!
    this.logged.set(host, from + count)
    const lines = Array.from({ length: count }, (_, at) => lineOf(from + at))
    await appendFile(this.log(host), lines.join(''))
  }

  /** The day's events as the server has them. */
  async events(host: string): Promise<{ timestamp: string }[]> {
    const path = this.server('archive', host, 'fail2ban', `fail2ban-events-${DAY.replaceAll('-', '')}.json`)
    return JSON.parse(await readFile(path, 'utf8')) as { timestamp: string }[]
  }

  /** Unmounts the disks. */
  close(): void {
    for (const disk of this.disks) disk.unmount()
  }

  // Beside the small disks: a log that can't be written is fail2ban's trouble, not the product's.
  log = (host: string): string => join(this.dir, `${host}.log`)
  config = (host: string): string => join(this.dir, `${host}.conf`)
}

/** The time stamp of a host's n-th event. */
export function stampOf(number: number): string {
  const two = (value: number) => String(value % 60).padStart(2, '0')
  const seconds = Math.floor(number / 1000)
  const time = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60))}:${two(seconds)}`
  return `${DAY} ${time},${String(number % 1000).padStart(3, '0')}`
}

function lineOf(number: number): string {
  return `${stampOf(number)} fail2ban.actions        [812]: NOTICE  [sshd] Ban 192.0.2.${(number % 250) + 1}\n`
}

function uuidOf(host: string): string {
  return `00000000-0000-4000-8000-${Buffer.from(host.padEnd(6, '-')).toString('hex').slice(0, 12)}`
}
