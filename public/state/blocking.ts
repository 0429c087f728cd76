import { signal } from '@preact/signals'
import { isWide, parseIp } from '../data/ip.js'
import type { BlocklistEntry } from '../data/shapes.js'
import { post, Refusal, type Changed, type Told } from './api.js'
import { t } from './i18n.js'
import { whyOf, wordsOf } from './refusals.js'
import { refresh } from './resource.js'
import { session, sessionIsOver } from './session.js'
import { tell } from './toasts.js'
import { timeOf } from '../data/time.js'

/** Addresses, and the lists they concern: every address in every jail of every server. */
export interface Places {
  servers: string[]
  jails: string[]
  ips: string[]
}

/** A block that is asked for. */
export interface BlockWish extends Places {
  reason: string
  /** ISO 8601, or null for no end. */
  expires: string | null
  tags: string[]
}

/** One address in one list. */
export interface Place {
  server: string
  jail: string
  ip: string
}

/** What is to be let in again, and its entries as far as they are known: the way back makes them anew. */
export interface Unblocking {
  places: readonly Place[]
  entries: readonly BlocklistEntry[]
}

/** What the block dialog is open for, and with what it begins; undefined while it is closed. */
export const blockDialog = signal<Partial<BlockWish> | undefined>(undefined)
/** What is to be unblocked and needs a confirmation; undefined while nothing is. */
export const unblockDialog = signal<Unblocking | undefined>(undefined)

/** More addresses than this in one go ask for a confirmation. */
export const MANY = 50

/** Blocks; tells what came of it, with a way back. @returns also what was refused: to be told by the caller @throws Refusal */
export async function block(wish: BlockWish): Promise<Told[]> {
  const { results } = await send('block', wish)
  const done = results.filter(one => one.outcome === 'blocked')
  const bad = results.filter(isBad)
  const others = results.filter(one => !isBad(one))
  if (others.length > 0)
    report('blocked', others, async () => {
      for (const { places } of byList(done)) await send('unblock', places)
    })
  return bad
}

function isBad({ outcome }: Told): boolean {
  return outcome === 'refused' || outcome === 'failed'
}

/** Unblocks what a click asked for; first asks again when that is wide. */
export async function askUnblock(wish: Unblocking): Promise<void> {
  const wide = wish.places.some(({ ip }) => {
    const range = parseIp(ip)
    return range !== undefined && isWide(range)
  })
  if (wide || wish.places.length > MANY) unblockDialog.value = wish
  else await unblock(wish)
}

/** Unblocks, list by list; the way back blocks again as it was. */
export async function unblock({ places, entries }: Unblocking): Promise<void> {
  await guarded(async () => {
    const results: Told[] = []
    for (const list of byList(places)) results.push(...(await send('unblock', list.places)).results)
    const done = results.filter(one => one.outcome === 'unblocked')
    report('unblocked', results, () => blockAgain(done, entries))
  })
}

/** Runs a change that was asked for by a click, and tells what was refused. */
export async function guarded(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    tell('problem', wordsOf(error), {
      details: detailsOf(error.results)
    })
  }
}

async function send(what: 'block' | 'unblock', body: object): Promise<Changed> {
  try {
    return await post<Changed>(what, body, session.value?.csrf)
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) sessionIsOver()
    throw error
  } finally {
    void refresh()
  }
}

async function blockAgain(done: readonly Told[], entries: readonly BlocklistEntry[]): Promise<void> {
  for (const { places, told } of byList(done)) {
    // A request gives all its addresses the same reason, end and tags.
    const groups = new Map<string, { wish: Omit<BlockWish, keyof Places>; ips: string[] }>()
    for (const { ip, jail } of told) {
      const wish = asBefore(entries.find(one => one.ip === ip && (one.jail ?? jail) === jail))
      const key = JSON.stringify(wish)
      const group = groups.get(key) ?? { wish, ips: [] }
      group.ips.push(ip)
      groups.set(key, group)
    }
    for (const { wish, ips } of groups.values()) await send('block', { ...places, ips, ...wish })
  }
}

function asBefore(entry: BlocklistEntry | undefined): Omit<BlockWish, keyof Places> {
  const ended = timeOf(entry?.expires) <= Date.now()
  return {
    reason: (entry?.reason ?? '').slice(0, 1000),
    expires: ended ? null : (entry?.expires ?? null),
    tags: (entry?.tags ?? []).slice(0, 20)
  }
}

function report(
  wanted: 'blocked' | 'unblocked',
  results: readonly Told[],
  back: () => Promise<unknown>
): void {
  const done = results.filter(one => one.outcome === wanted)
  const bad = results.filter(isBad)
  if (done.length > 0) {
    const about = done.map(({ server, jail, ip }) => JSON.stringify([server, jail, ip]))
    const undo = () =>
      guarded(async () => {
        await back()
        tell('done', t('told.undone'), { about })
      })
    const details = stillBlocked(results)
    tell('done', `${summary(wanted, done)} ${t('told.waits')}`, { undo, details, about })
  }
  if (bad.length > 0) tell('problem', t('block.refused'), { details: detailsOf(bad) })
  else if (done.length === 0) tell('problem', summary(results[0]?.outcome ?? 'not-blocked', results))
}

function summary(outcome: Told['outcome'], told: readonly Told[]): string {
  if (outcome === 'refused' || outcome === 'failed') return t('told.nothing')
  const servers = new Set(told.map(one => one.server))
  const ips = new Set(told.map(one => one.ip))
  const where = servers.size === 1 ? (told[0]?.server ?? '') : t('told.servers', { n: servers.size })
  return t(`told.${outcome}`, { n: ips.size, what: told[0]?.ip ?? '', where })
}

/** What an unblock leaves blocked, each address of a server once. */
function stillBlocked(results: readonly Told[]): string[] {
  const lines = results.flatMap(({ ip, server, still }) =>
    still === undefined ? [] : [t('told.still', { ip, server, by: still.ip, jail: still.jail })]
  )
  return [...new Set(lines)]
}

/** Refusals in words; what holds for several lists is said once. */
export function detailsOf(results: readonly Told[]): string[] {
  const lists = new Map<string, Told[]>()
  for (const one of results) lists.set(whyOf(one), [...(lists.get(whyOf(one)) ?? []), one])
  return [...lists].map(([words, told]) => {
    const [only] = told
    return told.length === 1 && only !== undefined ? `${only.server}, ${only.jail}: ${words}` : words
  })
}

/** List by list: the way back must touch nothing but what was changed. */
function byList<T extends Place>(told: readonly T[]): { places: Places; told: T[] }[] {
  const lists = new Map<string, { places: Places; told: T[] }>()
  for (const one of told) {
    const key = JSON.stringify([one.server, one.jail])
    const list = lists.get(key) ?? { places: { servers: [one.server], jails: [one.jail], ips: [] }, told: [] }
    if (!list.places.ips.includes(one.ip)) list.places.ips.push(one.ip)
    list.told.push(one)
    lists.set(key, list)
  }
  return [...lists.values()]
}
