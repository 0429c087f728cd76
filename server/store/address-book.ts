/** Places of the table for IPv4 at first; it doubles when it is half full. */
const FIRST_SIZE = 1 << 14
const LONGEST_IPV4 = '255.255.255.255'.length

/**
 * Gives every address a number, from 0, so that a fleet's month of them fits into memory. IPv4 is kept as numbers in
 * an open-addressed table: a map of texts takes ten times the memory and most of the time that statistics need.
 */
export class AddressBook {
  /** IPv4 address by number of the book; what is not IPv4 has its text in `#texts`. */
  #values = new Uint32Array(FIRST_SIZE)
  readonly #texts = new Map<number, string>()
  readonly #others = new Map<string, number>()
  /** Number + 1 of the IPv4 address that has this place; 0 where there is none. */
  #table = new Uint32Array(FIRST_SIZE)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The address's number; a new one where it has none. */
  idOf(ip: string): number {
    const value = ipv4Of(ip)
    return value < 0 ? this.#idOfOther(ip) : this.idOfIpv4(value)
  }

  /** As `idOf`, of ASCII text in some bytes; `to` is behind its end. */
  idAt(bytes: Buffer, from: number, to: number): number {
    const value = ipv4At(bytes, from, to)
    return value < 0 ? this.#idOfOther(bytes.toString('latin1', from, to)) : this.idOfIpv4(value)
  }

  /** The number of an IPv4 address that is given as a number. */
  idOfIpv4(value: number): number {
    const id = this.#table[this.#placeOf(value)] ?? 0
    if (id !== 0) return id - 1
    this.#grow()
    this.#values[this.#size] = value
    this.#table[this.#placeOf(value)] = ++this.#size
    return this.#size - 1
  }

  /** The address's number if it has one. */
  find(ip: string): number | undefined {
    const value = ipv4Of(ip)
    if (value < 0) return this.#others.get(ip)
    const id = this.#table[this.#placeOf(value)] ?? 0
    return id === 0 ? undefined : id - 1
  }

  /** An IPv4 address as a number; undefined where the book's number is of another text. */
  ipv4ValueOf(id: number): number | undefined {
    return this.#texts.has(id) ? undefined : this.#values[id]
  }

  textOf(id: number): string {
    const text = this.#texts.get(id)
    if (text !== undefined || id >= this.#size) return text ?? ''
    const value = this.#values[id] ?? 0
    return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.')
  }

  #idOfOther(ip: string): number {
    const known = this.#others.get(ip)
    if (known !== undefined) return known
    this.#grow()
    const id = this.#size++
    this.#others.set(ip, id)
    this.#texts.set(id, ip)
    return id
  }

  /** The place that has this address, or the free one that it would get. */
  #placeOf(value: number): number {
    const mask = this.#table.length - 1
    // Fibonacci hashing, its upper bits: a network's addresses, or all that end in .1, don't crowd together.
    let place = Math.imul(value, 0x9e3779b1) >>> Math.clz32(mask)
    for (;;) {
      const id = this.#table[place] ?? 0
      if (id === 0 || this.#values[id - 1] === value) return place
      place = (place + 1) & mask
    }
  }

  /** Makes room for one more. */
  #grow(): void {
    if (this.#size * 2 < this.#table.length) return
    const values = new Uint32Array(this.#table.length * 2)
    values.set(this.#values)
    this.#values = values
    this.#table = new Uint32Array(this.#table.length * 2)
    for (let id = 0; id < this.#size; id++) {
      if (!this.#texts.has(id)) this.#table[this.#placeOf(values[id] ?? 0)] = id + 1
    }
  }
}

/** A dotted quad as a number; -1 for any other text, however much it looks like one: it keeps its spelling. */
function ipv4Of(text: string): number {
  if (text.length > LONGEST_IPV4) return -1
  const bytes = Buffer.from(text)
  return ipv4At(bytes, 0, bytes.length)
}

/** As `ipv4Of`, of text in some bytes. */
function ipv4At(bytes: Buffer, from: number, to: number): number {
  let value = 0
  let part = -1
  let parts = 0
  for (let at = from; at < to; at++) {
    const code = bytes[at] ?? 0
    if (code === 0x2e) {
      if (part < 0 || ++parts > 3) return -1
      value = value * 256 + part
      part = -1
    } else {
      const digit = code - 0x30
      if (digit < 0 || digit > 9 || part === 0) return -1
      part = part < 0 ? digit : part * 10 + digit
      if (part > 255) return -1
    }
  }
  return parts === 3 && part >= 0 ? value * 256 + part : -1
}
