import { address, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { listOfJail, type ListName, type ServerName } from '../../common/names.js'
import type { EntryChange } from '../store/entry-changes.js'
import type { Refused } from '../store/guard.js'
import type { Store } from '../store/store.js'
import { endOf } from './expiry.js'
import { knownServers } from './known-server.js'

/** What was asked for: every address in every jail of every server. */
export interface BlockWish {
  want: 'block' | 'unblock'
  servers: string[]
  jails: string[]
  ips: string[]
  source?: string
  reason?: string
  expires?: string | null
  tags?: string[]
}

/** What is to be done in one list. */
export interface ListPlan {
  server: ServerName
  jail: string
  list: ListName
  ips: readonly Address[]
  changes: EntryChange[]
  /** Addresses that must not be blocked there, and why. */
  refused: Map<Address, Refused>
}

/** Bounds of one request. */
export const MOST = { lists: 1000, addresses: 10_000, items: 100_000 } as const

/** What blocks made here say of where they come from (sync-contract.md §1, `source`). */
const SOURCE = 'action_ban-ip'

/**
 * Checks the whole wish before anything is touched, and says what is to be done in each list.
 * @param asking the address of who asks: never blocked, nobody locks themselves out
 * @param now milliseconds
 * @throws ProductError BAD_ADDRESS, BAD_NAME, BAD_INPUT, NOT_FOUND
 */
export async function planBlocks(
  store: Store,
  wish: BlockWish,
  asking: string,
  now: number
): Promise<ListPlan[]> {
  const ips = [...new Set(wish.ips.map(text => address(text.trim())))]
  const jails = new Map(wish.jails.map(jail => [listOfJail(jail), jail]))
  const servers = await knownServers(store, wish.servers)
  const lists = servers.length * jails.size
  if (lists > MOST.lists || lists * ips.length > MOST.items) {
    throw new ProductError(
      'BAD_INPUT',
      `at most ${MOST.lists} lists and ${MOST.items} entries in one request`
    )
  }
  const entry = entryOf(wish, now)
  const plans: ListPlan[] = []
  for (const server of servers) {
    const refused = new Map<Address, Refused>()
    const refusal = wish.want === 'block' ? await store.guard.forHost(server, asking) : () => undefined
    for (const ip of ips) {
      const why = refusal(ip)
      if (why !== undefined) refused.set(ip, why)
    }
    const changes = ips.filter(ip => !refused.has(ip)).map(ip => ({ ip, want: wish.want, ...entry }))
    for (const [list, jail] of jails) plans.push({ server, jail, list, ips, changes, refused })
  }
  return plans
}

function entryOf(wish: BlockWish, now: number): Omit<EntryChange, 'ip' | 'want'> {
  return {
    source: wish.source ?? SOURCE,
    reason: wish.reason ?? '',
    expires: endOf(wish.expires ?? null, now),
    tags: wish.tags ?? []
  }
}
