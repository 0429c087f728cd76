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
/** What the shape of an event allows (common/shapes.ts). */
const MOST_IP = 64
const MOST_JAIL = 256
const TIME = bytesOf('dddd-dd-dd dd:dd:dd')
const MILLISECONDS = bytesOf(',ddd')
const ACTIONS = EVENT_ACTIONS.map(action => bytesOf(`${action}"`))
const WORDS = {
  timestamp: wordsOf('{', '"timestamp"', ':', '"'),
  action: wordsOf('"', ',', '"action"', ':', '"'),
  ip: wordsOf(',', '"ip"', ':', '"'),
  jail: wordsOf('"', ',', '"jail"', ':', '"'),
  close: wordsOf('"', '}')
}
const OPEN = 0x5b
const CLOSE = 0x5d
const COMMA = 0x2c
const QUOTE = 0x22
const BACKSLASH = 0x5c
/** `d` */
const DIGIT = 0x64

/** What stands between two values: nearly always without spaces. */
interface Words {
  together: Uint8Array
  apart: readonly Uint8Array[]
}

function wordsOf(...apart: string[]): Words {
  return { together: bytesOf(apart.join('')), apart: apart.map(bytesOf) }
}

/** A text's characters by their codes: to compare with those takes half the time of asking the text for each. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, character => character.charCodeAt(0))
}

/**
 * The numbers of a day's file without a text or an object made of it, where it is spelled as clients spell it: every
 * event with sync-contract.md's four fields in their order, and no escapes. That takes about half the time of parsing
 * and checking them.
 * @returns undefined for whatever else the bytes are, right or wrong: that is for the parser to tell
 */
export function numbersIn(bytes: Buffer, book: AddressBook): DayNumbers | undefined {
  const most = Math.min(LIMITS.dayEvents, Math.floor(bytes.length / SHORTEST))
  const numbers = roomFor(most)
  const jails = new Jails(bytes)
  const row = { time: 0, action: 0, ip: 0, ipEnd: 0, jail: 0, jailEnd: 0 }
  let count = 0
  let at = afterSpace(bytes, 0)
  if (bytes[at] !== OPEN) return undefined
  do {
    at = rowEnd(bytes, afterSpace(bytes, at + 1), row)
    if (at > bytes.length || count === most) return undefined
    numbers.actions[count] = row.action
    numbers.minutes[count] = minuteOf(bytes, row.time)
    numbers.ids[count] = book.idAt(bytes, row.ip, row.ipEnd)
    numbers.jails[count] = jails.placeAt(row.jail, row.jailEnd)
    count++
    at = afterSpace(bytes, at)
  } while (bytes[at] === COMMA)
  if (bytes[at] !== CLOSE || afterSpace(bytes, at + 1) !== bytes.length) return undefined
  return {
    actions: numbers.actions.subarray(0, count),
    minutes: numbers.minutes.subarray(0, count),
    ids: numbers.ids.subarray(0, count),
    jails: numbers.jails.subarray(0, count),
    names: jails.names
  }
}

/** Where an event's parts are in the bytes; of its action the place. */
interface Row {
  time: number
  action: number
  ip: number
  ipEnd: number
  jail: number
  jailEnd: number
}

/** Looks at one event. @returns where what follows it begins; beyond the end of the bytes when it is spelled otherwise */
function rowEnd(bytes: Buffer, from: number, row: Row): number {
  // What is not found is beyond the end, and so is all that is looked for behind it.
  row.time = after(bytes, from, WORDS.timestamp)
  const action = after(bytes, timeEnd(bytes, row.time), WORDS.action)
  row.action = actionAt(bytes, action)
  row.ip = after(bytes, action + (ACTIONS[row.action]?.length ?? bytes.length), WORDS.ip)
  row.ipEnd = textEnd(bytes, row.ip, MOST_IP)
  row.jail = after(bytes, row.ipEnd, WORDS.jail)
  row.jailEnd = textEnd(bytes, row.jail, MOST_JAIL)
  return after(bytes, row.jailEnd, WORDS.close)
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

/** Where the quote is that ends a text of printable ASCII; beyond the end when there is none so long. */
function textEnd(bytes: Buffer, from: number, most: number): number {
  for (let at = from; at <= from + most; at++) {
    const code = bytes[at] ?? 0
    if (code === QUOTE) return at > from ? at : bytes.length + 1
    if (code < 0x20 || code > 0x7e || code === BACKSLASH) break
  }
  return bytes.length + 1
}

/** Where the quote is that ends a timestamp. */
function timeEnd(bytes: Buffer, from: number): number {
  const seconds = likeEnd(bytes, from, TIME)
  const end = bytes[seconds] === COMMA ? likeEnd(bytes, seconds, MILLISECONDS) : seconds
  return bytes[end] === QUOTE ? end : bytes.length + 1
}

/** Where what is like `like` ends, in which `d` is any digit. */
function likeEnd(bytes: Buffer, from: number, like: Uint8Array): number {
  for (let place = 0; place < like.length; place++) {
    const code = bytes[from + place] ?? 0
    const wanted = like[place]
    if (wanted === DIGIT ? code < 0x30 || code > 0x39 : code !== wanted) return bytes.length + 1
  }
  return from + like.length
}

/** Place of the action that stands there; -1 for any other text. */
function actionAt(bytes: Buffer, from: number): number {
  for (let place = 0; place < ACTIONS.length; place++) {
    if (stands(bytes, from, ACTIONS[place] ?? TIME)) return place
  }
  return -1
}

/** Where what follows some words begins; spaces and line ends may stand before each. */
function after(bytes: Buffer, from: number, words: Words): number {
  if (stands(bytes, from, words.together)) return from + words.together.length
  let at = from
  for (const word of words.apart) {
    at = afterSpace(bytes, at)
    if (!stands(bytes, at, word)) return bytes.length + 1
    at += word.length
  }
  return at
}

function stands(bytes: Buffer, at: number, word: Uint8Array): boolean {
  for (let place = 0; place < word.length; place++) {
    if (bytes[at + place] !== word[place]) return false
  }
  return true
}

function afterSpace(bytes: Buffer, from: number): number {
  for (let at = from; ; at++) {
    const code = bytes[at]
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
  }
}
