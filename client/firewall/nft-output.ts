import { parseAddress, type Address } from '../../common/address.js'
import type { TakenElements } from './nft-parse.js'
import { setOfAll } from './nft-table.js'

// An element of a set with counters as `nft -j -s` prints it.
const BEFORE = '{"elem": {"val": "'
const BEHIND = '", "counter": null}}'
const NEXT = `, ${BEFORE}`
/** Characters; no address is longer. */
const LONGEST = 64

/**
 * What `nft -j -s list` prints, its addresses taken out while it prints them: the parser would begin when all of 100,000
 * are there, and keep the cycle waiting. What is spelled in any other way stays for the parser. In a JSON text these
 * words are an element and nothing else, for within a string their quotes would be escaped.
 */
export class NftOutput {
  readonly #rest: string[] = []
  #carry = ''

  /** @param taken gets what is taken out */
  constructor(private readonly taken: TakenElements) {}

  /** Takes the next piece of the output. */
  add(piece: string): void {
    const text = this.#carry + piece
    let at = 0
    for (;;) {
      const start = text.indexOf(BEFORE, at)
      if (start < 0) {
        // The words themselves may be cut in two.
        const end = Math.max(at, text.length - BEFORE.length + 1)
        this.#rest.push(text.slice(at, end))
        this.#carry = text.slice(end)
        return
      }
      this.#rest.push(text.slice(at, start))
      const { blocks, end, cut } = elementsAt(text, start)
      at = end
      if (blocks.length > 0) this.#rest.push(this.#numberOf(blocks))
      else if (!cut) {
        this.#rest.push(BEFORE)
        at += BEFORE.length
      }
      if (!cut) continue
      this.#carry = text.slice(at)
      return
    }
  }

  #numberOf(blocks: readonly Address[]): string {
    const { rows, addresses } = this.taken
    for (const block of blocks) addresses.add(block)
    return String(rows.push({ blocks, set: setOfAll(blocks) }) - 1)
  }

  /** What is left of it for the parser, each row of elements replaced by its number. */
  rest(): string {
    return [...this.#rest, this.#carry].join('')
  }
}

/** Elements at a place of a text. @returns `end` behind the last of them; `cut` when the text ends within the next */
function elementsAt(text: string, start: number): { blocks: Address[]; end: number; cut: boolean } {
  const blocks: Address[] = []
  let end = start
  let next = start
  for (;;) {
    const from = next + BEFORE.length
    const quote = text.indexOf('"', from)
    const to = quote < 0 ? text.length : quote
    if (to - from > LONGEST) return { blocks, end, cut: false }
    if (text.length < to + BEHIND.length) return { blocks, end, cut: true }
    const ip = text.startsWith(BEHIND, to) ? parseAddress(text.slice(from, to)) : undefined
    if (ip === undefined) return { blocks, end, cut: false }
    blocks.push(ip)
    end = to + BEHIND.length
    if (!text.startsWith(NEXT, end)) return { blocks, end, cut: false }
    next = end + NEXT.length - BEFORE.length
  }
}
