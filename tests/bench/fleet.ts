import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, FormData, request } from 'undici'
import { clientEntries } from '../support/client-entries.js'
import type { Installation } from '../support/installation.js'
import { entriesOf, ipsOf } from './addresses.js'
import type { BenchRow } from './row.js'
import { withInstallation } from './with-installation.js'

const HOSTS = 1000
const MINUTES = 3
const MINUTE_MS = 60_000
/** Of every so many polls one finds a changed list. */
const CHANGED = 50
export const PASSWORD = 'the password of all'
/** As the product makes them. */
const COST = 10
/** Clock ticks of /proc/PID/stat a second (Linux, all machines). */
const TICKS = 100

/** 1,000 hosts that poll once a minute each, spread over it; what the server's process takes for that. */
export async function fleet(): Promise<BenchRow[]> {
  return withInstallation(allPoll)
}

async function allPoll(at: Installation): Promise<BenchRow[]> {
  const agent = new Agent({ connections: 32 })
  try {
    const clients = await writeHosts(at, HOSTS)
    await at.serve()
    const poller = new Poller(at.url, agent)
    // The first minute checks every password and hands every list out once: that is a start, not a day.
    await minute(poller)
    poller.slowest = 0
    const before = await cpuSeconds(at)
    const started = performance.now()
    for (let nr = 1; nr <= MINUTES; nr++) {
      const some = clients.filter((_, host) => host % CHANGED === nr)
      await Promise.all(some.map(({ username }) => change(at, username, nr)))
      await minute(poller)
    }
    const seconds = (performance.now() - started) / 1000
    const share = ((await cpuSeconds(at)) - before) / seconds
    const status = await readFile(`/proc/${String(at.pid)}/status`, 'utf8')
    return [
      {
        what: `${HOSTS} hosts, a poll a minute each, ${100 / CHANGED} % with changes, ${MINUTES} minutes`,
        value: `${(share * 100).toFixed(1)} % of a core; ${poller.fetched} lists fetched; slowest poll ${Math.round(poller.slowest)} ms`,
        baseline: 'target 15 %',
        ratio: share / 0.15,
        peakMb: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
      }
    ]
  } finally {
    await agent.destroy()
  }
}

export const hostName = (nr: number) => `host-${String(nr).padStart(4, '0')}`

/** Registers hosts, each with a list that waits. @param cost of their passwords */
export async function writeHosts(
  at: Installation,
  count: number,
  cost = COST
): Promise<{ username: string }[]> {
  await mkdir(at.path('settings'), { recursive: true })
  const names = Array.from({ length: count }, (_, nr) => hostName(nr))
  const clients = clientEntries(names, PASSWORD, cost)
  await writeFile(at.path('settings', 'client-list.json'), JSON.stringify(clients))
  await Promise.all(clients.map(({ username }) => change(at, username, 0)))
  return clients
}

/** Gives a host's list another entry that waits. */
export async function change(at: Installation, host: string, nr: number): Promise<void> {
  const folder = at.path('archive', host, 'blocklists')
  await mkdir(folder, { recursive: true })
  const ips = ipsOf(100 + nr)
  const list = [
    ...entriesOf(ips.slice(1), { active: true, pending: false }),
    ...entriesOf(ips.slice(0, 1), { active: true, pending: true })
  ]
  await writeFile(join(folder, 'sshd.blocklist.json'), JSON.stringify(list))
}

/** All hosts poll once, spread evenly over a minute. */
async function minute(poller: Poller): Promise<void> {
  const polls: Promise<void>[] = []
  const started = performance.now()
  for (let nr = 0; nr < HOSTS; nr++) {
    const due = started + (nr * MINUTE_MS) / HOSTS
    await delay(Math.max(0, due - performance.now()))
    polls.push(poller.poll(hostName(nr)))
  }
  await Promise.all(polls)
  await delay(Math.max(0, started + MINUTE_MS - performance.now()))
}

/** Polls as our client does: tells what it holds, fetches what is new, and syncs it back. */
export class Poller {
  fetched = 0
  slowest = 0
  readonly #held = new Map<string, string>()

  constructor(
    private readonly url: string,
    private readonly agent: Agent
  ) {}

  async poll(host: string): Promise<void> {
    const who = { username: host, password: PASSWORD, uuid: 'u' }
    const begun = performance.now()
    const have = this.#held.get(host)
    const told = {
      have: have === undefined ? '' : `sshd.blocklist.json=${have}`,
      version: 'bench',
      time: String(Date.now())
    }
    const form = () => new URLSearchParams(who).toString()
    const { updates } = JSON.parse(
      await this.#post('update.php', new URLSearchParams({ ...who, ...told }).toString())
    ) as { updates: string[] }
    this.slowest = Math.max(this.slowest, performance.now() - begun)
    for (const list of updates) {
      const text = await this.#post(`download.php?file=${list}`, form())
      const back = JSON.stringify((JSON.parse(text) as object[]).map(entry => ({ ...entry, pending: false })))
      const body = new FormData()
      for (const [name, value] of Object.entries(who)) body.append(name, value)
      body.append('file[]', new Blob([back]), list)
      await this.#post('syncback.php', body)
      this.#held.set(host, await sha256(back))
      this.fetched++
    }
  }

  async #post(path: string, body: string | FormData): Promise<string> {
    const headers = typeof body === 'string' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
    const url = `${this.url}/endpoint/${path}`
    const reply = await request(url, { method: 'POST', body, headers, dispatcher: this.agent })
    const text = await reply.body.text()
    if (reply.statusCode !== 200) throw new Error(`${path}: ${reply.statusCode} ${text}`)
    return text
  }
}

async function sha256(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('hex')
}

/** What the server's process has used of all cores so far. */
export async function cpuSeconds(at: Installation): Promise<number> {
  const stat = await readFile(`/proc/${String(at.pid)}/stat`, 'utf8')
  // The name in brackets may hold anything.
  const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(words[11]) + Number(words[12])) / TICKS
}
