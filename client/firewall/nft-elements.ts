import { addressOfBytes, familyOf, networksOfRange, type Address } from '../../common/address.js'
import type { RunCommand } from '../../common/command.js'
import { Blocks } from './blocks.js'
import type { Family } from './families.js'
import { DUMP, askNfTables, attribute, eachAttribute, type NetlinkRequest } from './netlink.js'
import { NAME, SETS, partOfBytes, type NftSet } from './nft-table.js'

// linux/netfilter/nf_tables.h: kinds of messages, and attributes by what they stand in.
const GET_ELEMENTS = 13
const GET_GENERATION = 16
const LIST = { table: 1, set: 2, elements: 3 }
const LIST_ELEMENT = 1
const ELEMENT = { key: 1, flags: 3 }
const DATA_VALUE = 1
const GENERATION_ID = 1
const INTERVAL_END = 1

/** Bytes of an address. */
const LENGTH = { 4: 4, 6: 16 } as const

/** What our sets hold, as in `NftTable`. */
export interface ElementsRead {
  singles: Blocks
  networks: Map<string, Address[]>
  /** Whether one stands where no packet of it is ever looked up: in a part of others, or IPv4 among IPv6. */
  misplaced: boolean
}

/**
 * Reads what our sets hold from the kernel itself. nft makes, sorts and prints an object of each element: of 100,000 it
 * needs five times as long for that as the kernel needs to tell of them.
 * @param meanwhile what else is to be read of the same state
 * @returns undefined when the ruleset changed before all was read
 * @throws ProductError as `askNfTables`, or what `meanwhile` throws
 */
export async function readElements<T>(
  run: RunCommand,
  meanwhile: () => Promise<T>
): Promise<(ElementsRead & { beside: T }) | undefined> {
  const read: ElementsRead = { singles: new Blocks(), networks: new Map(), misplaced: false }
  const sets = SETS.map(set => (set.networks ? new Networks(set) : new Singles(set, read)))
  const last = SETS.length + 1
  const generations: number[] = []
  let begin: () => void
  const begun = new Promise<void>(resolve => (begin = resolve))
  const beside = begun.then(meanwhile)
  // Who fails first tells why.
  beside.catch(() => undefined)
  async function* requests(): AsyncGenerator<NetlinkRequest> {
    yield { kind: GET_GENERATION }
    for (const { name } of SETS) yield { kind: GET_ELEMENTS, flags: DUMP, attributes: whichSet(name) }
    await beside.catch(() => undefined)
    yield { kind: GET_GENERATION }
  }
  await askNfTables(run, requests(), (attributes, request) => {
    if (request === 0 || request === last) {
      generations.push(generationIn(attributes))
      begin()
    } else sets[request - 1]?.take(attributes)
  })
  const [before, after] = generations
  // The kernel counts every change of the ruleset: between the two of them there was none.
  if (before === undefined || before !== after) return undefined
  for (const set of sets) {
    if (!(set instanceof Networks)) continue
    const found = set.blocks()
    const blocks = found.filter(block => familyOf(block) === set.family)
    read.networks.set(set.name, blocks)
    read.misplaced ||= blocks.length < found.length
  }
  return { ...read, beside: await beside }
}

function whichSet(name: string): Buffer {
  const text = (type: number, value: string) => attribute(type, Buffer.from(`${value}\0`))
  return Buffer.concat([text(LIST.table, NAME), text(LIST.set, name)])
}

function generationIn(attributes: Buffer): number {
  let generation: number | undefined
  eachAttribute(attributes, 0, attributes.length, (_, type, from) => {
    if (type === GENERATION_ID) generation = attributes.readUInt32BE(from)
  })
  if (generation === undefined) throw new Error('a generation without a number')
  return generation
}

/** Takes the elements of one set out of its messages. */
abstract class Elements {
  readonly family: Family
  #key = -1
  #flags = 0

  constructor({ family }: NftSet) {
    this.family = family
  }

  /** @param key where the element's address begins */
  protected abstract element(data: Buffer, key: number, flags: number): void

  take(attributes: Buffer): void {
    eachAttribute(attributes, 0, attributes.length, this.#list)
  }

  // One function for all elements of a set: to make one for each of 100,000 is felt.
  readonly #list = (data: Buffer, type: number, from: number, to: number): void => {
    if (type === LIST.elements) eachAttribute(data, from, to, this.#element)
  }

  readonly #element = (data: Buffer, type: number, from: number, to: number): void => {
    if (type !== LIST_ELEMENT) return
    this.#key = -1
    this.#flags = 0
    eachAttribute(data, from, to, this.#part)
    if (this.#key < 0) throw new Error('an element without an address')
    this.element(data, this.#key, this.#flags)
  }

  readonly #part = (data: Buffer, type: number, from: number, to: number): void => {
    if (type === ELEMENT.flags) this.#flags = data.readUInt32BE(from)
    else if (type === ELEMENT.key) eachAttribute(data, from, to, this.#value)
  }

  readonly #value = (_: Buffer, type: number, from: number, to: number): void => {
    if (type === DATA_VALUE && to - from === LENGTH[this.family]) this.#key = from
  }
}

class Singles extends Elements {
  readonly #part: number | undefined
  readonly #read: ElementsRead

  constructor(set: NftSet, read: ElementsRead) {
    super(set)
    this.#part = set.part?.number
    this.#read = read
  }

  protected override element(data: Buffer, key: number, flags: number): void {
    if (flags !== 0) throw new Error('an element of an unknown form')
    if (partOfBytes(data, key, this.family) !== this.#part) this.#read.misplaced = true
    if (this.family === 4) this.#read.singles.addNumber4(data.readInt32BE(key))
    else {
      const block = addressOfBytes(data.subarray(key, key + LENGTH[6]))
      if (familyOf(block) === 6) this.#read.singles.add(block)
      else this.#read.misplaced = true
    }
  }
}

class Networks extends Elements {
  readonly name: string
  /** Where an interval begins, or the first address behind one. */
  readonly #bounds: { at: bigint; ends: boolean }[] = []

  constructor(set: NftSet) {
    super(set)
    this.name = set.name
  }

  protected override element(data: Buffer, key: number, flags: number): void {
    const at = BigInt(`0x${data.toString('hex', key, key + LENGTH[this.family])}`)
    this.#bounds.push({ at, ends: (flags & INTERVAL_END) !== 0 })
  }

  blocks(): Address[] {
    const { family } = this
    // Where one interval ends and the next begins, the end comes first.
    this.#bounds.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : Number(b.ends) - Number(a.ends)))
    const found: Address[] = []
    let first: bigint | undefined
    const close = (last: bigint) => {
      if (first !== undefined) found.push(...networksOfRange({ family, first, last }))
      first = undefined
    }
    for (const { at, ends } of this.#bounds) {
      close(at - 1n)
      if (!ends) first = at
    }
    // What reaches up to the last address of all has no end.
    close((1n << BigInt(LENGTH[family] * 8)) - 1n)
    return found
  }
}
