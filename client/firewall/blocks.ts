import { addressOfNumber4, familyOf, isSingle4, number4, type Address } from '../../common/address.js'

/**
 * Blocks of a firewall. Single IPv4 addresses, which nearly all of 100,000 are, are kept as numbers: a text that comes
 * from a firewall and the same text out of a list are two, and to compare those takes five times as long.
 */
export class Blocks implements Iterable<Address> {
  /** As signed numbers: those the engine keeps without a place of their own in memory. */
  readonly #singles4: Set<number>
  readonly #singles6: Set<Address>
  readonly #networks: Set<Address>

  constructor(blocks: Iterable<Address> = []) {
    if (blocks instanceof Blocks) {
      this.#singles4 = new Set(blocks.#singles4)
      this.#singles6 = new Set(blocks.#singles6)
      this.#networks = new Set(blocks.#networks)
      return
    }
    this.#singles4 = new Set()
    this.#singles6 = new Set()
    this.#networks = new Set()
    for (const block of blocks) this.add(block)
  }

  get size(): number {
    return this.#singles4.size + this.#singles6.size + this.#networks.size
  }

  /** How many there are of each family. */
  sizes(): { 4: number; 6: number } {
    const sizes = { 4: this.#singles4.size, 6: this.#singles6.size }
    for (const network of this.#networks) sizes[familyOf(network)]++
    return sizes
  }

  /** The networks among them. */
  get networks(): ReadonlySet<Address> {
    return this.#networks
  }

  has(block: Address): boolean {
    return isSingle4(block) ? this.#singles4.has(number4(block) | 0) : this.#others(block).has(block)
  }

  add(block: Address): this {
    if (isSingle4(block)) this.#singles4.add(number4(block) | 0)
    else this.#others(block).add(block)
    return this
  }

  /** Adds the single IPv4 address with these four bytes, as a signed number. */
  addNumber4(bytes: number): void {
    this.#singles4.add(bytes)
  }

  delete(block: Address): boolean {
    return isSingle4(block) ? this.#singles4.delete(number4(block) | 0) : this.#others(block).delete(block)
  }

  #others(block: Address): Set<Address> {
    return block.includes('/') ? this.#networks : this.#singles6
  }

  *[Symbol.iterator](): IterableIterator<Address> {
    for (const number of this.#singles4) yield addressOfNumber4(number)
    yield* this.#singles6
    yield* this.#networks
  }
}
