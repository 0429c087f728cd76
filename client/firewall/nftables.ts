import type { Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { FAMILIES, afterChange, byFamily, type Family, type Hits } from './families.js'
import { SETS, TABLE, tableText, parseTable, type NftTable } from './nft-table.js'
import type { Firewall, InForce } from './types.js'

/**
 * nft 1.0.6 needs about a microsecond for each removal × element of the set: 100 out of 100,000 take 17 seconds.
 * Beyond this product a set is emptied and refilled in the same transaction instead, which takes three.
 */
const DELETE_WORK = 1_000_000

/** Milliseconds; 100,000 elements take a few seconds on a slow host. */
const TIMEOUT = 120_000

/**
 * Blocks as interval sets in a table of our own, hooked ahead of all other tables: the rules of fail2ban, ufw and
 * docker are neither read nor touched. Every change is one nft transaction.
 */
export class NftablesFirewall implements Firewall {
  readonly name = 'nftables'

  /** Whether the frame was whole when it was last listed, and nothing was applied since. */
  #sawIntact = false

  constructor(private readonly run: RunCommand) {}

  /** True when our table is there. @throws ProductError COMMAND when nft doesn't work */
  async installed(): Promise<boolean> {
    const [family = '', name = ''] = TABLE.split(' ')
    const tables = (await outputOf(this.run, 'nft', ['list', 'tables', family])).split('\n')
    return tables.includes(`table ${family} ${name}`)
  }

  async list(): Promise<InForce> {
    const table = await this.#read()
    this.#sawIntact = table?.frameIntact === true
    const found: InForce = { own: new Set(), alike: new Set(), packets: new Map() }
    // Behind an altered frame nobody can tell what the sets stop: nothing counts, so the caller mends it.
    if (table?.frameIntact !== true) return found
    for (const family of FAMILIES) {
      for (const [block, { packets }] of table.elements[family]) {
        found.own.add(block)
        found.packets.set(block, packets)
      }
    }
    return found
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<boolean> {
    const sawIntact = this.#sawIntact
    this.#sawIntact = false
    if (sawIntact && add.length + remove.length === 0) return false
    // Elements are read only where they are needed: that takes twice the time of the frame alone.
    const first = await this.#read(remove.length === 0 ? '-t' : undefined)
    if (first?.frameIntact === true) {
      if (add.length + remove.length === 0) return false
      if (await this.#change(first, add, remove)) return true
    }
    const table = remove.length > 0 ? first : await this.#read()
    const adds = byFamily(add)
    const next = (family: Family) =>
      counted(afterChange(table?.elements[family] ?? new Map(), adds[family], remove))
    await this.#nft(
      table?.frameIntact === true
        ? FAMILIES.map(
            family => `flush set ${TABLE} ${SETS[family]}\n` + elements('add', family, next(family))
          ).join('')
        : // `add` first, for `delete` fails on a table that is not there.
          `add table ${TABLE}\ndelete table ${TABLE}\n${tableText({ 4: next(4), 6: next(6) })}`
    )
    return true
  }

  async clear(): Promise<void> {
    this.#sawIntact = false
    await this.#nft(`add table ${TABLE}\ndelete table ${TABLE}\n`)
  }

  /** Undefined when there is no table of ours. @param terse `-t` leaves the elements out */
  async #read(terse?: '-t'): Promise<NftTable | undefined> {
    const args = ['-j', ...(terse === undefined ? [] : [terse]), 'list', 'table', ...TABLE.split(' ')]
    const result = await this.run('nft', args, { timeout: TIMEOUT })
    if (result.code === 0) return parseTable(result.stdout)
    if (/No such file or directory/.test(result.stderr)) return undefined
    throw new ProductError('FIREWALL', `nft said: ${printable(result.stderr.trim(), 500)}`)
  }

  /** Changes single elements. @returns false when the sets have to be refilled */
  async #change(table: NftTable, add: readonly Address[], remove: readonly Address[]): Promise<boolean> {
    const [gone, fresh] = [byFamily(remove), byFamily(add)]
    const parts: string[] = []
    for (const family of FAMILIES) {
      const held = table.elements[family]
      const removals = gone[family].filter(block => held.has(block))
      if (removals.length * held.size > DELETE_WORK) return false
      parts.push(elements('delete', family, removals), elements('add', family, fresh[family]))
    }
    const result = await this.run('nft', ['-f', '-'], { input: parts.join(''), timeout: TIMEOUT })
    // Refused: the sets hold something else than the caller saw. The refill sorts that out, or says why not.
    return result.code === 0
  }

  async #nft(input: string): Promise<void> {
    await outputOf(this.run, 'nft', ['-f', '-'], { input, timeout: TIMEOUT })
  }
}

function counted(content: ReadonlyMap<Address, Hits>): string[] {
  return [...content].map(([block, { packets, bytes }]) =>
    packets === 0 ? block : `${block} counter packets ${packets} bytes ${bytes}`
  )
}

// One statement for all of a set: nft reads and sorts the whole set once for each statement.
function elements(what: 'add' | 'delete', family: Family, items: readonly string[]): string {
  return items.length === 0 ? '' : `${what} element ${TABLE} ${SETS[family]} {\n${items.join(',\n')}\n}\n`
}
