import type { Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { Blocks } from './blocks.js'
import { NO_HITS, afterChange, type Hits } from './families.js'
import { NFT_TIMEOUT, readLargeTable, readNetworks, readTable, stands } from './nft-read.js'
import type { NftTable } from './nft-parse.js'
import { SETS, TABLE, bySet, tableText, type NftSet } from './nft-table.js'
import type { Firewall, InForce } from './types.js'

/**
 * nft 1.0.6 needs about a microsecond for each removal × element of a set of networks: 100 out of 100,000 take 17
 * seconds. Beyond this product the table is replaced instead, which takes three.
 */
const DELETE_WORK = 1_000_000

/** Changes that take longer to ask for one by one than it takes to read all there is. */
const MANY = 2000

/**
 * Blocks as sets in a table of our own, hooked ahead of all other tables: the rules of fail2ban, ufw and docker are
 * neither read nor touched. Every change is one nft transaction.
 */
export class NftablesFirewall implements Firewall {
  readonly name = 'nftables'

  /** The last list of the table, as long as nothing was applied since. */
  #listed: { table: NftTable | undefined } | undefined

  constructor(private readonly run: RunCommand) {}

  /** True when our table is there. @throws ProductError COMMAND when nft doesn't work */
  async installed(): Promise<boolean> {
    // nft 1.0.6 fetches all elements for `list tables`, which is each cycle's beginning; for this it doesn't.
    const ruleset = await outputOf(this.run, 'nft', ['-t', 'list', 'ruleset', 'inet'])
    return ruleset.split('\n').includes(`table ${TABLE} {`)
  }

  async list(many = false): Promise<InForce> {
    this.#listed = undefined
    const table = await this.#read(many)
    this.#listed = { table }
    return inForceIn(table)
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined> {
    const { table: before } = this.#listed ?? { table: await this.#read(false) }
    this.#listed = undefined
    if (before?.frameIntact === true) {
      if (add.length + remove.length === 0) return undefined
      const after = await this.#change(before, add, remove)
      if (after !== undefined) return inForceIn(after)
    }
    const blocks = await this.#replace(add, remove)
    return inForceIn(await this.#read(blocks > MANY))
  }

  async clear(): Promise<void> {
    this.#listed = undefined
    await this.#nft(`add table ${TABLE}\ndelete table ${TABLE}\n`)
  }

  // Without counters: nobody asks for them here.
  #read(many: boolean): Promise<NftTable | undefined> {
    return many ? readLargeTable(this.run) : readTable(this.run, false)
  }

  /**
   * Makes the table anew, with what it holds now, `add`, and without `remove`, as one transaction.
   * @returns how many blocks it holds then
   */
  async #replace(add: readonly Address[], remove: readonly Address[]): Promise<number> {
    const table = await readTable(this.run, true)
    const held = new Map<Address, Hits>()
    for (const block of blocksIn(table)) held.set(block, table?.hits.get(block) ?? NO_HITS)
    // `add` first, for `delete` fails on a table that is not there.
    const content = afterChange(held, add, remove)
    await this.#nft(`add table ${TABLE}\ndelete table ${TABLE}\n${tableText(content)}`)
    return content.size
  }

  /**
   * Changes single elements, and asks the kernel whether it did.
   * @param before the table as listed, its frame intact
   * @returns the table after the change; undefined when it can't be changed in this way, or is not as it should be
   */
  async #change(
    before: NftTable,
    add: readonly Address[],
    remove: readonly Address[]
  ): Promise<NftTable | undefined> {
    const [adds, removes] = [bySet(add), bySet(remove)]
    const many = add.length + remove.length > MANY
    const going = new Set(remove)
    const networks = new Map(before.networks)
    const [change, probe, relist] = [[] as string[], [] as string[], [] as NftSet[]]
    for (const set of SETS) {
      const [fresh, ends] = [adds.get(set) ?? [], removes.get(set) ?? []]
      if (!set.networks) {
        const there = ends.filter(block => before.singles.has(block))
        change.push(elements('delete', set, there), elements('add', set, fresh))
        if (!many) probe.push(elements('delete', set, fresh), elements('create', set, ends))
        continue
      }
      const blocks = networks.get(set.name) ?? []
      const there = blocks.filter(block => going.has(block))
      // A single address that somebody put among the networks has no element where it belongs.
      if (there.some(block => !block.includes('/')) || there.length * blocks.length > DELETE_WORK)
        return undefined
      change.push(elements('delete', set, there), elements('add', set, fresh))
      if (fresh.length + ends.length > 0) relist.push(set)
    }
    // Refused when the sets hold something else than was listed.
    if (!(await this.#takes(['-f', '-'], change))) return undefined
    if (many) {
      const after = await this.#read(true)
      const { own } = inForceIn(after)
      const asAsked = add.every(block => own.has(block)) && !remove.some(block => own.has(block))
      return asAsked && after?.frameIntact === true ? after : undefined
    }
    // With -c the kernel carries a batch out and takes it back at its end: it deletes no element that is not there,
    // and creates none that is. That costs what the change costs, and no list of all that is beside it.
    const [shown] = await Promise.all([
      this.#takes(['-c', '-f', '-'], probe),
      ...relist.map(async set => networks.set(set.name, await readNetworks(this.run, set)))
    ])
    // Last: what was shown was in that very table.
    if (!shown || !(await stands(this.run, before.handle))) return undefined
    const singles = new Blocks(before.singles)
    for (const block of remove) singles.delete(block)
    for (const block of add) if (!block.includes('/')) singles.add(block)
    return { ...before, singles, networks }
  }

  /** False when nft or the kernel refuse a batch: then nothing of it was done. */
  async #takes(args: readonly string[], parts: readonly string[]): Promise<boolean> {
    const input = parts.join('')
    return input === '' || (await this.run('nft', args, { input, timeout: NFT_TIMEOUT })).code === 0
  }

  async #nft(input: string): Promise<void> {
    await outputOf(this.run, 'nft', ['-f', '-'], { input, timeout: NFT_TIMEOUT })
  }
}

// Behind an altered frame nobody can tell what the sets stop: nothing counts, so the caller mends it.
function inForceIn(table: NftTable | undefined): InForce {
  return { own: table?.frameIntact === true ? blocksIn(table) : new Blocks(), alike: new Set() }
}

function blocksIn(table: NftTable | undefined): Blocks {
  if (table === undefined) return new Blocks()
  const networks = [...table.networks.values()].flat()
  if (networks.length === 0) return table.singles
  const blocks = new Blocks(table.singles)
  for (const network of networks) blocks.add(network)
  return blocks
}

// One statement for all of a set: nft reads and sorts the whole of a set of networks once for each statement.
function elements(what: 'add' | 'create' | 'delete', set: NftSet, items: readonly string[]): string {
  return items.length === 0 ? '' : `${what} element ${TABLE} ${set.name} {\n${items.join(',\n')}\n}\n`
}
