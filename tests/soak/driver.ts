import { cp } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { ACTIONS } from './actions.js'
import { ageLeftovers, brokenPromises } from './checks.js'
import { FAULTS } from './faults.js'
import { Random } from './random.js'
import { HOSTS, Soak } from './soak.js'
import { Violation } from './violation.js'

export interface RunOptions {
  seed: number
  /** Actions in all. */
  actions: number
  /** A folder of the run's own; may hold files of a former run's failure, no more. */
  dir: string
  servers: number
  /** Actions between two rests. */
  untilRest: number
  /** Ends the run at its next rest. */
  stop?: AbortSignal
  /** Where everything is copied to when a promise was broken. */
  keep?: string
  /** Told what happens, a line each. */
  note: (line: string) => void
}

/** What a run did, in numbers. */
export interface RunFigures {
  seed: number
  actions: number
  kills: number
  rests: number
  acknowledged: number
  refused: number
  lost: number
  cycles: Soak['cycles']
  perAction: Record<string, number>
  seconds: number
}

/** How long cycles may go on that are under way when there is nothing more to do; they are killed then. */
const CYCLES_GO_ON_MS = 3_000
/** Actions under way at once: many, as some wait for a dead process's lock. */
const AT_ONCE = 30

/**
 * Drives a fleet through faults that a seed has drawn, lets it come to rest from time to time, and checks then that
 * every promise was kept (sync-contract.md §5).
 * @throws Violation that says what was broken and how it came to that
 */
export async function runSoak(options: RunOptions): Promise<RunFigures> {
  const soak = new Soak(options.seed, options.dir, options.note)
  const perAction: Record<string, number> = {}
  const began = performance.now()
  let rests = 0
  try {
    await soak.make(options.servers)
    await soak.open()
    let done = 0
    for (; done < options.actions && options.stop?.aborted !== true; rests++) {
      const until = Math.min(done + options.untilRest, options.actions)
      done = await act(soak, done, until, perAction)
      await rest(soak)
      options.note(`${done} actions, ${soak.children.kills} kills: at rest, nothing lost`)
    }
    const { kills } = soak.children
    const seconds = Math.round((performance.now() - began) / 1000)
    const { seed } = options
    return {
      seed,
      actions: done,
      kills,
      rests,
      ...soak.model.counts,
      cycles: soak.cycles,
      perAction,
      seconds
    }
  } catch (error) {
    if (options.keep !== undefined)
      await cp(options.dir, options.keep, { recursive: true, preserveTimestamps: true })
    throw error
  } finally {
    await soak.close()
  }
}

/** Lets things happen, several at a time. @returns the number of the last one */
async function act(soak: Soak, from: number, until: number, counts: Record<string, number>): Promise<number> {
  let next = from
  const worker = async () => {
    while (next < until) {
      const number = ++next
      const random = new Random(soak.seed + number * 7919)
      const action = random.weighted([...ACTIONS, ...FAULTS])
      counts[action.name] = (counts[action.name] ?? 0) + 1
      await action.run(soak, random, number)
    }
  }
  const workers = Array.from({ length: AT_ONCE }, worker)
  await Promise.race(workers).catch(() => undefined)
  const hurry = setTimeout(() => soak.cyclesUnderWay.forEach(child => child.kill()), CYCLES_GO_ON_MS)
  const ends = await Promise.allSettled(workers)
  clearTimeout(hurry)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return next
}

/** No more faults; all processes end and start again; each host has two cycles; then the promises are checked. */
async function rest(soak: Soak): Promise<void> {
  soak.faulty = false
  soak.note('coming to rest')
  for (const disk of soak.at.disks) await disk.mend()
  for (const seat of soak.seats) await seat.forHosts.settled()
  await Promise.all(soak.seats.map(seat => seat.rest(soak.random.chance(0.5) ? 'SIGKILL' : 'SIGTERM')))
  await ageLeftovers(soak)
  await delay(
    Math.max(0, soak.model.lastEnd() < Date.now() + 10_000 ? soak.model.lastEnd() - Date.now() + 50 : 0)
  )
  await soak.open()
  soak.note('servers are there again')
  for (const cycle of [1, 2]) {
    const ends = await Promise.all(HOSTS.map(host => wholeCycle(soak, host)))
    const failed = ends.filter(end => end !== '')
    if (cycle === 2 && failed.length > 0) throw new Violation(`a cycle at rest failed: ${failed.join('; ')}`)
  }
  soak.note('hosts have synced')
  const broken = await brokenPromises(soak)
  if (broken.length > 0) throw new Violation(broken.join('\n'))
  await Promise.all(soak.seats.map(seat => seat.rest('SIGTERM')))
  const left = await soak.children.left()
  if (left.length > 0) throw new Violation(`processes outlived the fleet: ${left.join()}`)
  soak.faulty = true
  await soak.open()
}

/** @returns what it said when it failed */
async function wholeCycle(soak: Soak, host: string): Promise<string> {
  const server = `http://127.0.0.1:${soak.random.pick(soak.seats).forHosts.target}`
  const { code, err } = await soak.children.start([...soak.at.syncArgs(host, server), '--timeout', '60'])
    .ended
  return code === 0 ? '' : `${host}: ${code} ${err}`
}
