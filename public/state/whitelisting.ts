import { signal } from '@preact/signals'
import type { WhitelistEntry } from '../data/shapes.js'
import { post, Refusal } from './api.js'
import { guarded } from './blocking.js'
import { t } from './i18n.js'
import { refresh } from './resource.js'
import { session, sessionIsOver } from './session.js'
import { tell } from './toasts.js'

/** Addresses that are never to be blocked. */
export interface WhitelistWish {
  ips: string[]
  description: string
  /** ISO 8601, or null for no end. */
  expires: string | null
  /** Empty for every server. */
  servers: string[]
}

interface Outcome {
  ip: string
  outcome: 'added' | 'changed' | 'already-there' | 'removed' | 'not-there'
}
interface Added {
  outcomes: Outcome[]
  lifted: { server: string; list: string; ip: string }[]
  failed: string[]
}

/** What the whitelist dialog is open for; undefined while it is closed. */
export const whitelistDialog = signal<Partial<WhitelistWish> | undefined>(undefined)

/**
 * Adds; tells what came of it, with a way back for what was not there before.
 * @throws Refusal
 */
export async function addToWhitelist(wish: WhitelistWish): Promise<void> {
  const { outcomes, lifted, failed } = await send<Added>('whitelist', wish)
  const added = ipsOf(outcomes, 'added')
  const words = [
    counted('white.added', [...added, ...ipsOf(outcomes, 'changed')]),
    counted('white.already', ipsOf(outcomes, 'already-there')),
    lifted.length > 0 ? t('white.lifted', { n: lifted.length }) : ''
  ].filter(text => text !== '')
  const undo = () =>
    guarded(async () => {
      await send('whitelist/remove', { ips: added })
      tell('done', t('told.undone'), { about: keysOf(added) })
    })
  const about = keysOf([...added, ...ipsOf(outcomes, 'changed')])
  tell('done', words.join(' '), added.length > 0 ? { undo, about } : { about })
  if (failed.length > 0) tell('problem', t('white.later'), { details: failed })
}

/** Removes; the way back adds them again as they were. */
export async function removeFromWhitelist(entries: readonly WhitelistEntry[]): Promise<void> {
  await guarded(async () => {
    const { outcomes } = await send<{ outcomes: Outcome[] }>('whitelist/remove', {
      ips: entries.map(one => one.ip)
    })
    const gone = ipsOf(outcomes, 'removed')
    const undo = () =>
      guarded(async () => {
        for (const wish of asBefore(entries)) await send('whitelist', wish)
        tell('done', t('told.undone'), { about: keysOf(gone) })
      })
    if (gone.length > 0) tell('done', counted('white.removed', gone), { undo, about: keysOf(gone) })
    else tell('problem', t('told.nothing'))
  })
}

/** What a notice is about. */
function keysOf(ips: readonly string[]): string[] {
  return ips.map(ip => JSON.stringify(['whitelist', ip]))
}

/** A request gives all its addresses the same description, end and servers. */
function asBefore(entries: readonly WhitelistEntry[]): WhitelistWish[] {
  const wishes = new Map<string, WhitelistWish>()
  for (const { ip, description, expires, servers } of entries) {
    const more = { description: description ?? '', expires: expires ?? null, servers: servers ?? [] }
    const key = JSON.stringify(more)
    const wish = wishes.get(key) ?? { ips: [], ...more }
    wish.ips.push(ip)
    wishes.set(key, wish)
  }
  return [...wishes.values()]
}

function ipsOf(outcomes: readonly Outcome[], of: Outcome['outcome']): string[] {
  return outcomes.filter(one => one.outcome === of).map(one => one.ip)
}

function counted(key: 'white.added' | 'white.already' | 'white.removed', ips: readonly string[]): string {
  return ips.length === 0 ? '' : t(key, { n: ips.length, what: ips[0] ?? '' })
}

async function send<T>(path: string, body: object): Promise<T> {
  try {
    return await post<T>(path, body, session.value?.csrf)
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) sessionIsOver()
    throw error
  } finally {
    void refresh()
  }
}
