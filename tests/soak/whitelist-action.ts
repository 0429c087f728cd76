import type { Random } from './random.js'
import { HOSTS, type Soak } from './soak.js'
import { Violation } from './violation.js'
import type { Listed, Target } from './whitelisting.js'

/** An admin puts an entry on the whitelist, for all hosts or one, or takes it off. */
export async function changeWhitelist(soak: Soak, random: Random, number: number): Promise<void> {
  const target = random.pick(soak.whitelisting.targets)
  if (target.busy || target.maybe !== undefined) return
  const add = random.chance(target.known.hosts.size === 0 ? 0.85 : 0.3)
  const hosts = new Set(!add ? [] : random.chance(0.6) ? HOSTS : [random.pick(HOSTS)])
  target.busy = true
  target.turns++
  try {
    await ask(soak, random, number, target, { add, wish: { hosts } })
  } finally {
    target.busy = false
  }
}

async function ask(
  soak: Soak,
  random: Random,
  number: number,
  target: Target,
  { add, wish }: { add: boolean; wish: Listed }
): Promise<void> {
  const servers = wish.hosts.size === HOSTS.length ? [] : [...wish.hosts]
  const more = add ? { description: `action ${number}`, servers } : {}
  const path = add ? 'whitelist' : 'whitelist/remove'
  const { admin, seat, answer } = await soak.ask(random, path, { ips: [target.entry], ...more })
  const said = answer.lost ? `lost: ${answer.reason}` : `${answer.status} ${answer.message}`
  const line = `${number} ${admin} server ${seat} ${path} ${target.entry} for ${servers.join() || 'all'} → ${said}`
  soak.note(line)
  const subjects = soak.model.subjects.filter(({ ip }) => target.ips.includes(ip))
  for (const { history } of subjects) history.push(`${new Date().toISOString()} ${line}`)
  if (answer.lost) {
    soak.model.counts.lost++
    target.maybe = wish
    return
  }
  if (answer.status !== 200) {
    soak.model.counts.refused++
    return
  }
  const [outcome] = answer.outcomes
  const there = target.known.hosts.size > 0
  const right = add ? (there ? 'changed' : 'added') : there ? 'removed' : 'not-there'
  if (outcome?.outcome !== right) throw new Violation(`${line}: was told ${outcome?.outcome}, not ${right}`)
  soak.model.counts.acknowledged++
  target.known = wish
  if (right !== 'not-there') soak.trail.expect('', `whitelist-${right} ${target.entry}`)
  for (const { server, list, ip } of answer.lifted) {
    soak.trail.expect(server, `unblock ${list.replace('.blocklist.json', '')} ${ip}`)
  }
  const failed = new Set(answer.failed)
  for (const subject of subjects.filter(({ host }) => add && wish.hosts.has(host))) {
    subject.known = 'unblock'
    subject.ends = undefined
    // What can't be lifted now is when its host next asks, unless the entry is gone by then.
    subject.unclear ||= subject.busy || failed.has(`${subject.host}: ${subject.jail}.blocklist.json`)
  }
}
