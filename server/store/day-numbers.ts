import { EVENT_ACTIONS, LIMITS, type BanEvent } from '../../common/shapes.js'
import type { AddressBook } from './address-book.js'

/** A day's events as columns of numbers, in the order they were logged: what its sums are made of. */
export interface DayNumbers {
  /** Places of `EVENT_ACTIONS`. */
  actions: Uint8Array
  /** Minutes since midnight on the host's clock. */
  minutes: Uint16Array
  /** Numbers of the `AddressBook`. */
  ids: Uint32Array
  /** Places of `names`. */
  jails: Uint32Array
  names: readonly string[]
}

/** The numbers of events that were parsed and checked. */
export function numbersOf(events: readonly BanEvent[], book: AddressBook): DayNumbers {
  const numbers = roomFor(events.length)
  const places = new Map<string, number>()
  events.forEach(({ timestamp, action, ip, jail }, at) => {
    numbers.actions[at] = EVENT_ACTIONS.indexOf(action)
    numbers.minutes[at] = minuteOf(Buffer.from(timestamp), 0)
    numbers.ids[at] = book.idOf(ip)
    numbers.jails[at] = placeOf(jail, places)
  })
  return { ...numbers, names: [...places.keys()] }
}

/** Bytes of the shortest event there is. */
const SHORTEST = '{"timestamp":"2026-03-01 00:00:00","action":"Ban","ip":"1","jail":"a"}'.length
/** What may stand between two words, and before and behind an event. */
const SPACE = '[ \\n\\r\\t]*'
/** Printable ASCII without quotes and escapes. */
const CHARACTER = '[ !#-\\[\\]-~]'
/** An event as clients spell it, with the limits that its shape has (common/shapes.ts). */
const EVENT = [
  ...['\\{', '"timestamp"', ':', '"\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d(?:,\\d{3})?"', ','],
  ...['"action"', ':', `"(?:${EVENT_ACTIONS.join('|')})"`, ','],
  ...['"ip"', ':', `"${CHARACTER}{1,64}"`, ','],
  ...['"jail"', ':', `"${CHARACTER}{1,256}"`, '\\}']
]
/** One a line, as nearly all are: a pattern that knows what comes next compares several characters at a time. */
const COMPACT = new RegExp(`\\n?${EVENT.join('')}\\n?`, 'y')
const SPACED = new RegExp(['', ...EVENT, ''].join(SPACE), 'y')
/** Characters of a timestamp up to its seconds. */
const SECONDS = 19
const SPACES = new RegExp(SPACE, 'y')
const ACTIONS = new Map(EVENT_ACTIONS.map((action, place) => [action.charCodeAt(0), place]))
const OPEN = 0x5b
const CLOSE = 0x5d
const COMMA = 0x2c
const QUOTE = 0x22

/**
 * The numbers of a day's file without an object made of each event, where it is spelled as clients spell it: every
 * event with sync-contract.md's four fields in their order, and no escapes. That takes about half the time of parsing
 * and checking them.
 * @returns undefined for whatever else the bytes are, right or wrong: that is for the parser to tell
 */
export function numbersIn(bytes: Buffer, book: AddressBook): DayNumbers | undefined {
  const text = bytes.toString('latin1')
  const most = Math.min(LIMITS.dayEvents, Math.floor(bytes.length / SHORTEST))
  const numbers = roomFor(most)
  const jails = new Jails(bytes)
  let count = 0
  let at = endOf(SPACES, text, 0)
  if (bytes[at] !== OPEN) return undefined
  do {
    const before = at
    at = endOf(COMPACT, text, before + 1) || endOf(SPACED, text, before + 1)
    if (at === 0 || count === most) return undefined
    // All that stands there has been looked at. Between quotes is no other one.
    const time = valueAt(bytes, before, 'timestamp')
    const action = valueAt(bytes, textEnd(bytes, time + SECONDS), 'action')
    const ip = valueAt(bytes, textEnd(bytes, action), 'ip')
    const ipEnd = textEnd(bytes, ip)
    const jail = valueAt(bytes, ipEnd, 'jail')
    numbers.actions[count] = ACTIONS.get(bytes[action] ?? 0) ?? 0
    numbers.minutes[count] = minuteOf(bytes, time)
    numbers.ids[count] = book.idAt(bytes, ip, ipEnd)
    numbers.jails[count] = jails.placeAt(jail, textEnd(bytes, jail))
    count++
  } while (bytes[at] === COMMA)
  if (bytes[at] !== CLOSE || endOf(SPACES, text, at + 1) !== bytes.length) return undefined
  return {
    actions: numbers.actions.subarray(0, count),
    minutes: numbers.minutes.subarray(0, count),
    ids: numbers.ids.subarray(0, count),
    jails: numbers.jails.subarray(0, count),
    names: jails.names
  }
}

/** Where a sticky pattern's match ends that begins there; 0 when it has none. */
function endOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from
  pattern.test(text)
  return pattern.lastIndex
}

/** Where the text of a field begins. @param before the quote that ends the text before, or what separates the events */
function valueAt(bytes: Buffer, before: number, name: string): number {
  const named = textEnd(bytes, before + 1) + name.length + 2
  return textEnd(bytes, named) + 1
}

/** Where the next quote is. */
function textEnd(bytes: Buffer, from: number): number {
  let at = from
  while (bytes[at] !== QUOTE) at++
  return at
}

/** The jails of some bytes: each name is made a text once, not once an event. */
class Jails {
  readonly #places = new Map<string, number>()
  /** By hash, where a name stands and what place it has. */
  readonly #known = new Map<number, { from: number; to: number; place: number }>()

  constructor(private readonly bytes: Buffer) {}

  get names(): string[] {
    return [...this.#places.keys()]
  }

  placeAt(from: number, to: number): number {
    let hash = 0
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + (this.bytes[at] ?? 0)) | 0
    const known = this.#known.get(hash)
    if (known !== undefined && this.#same(known, from, to)) return known.place
    const place = placeOf(this.bytes.toString('latin1', from, to), this.#places)
    if (known === undefined) this.#known.set(hash, { from, to, place })
    return place
  }

  #same(known: { from: number; to: number }, from: number, to: number): boolean {
    if (known.to - known.from !== to - from) return false
    for (let at = from; at < to; at++) {
      if (this.bytes[at] !== this.bytes[at - from + known.from]) return false
    }
    return true
  }
}

function roomFor(events: number): Omit<DayNumbers, 'names'> {
  return {
    actions: new Uint8Array(events),
    minutes: new Uint16Array(events),
    ids: new Uint32Array(events),
    jails: new Uint32Array(events)
  }
}

function placeOf(name: string, places: Map<string, number>): number {
  const known = places.get(name)
  if (known !== undefined) return known
  places.set(name, places.size)
  return places.size - 1
}

/** Minutes since midnight of the timestamp that stands there. */
function minuteOf(bytes: Buffer, from: number): number {
  const digit = (place: number) => (bytes[from + place] ?? 0) - 48
  return (digit(11) * 10 + digit(12)) * 60 + digit(14) * 10 + digit(15)
}
