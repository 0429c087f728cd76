import type { BanEvent } from '../../common/shapes.js'

/** Numbers of one jail on one day. */
export interface JailNumbers {
  bans: number
  unbans: number
}

/** A minute in which a jail banned at least as often as a warning needs. */
export interface Burst {
  jail: string
  /** `HH:MM` on the host's clock. */
  minute: string
  events: number
  addresses: number
}

/** What statistics need of a day, some hundred times smaller than the day. */
export interface DaySummary {
  bans: number
  unbans: number
  increases: number
  restores: number
  /** Bans by hour of the host's clock. */
  hours: number[]
  jails: Map<string, JailNumbers>
  /** Numbers of the day's addresses in the `AddressBook`, ascending, and how often each was banned. */
  ids: Uint32Array
  bansOf: Uint32Array
  bursts: Burst[]
}

/** Gives every address a number, so that a fleet's month of them fits into memory. */
export class AddressBook {
  readonly #ids = new Map<string, number>()
  readonly #texts: string[] = []

  get size(): number {
    return this.#texts.length
  }

  idOf(ip: string): number {
    const known = this.#ids.get(ip)
    if (known !== undefined) return known
    this.#ids.set(ip, this.#texts.push(ip) - 1)
    return this.#texts.length - 1
  }

  /** The address's number if it has one. */
  find(ip: string): number | undefined {
    return this.#ids.get(ip)
  }

  textOf(id: number): string {
    return this.#texts[id] ?? ''
  }
}

/** Sums a day up. @param least bans of a jail in a minute that make a burst; Infinity for none */
export function summarise(events: readonly BanEvent[], book: AddressBook, least: number): DaySummary {
  const counts = { Ban: 0, Unban: 0, 'Increase Ban': 0, 'Restore Ban': 0 }
  const hours = new Array<number>(24).fill(0)
  const jails = new Map<string, JailNumbers>()
  const addresses = new Map<number, number>()
  const minutes = new Map<string, { jail: string; minute: string; events: number; ips: Set<string> }>()
  for (const { action, ip, jail, timestamp } of events) {
    counts[action]++
    const id = book.idOf(ip)
    const ban = action === 'Ban'
    addresses.set(id, (addresses.get(id) ?? 0) + (ban ? 1 : 0))
    if (!ban && action !== 'Unban') continue
    const numbers = jails.get(jail) ?? { bans: 0, unbans: 0 }
    jails.set(jail, numbers)
    numbers[ban ? 'bans' : 'unbans']++
    if (!ban) continue
    const hour = Number(timestamp.slice(11, 13))
    hours[hour] = (hours[hour] ?? 0) + 1
    if (least === Infinity) continue
    const minute = timestamp.slice(11, 16)
    const key = `${minute}${jail}`
    const burst = minutes.get(key) ?? { jail, minute, events: 0, ips: new Set() }
    minutes.set(key, burst)
    burst.events++
    burst.ips.add(ip)
  }
  const ids = Uint32Array.from(addresses.keys()).sort()
  return {
    bans: counts.Ban,
    unbans: counts.Unban,
    increases: counts['Increase Ban'],
    restores: counts['Restore Ban'],
    hours,
    jails,
    ids,
    bansOf: ids.map(id => addresses.get(id) ?? 0),
    bursts: [...minutes.values()]
      .filter(burst => burst.events >= least)
      .map(({ ips, ...burst }) => ({ ...burst, addresses: ips.size }))
  }
}

/** How often an address was banned that day; undefined when it had no event at all. */
export function bansOn({ ids, bansOf }: DaySummary, id: number): number | undefined {
  let [from, to] = [0, ids.length - 1]
  while (from <= to) {
    const middle = (from + to) >> 1
    const found = ids[middle] ?? 0
    if (found === id) return bansOf[middle]
    if (found < id) from = middle + 1
    else to = middle - 1
  }
  return undefined
}
