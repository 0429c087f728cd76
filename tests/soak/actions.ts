import { setTimeout as delay } from 'node:timers/promises'
import { isoTime } from '../../common/clock.js'
import { nameOf, type Subject, type Wish } from './model.js'
import type { Random } from './random.js'
import { HOSTS, JAILS, type Soak } from './soak.js'
import { Violation } from './violation.js'
import { changeWhitelist } from './whitelist-action.js'

/** One thing a run can do. It draws from a source of its own, so that what runs beside it changes nothing. */
export interface Action {
  name: string
  weight: number
  run(soak: Soak, random: Random, number: number): Promise<void>
}

const DAY_MS = 86_400_000

/** What admins, hosts and their fail2ban do all day. */
export const ACTIONS: Action[] = [
  { name: 'wish', weight: 76, run: (soak, random, number) => wish(soak, random, number, 1) },
  { name: 'wish of many', weight: 8, run: (soak, random, number) => wish(soak, random, number, 12) },
  { name: 'wish sent twice', weight: 4, run: (soak, random, number) => wish(soak, random, number, 3, 2) },
  { name: 'whitelist', weight: 8, run: changeWhitelist },
  { name: 'cycle', weight: 9, run: cycle },
  {
    name: 'ban',
    weight: 4,
    run: async (soak, random) => soak.at.ban(random.pick(HOSTS), random.between(1, 5))
  }
]

/** Some addresses are to be blocked or let in, in one or more lists of one or more hosts. */
async function wish(soak: Soak, random: Random, number: number, most: number, times = 1): Promise<void> {
  const many = most > 1
  const hosts = many && random.chance(0.3) ? HOSTS.slice(0, 2) : [random.pick(HOSTS)]
  const jails = many && random.chance(0.3) ? JAILS.slice(1) : [random.pick(JAILS)]
  const want: Wish = random.chance(0.6) ? 'block' : 'unblock'
  const end = random.next()
  const ends = want === 'unblock' || end > 0.25 ? undefined : Date.now() + (end < 0.12 ? 2500 : 30 * DAY_MS)
  const subjects = freeSubjects(soak, random, hosts, jails, random.between(1, most))
  if (subjects.length === 0) return
  const lists = hosts.length * jails.length
  for (const subject of subjects) subject.busy = true
  const body = {
    servers: hosts,
    jails,
    ips: [...new Set(subjects.map(subject => subject.ip))],
    ...(ends === undefined ? {} : { expires: isoTime(ends) }),
    ...(want === 'block' ? { reason: `action ${number}` } : {})
  }
  try {
    const asked = Array.from({ length: times }, () =>
      ask(soak, random, number, { want, ends, body, subjects, lists, alone: times === 1 })
    )
    await Promise.all(asked)
  } finally {
    for (const subject of subjects) subject.busy = false
  }
}

interface Wished {
  want: Wish
  ends: number | undefined
  body: object
  subjects: readonly Subject[]
  lists: number
  /** No other request wants the same at the same time. */
  alone: boolean
}

async function ask(soak: Soak, random: Random, number: number, wished: Wished): Promise<void> {
  const { want, ends, subjects } = wished
  const turns = new Map(subjects.map(({ ip }) => [ip, soak.whitelisting.turnOf(ip)]))
  const since = performance.now()
  const { admin, seat, answer } = await soak.ask(random, want, wished.body)
  const took = Math.round(performance.now() - since)
  const said = answer.lost ? answer.reason : `${answer.status} ${answer.message}`
  const line = `${number} ${admin} server ${seat} ${want} → ${said} after ${took} ms`
  soak.note(`${line}: ${subjects.map(nameOf).join(', ')}`)
  if (took > MOST_MS * wished.lists) throw new Violation(`a reply took ${took} ms: ${line}`)
  if (said.includes('Internal error')) throw new Violation(`an error nobody thought of: ${line}`)
  for (const subject of subjects) subject.history.push(`${new Date().toISOString()} ${line}`)
  if (answer.lost) {
    for (const subject of subjects) soak.model.lost(subject, want, ends)
    return
  }
  if (answer.results.length === 0) soak.model.counts.refused += subjects.length
  for (const { server, jail, ip, outcome } of answer.results) {
    const subject = soak.model.get(server, jail, ip)
    if (subject === undefined)
      throw new Violation(`a reply about ${server} ${jail} ${ip}, which nobody asked for`)
    subject.history.push(`  ${outcome}`)
    const turn = turns.get(ip)
    const whitelisted = turn === undefined || turn !== soak.whitelisting.turnOf(ip)
    const covered = soak.whitelisting.covers(server, ip)
    const wrong = wished.alone && !whitelisted && soak.model.contradicts(subject, want, outcome, covered)
    soak.model.told(subject, outcome, ends)
    if (outcome !== 'refused' && outcome !== 'failed')
      subject.unclear = whitelisted || (subject.unclear && outcome === 'already-blocked')
    if (outcome === 'blocked') soak.trail.expectReason(server, `action ${number}`, jail, ip)
    if (outcome === 'blocked') soak.trail.expect(server, `block ${jail} ${ip}`)
    if (outcome === 'unblocked') soak.trail.expect(server, `unblock ${jail} ${ip}`)
    if (wrong)
      throw new Violation([`${nameOf(subject)} was told ${outcome}`, ...subject.history].join('\n  '))
  }
}

/** For each list: two locks waited for in turn, each for 15 s, and the work of a busy machine. */
const MOST_MS = 45_000

/** Addresses that nothing is under way or unclear about in any of the lists. */
function freeSubjects(
  soak: Soak,
  random: Random,
  hosts: readonly string[],
  jails: readonly string[],
  most: number
): Subject[] {
  const found: Subject[] = []
  for (let left = most; left > 0; left--) {
    const { ip } = random.pick(soak.model.subjects)
    const all = hosts.flatMap(host => jails.map(jail => soak.model.get(host, jail, ip)!))
    if (all.some(subject => subject.busy || subject.maybe !== undefined || found.includes(subject))) continue
    if (soak.whitelisting.isUnclear(ip)) continue
    found.push(...all)
  }
  return found
}

/** One cycle of a host, maybe beside others of it, maybe killed. */
async function cycle(soak: Soak, random: Random, number: number): Promise<void> {
  const host = random.pick(HOSTS)
  const seat = random.pick(soak.seats)
  const faults = soak.clientFaults(random)
  const child = soak.children.start(soak.at.syncArgs(host, seat.forHosts.url), faults)
  if (random.chance(0.15)) delay(random.between(50, 1500), undefined, { ref: false }).then(() => child.kill())
  soak.cyclesUnderWay.add(child)
  const { code, killed } = await child.ended
  soak.cyclesUnderWay.delete(child)
  const end = killed ? 'killed' : code === 0 ? 'whole' : code === 75 ? 'busy' : 'failed'
  soak.cycles[end]++
  soak.note(`${number} cycle of ${host} ${JSON.stringify(faults)} → ${end}`)
}
