import type { JsonFiles } from '../../common/json-file.js'
import type { EventsFileName, ServerName } from '../../common/names.js'
import type { AddressBook } from './address-book.js'
import type { DaySummary } from './day-summary.js'
import type { Paths } from './folders.js'
import { KINDS, type KeptDay } from './kinds.js'

/**
 * To be raised whenever a day comes to something else than before (day-numbers.ts, day-summary.ts, address-book.ts): what was
 * kept is of no use then. Where the shape of the file changes, it needs another name.
 */
const FORM = 1

/**
 * archive/<server>/sums.json: what long days came to, so that a server that starts need not read a month of them again.
 * It is made of the days' files alone: without it they are read.
 */
export class KeptSumStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths
  ) {}

  /** The days of a server that were summed up with this `least`; none when there is nothing of use. */
  async of(server: ServerName, least: number): Promise<ReadonlyMap<string, KeptDay>> {
    const { value } = await this.files.read(this.paths.sums(server), KINDS.sums, { keep: false })
    const useful = value.form === FORM && value.least === asJson(least)
    return new Map(useful ? Object.entries(value.days) : [])
  }

  /** Keeps these days of a server, in place of those that were kept. */
  async keep(server: ServerName, least: number, days: ReadonlyMap<EventsFileName, KeptDay>): Promise<void> {
    const value = { form: FORM, least: asJson(least), days: Object.fromEntries(days) }
    // Not a number a line: they are many, and nobody's to read.
    const text = `${JSON.stringify(value)}\n`
    const path = this.paths.sums(server)
    await this.files.change(path, KINDS.sums, () => ({ value, text, result: undefined }))
    // It is for the next process.
    this.files.forget(path)
  }
}

/** JSON has no Infinity. */
function asJson(least: number): number | null {
  return Number.isFinite(least) ? least : null
}

/** A summary without the numbers of a book, which the next process has not. @param version of the day's file */
export function keptDay(version: string, summary: DaySummary, book: AddressBook): KeptDay {
  const { ids, bansOf, jails, ...numbers } = summary
  const kept: KeptDay = { ...numbers, version, jails: [], ipv4: [], ipv4Bans: [], others: [], othersBans: [] }
  for (const [jail, { bans, unbans }] of jails) kept.jails.push({ jail, bans, unbans })
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] ?? 0
    const value = book.ipv4ValueOf(id)
    if (value === undefined) {
      kept.others.push(book.textOf(id))
      kept.othersBans.push(bansOf[at] ?? 0)
    } else {
      kept.ipv4.push(value)
      kept.ipv4Bans.push(bansOf[at] ?? 0)
    }
  }
  return kept
}

/** The summary that was kept, with a book's numbers. */
export function summaryOf(kept: KeptDay, book: AddressBook): DaySummary {
  const { bans, unbans, increases, restores, hours, bursts } = kept
  const count = kept.ipv4.length + kept.others.length
  // Sorted together, as one number each: both are far below the 53 bits that a number has for two of them.
  const pairs = new Float64Array(count)
  kept.ipv4.forEach((value, at) => (pairs[at] = book.idOfIpv4(value) * count + at))
  kept.others.forEach((text, nth) => {
    const at = kept.ipv4.length + nth
    pairs[at] = book.idOf(text) * count + at
  })
  pairs.sort()
  const bansBy = [...kept.ipv4Bans, ...kept.othersBans]
  return {
    ...{ bans, unbans, increases, restores, hours, bursts },
    jails: new Map(kept.jails.map(({ jail, ...numbers }) => [jail, numbers])),
    ids: Uint32Array.from(pairs, pair => Math.floor(pair / count)),
    bansOf: Uint32Array.from(pairs, pair => bansBy[pair % count] ?? 0)
  }
}
