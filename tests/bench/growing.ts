import { Agent } from 'undici'
import { NO_BROWSER } from '../support/browser.js'
import type { Installation } from '../support/installation.js'
import { eventsTimes, pageTimes, statisticsTimes, withMonth } from './dashboard.js'
import { cpuSeconds, hostName, PASSWORD, Poller, writeHosts } from './fleet.js'
import { growth } from './growth.js'
import type { BenchRow } from './row.js'
import { loadUpdate } from './update-requests.js'
import { withInstallation } from './with-installation.js'

type Taken = [size: number, ms: number][]

/** Events of a day, to the last byte, warm. */
export async function eventsGrowth(): Promise<BenchRow[]> {
  const taken: Taken = []
  for (const size of [1000, 10_000, 100_000]) {
    const run = async (at: Installation) => {
      await at.serve()
      return eventsTimes(at)
    }
    taken.push([size, (await withMonth(100, size, run)).last])
  }
  return [growth('events of a day, last byte', taken)]
}

/** The first statistics of a new process, by how many events a day has: they look back on 30 days, and no further. */
export async function statisticsGrowth(): Promise<BenchRow[]> {
  const [cold, warm]: [Taken, Taken] = [[], []]
  for (const size of [135, 1348, 13_480]) {
    const times = await withMonth(size, size, statisticsTimes)
    cold.push([30 * size, times.cold])
    warm.push([30 * size, times.warm])
  }
  return [growth('statistics of events in 30 days, cold', cold), growth('the same, warm', warm)]
}

/** The page, up to what no host's day holds: 134,800 events. */
export async function pageGrowth(): Promise<BenchRow[]> {
  if (NO_BROWSER !== false) return []
  const [opened, typed]: [Taken, Taken] = [[], []]
  for (const size of [1348, 13_480, 134_800]) {
    const run = async (at: Installation) => {
      await at.serve()
      return pageTimes(at)
    }
    const times = await withMonth(100, size, run)
    opened.push([size, times.opened])
    typed.push([size, times.typed])
  }
  return [
    growth('dashboard, navigation → table usable, events', opened),
    growth('dashboard, keystroke → new rows, events', typed)
  ]
}

/** A request to update.php, on 64 connections, by how many hosts the server knows; all of these ask for one of them. */
export async function updateGrowth(): Promise<BenchRow[]> {
  const taken: Taken = []
  for (const size of HOSTS) {
    await withHosts(size, async (at, poller) => {
      await poller.poll(hostName(0))
      const who = { username: hostName(0), password: PASSWORD, uuid: 'u' }
      taken.push([size, 1000 / (await loadUpdate(at, who)).requests.average])
    })
  }
  return [growth('a request to update.php, hosts known', taken)]
}

/** What a round of polls of all hosts costs the server, with nothing to fetch, in CPU time. */
export async function fleetGrowth(): Promise<BenchRow[]> {
  const taken: Taken = []
  for (const size of HOSTS) {
    await withHosts(size, async (at, poller) => {
      const round = async () => {
        for (let nr = 0; nr < size; nr += AT_ONCE) {
          const some = Array.from({ length: Math.min(AT_ONCE, size - nr) }, (_, more) => hostName(nr + more))
          await Promise.all(some.map(host => poller.poll(host)))
        }
      }
      await round()
      const before = await cpuSeconds(at)
      // As many polls with each size: few are too short to be measured.
      const rounds = POLLS / size
      for (let nr = 0; nr < rounds; nr++) await round()
      taken.push([size, (((await cpuSeconds(at)) - before) / rounds) * 1000])
    })
  }
  return [growth('CPU of a poll by each host, hosts', taken)]
}

const HOSTS = [10, 100, 1000]
const POLLS = 1000
const AT_ONCE = 10
/** Of the passwords, which are checked once: with the usual cost, a thousand of them take a minute. */
const CHEAP = 4

async function withHosts(
  count: number,
  run: (at: Installation, poller: Poller) => Promise<void>
): Promise<void> {
  await withInstallation(async at => {
    const agent = new Agent({ connections: 32 })
    try {
      await writeHosts(at, count, CHEAP)
      await at.serve()
      await run(at, new Poller(at.url, agent))
    } finally {
      await agent.destroy()
    }
  })
}
