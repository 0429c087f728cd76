import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { localDay } from '../../common/clock.js'
import type { BanEvent, BlocklistEntry } from '../../common/shapes.js'

/** Data of a fleet as its hosts would have sent it; the same seed gives the same fleet. */
export interface FleetOptions {
  servers: string[]
  days: number
  eventsPerDay: number
  now: number
  seed?: number
}

const JAILS = ['sshd', 'nginx-http-auth', 'postfix-sasl', 'recidive', 'dovecot']
const REASONS = ['repeated ssh guessing', 'scanner', 'spam relay', '', 'asked for by the customer']

/** Writes archive/<server>/fail2ban, blocklists and host.json. */
export async function writeFleet(archive: string, options: FleetOptions): Promise<void> {
  const { servers, days, eventsPerDay, now } = options
  const random = generator(options.seed ?? 1)
  for (const [at, server] of servers.entries()) {
    await mkdir(join(archive, server, 'fail2ban'), { recursive: true })
    await mkdir(join(archive, server, 'blocklists'), { recursive: true })
    for (let ago = 0; ago < days; ago++) {
      const day = localDay(now, ago)
      const upTo = ago === 0 ? new Date(now).getHours() + 1 : 24
      const events = dayEvents(random, day, Math.round((eventsPerDay * upTo) / 24), upTo)
      await writeFile(join(archive, server, 'fail2ban', `fail2ban-events-${day}.json`), rows(events))
    }
    for (const jail of JAILS.slice(0, 3)) {
      const list = entries(random, jail, 40 + at * 15, now, at % 3 === 1)
      await writeFile(join(archive, server, 'blocklists', `${jail}.blocklist.json`), rows(list))
    }
    const minutes = at === servers.length - 1 ? 190 : 1 + (at % 4)
    const seen = new Date(now - minutes * 60_000).toISOString()
    const skew = at === 2 ? { clockSkewMs: 95_000 } : { clockSkewMs: 120 }
    const host = {
      lastSeen: seen,
      lastSync: seen,
      version: '0.1.0',
      firewall: at % 2 ? 'ufw' : 'nftables',
      ...skew
    }
    await writeFile(join(archive, server, 'host.json'), JSON.stringify(host))
  }
}

/** How many days of events are made anew; the others repeat them with other dates. */
const DIFFERENT = 5

/**
 * A fleet with so many events that making each would take minutes: most days repeat others.
 * @param options `eventsPerDay` of the whole fleet, split among the servers; the first has `today` events today
 */
export async function writeLargeFleet(
  archive: string,
  options: FleetOptions & { today: number }
): Promise<void> {
  const { servers, days, eventsPerDay, now, today } = options
  await writeFleet(archive, { ...options, days: 0 })
  const random = generator(options.seed ?? 1)
  const each = Math.round(eventsPerDay / servers.length)
  const mark = '20000101'
  const texts = Array.from({ length: DIFFERENT }, () => rows(dayEvents(random, mark, each, 24)))
  for (const [at, server] of servers.entries()) {
    for (let ago = 0; ago < days; ago++) {
      const day = localDay(now, ago)
      const text =
        at === 0 && ago === 0
          ? rows(dayEvents(random, day, today, 24))
          : (texts[(at + ago) % DIFFERENT] ?? '').replaceAll(dashed(mark), dashed(day))
      await writeFile(join(archive, server, 'fail2ban', `fail2ban-events-${day}.json`), text)
    }
  }
}

/** `YYYY-MM-DD` of `YYYYMMDD`. */
function dashed(day: string): string {
  return `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6, 8)}`
}

/** One day's events in the order they were logged. */
export function dayEvents(random: () => number, day: string, count: number, hours: number): BanEvent[] {
  const known: string[] = []
  const times = Array.from({ length: count }, () => burst(random, hours)).sort((a, b) => a - b)
  return times.map((time, at) => {
    const ip = random() < 0.35 && known.length > 0 ? pick(random, known) : newIp(random)
    if (known.length < 5000) known.push(ip)
    const chance = random()
    const action =
      chance < 0.62 ? 'Ban' : chance < 0.93 ? 'Unban' : chance < 0.985 ? 'Increase Ban' : 'Restore Ban'
    return {
      timestamp: `${dashed(day)} ${face(time)},${String(at % 1000).padStart(3, '0')}`,
      action,
      ip,
      jail: jailOf(random)
    }
  })
}

/** Numbers from 0 to 1 that follow from the seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Seconds of the day; attacks come in waves. */
function burst(random: () => number, hours: number): number {
  const wave = random() < 0.03 ? 0.41 + random() * 0.002 : random()
  const shaped = wave * (0.75 + 0.25 * Math.sin(wave * 9))
  return Math.min(hours * 3600 - 1, Math.floor(Math.abs(shaped) * hours * 3600))
}

function jailOf(random: () => number): string {
  return JAILS[Math.floor(random() ** 2 * JAILS.length)] ?? 'sshd'
}

function newIp(random: () => number): string {
  const part = (from: number, to: number) => from + Math.floor(random() * (to - from))
  if (random() < 0.06) return `2001:db8:${part(1, 9999).toString(16)}::${part(1, 65_000).toString(16)}`
  return `${part(1, 223)}.${part(0, 255)}.${part(0, 255)}.${part(1, 255)}`
}

function entries(
  random: () => number,
  jail: string,
  count: number,
  now: number,
  pending: boolean
): BlocklistEntry[] {
  return Array.from({ length: count }, (_, at) => {
    const stamp = new Date(now - Math.floor(random() * 20 * 86_400_000)).toISOString().replace('Z', '+00:00')
    const waits = pending && at > count - 4
    const ends = new Date(now + (random() * 12 - 2) * 86_400_000).toISOString()
    return {
      ip:
        at % 17 === 3
          ? `${newIp(random).split(':')[0]?.includes('.') === true ? '198.51.100' : '203.0.113'}.${(at % 4) * 64}/26`
          : newIp(random),
      jail,
      source: 'action_ban-ip',
      timestamp: stamp,
      expires: at % 3 === 0 ? ends : null,
      reason: pick(random, REASONS),
      active: true,
      lastModified: waits ? new Date(now - at * 1000).toISOString().replace('Z', '+00:00') : stamp,
      tags: at % 9 === 0 ? ['manual'] : [],
      pending: waits
    }
  })
}

function pick<T>(random: () => number, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!
}

function face(second: number): string {
  return [second / 3600, (second / 60) % 60, second % 60]
    .map(part => String(Math.floor(part)).padStart(2, '0'))
    .join(':')
}

function rows(items: readonly unknown[]): string {
  return items.length === 0 ? '[]\n' : `[\n${items.map(item => JSON.stringify(item)).join(',\n')}\n]\n`
}
