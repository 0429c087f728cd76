import type { Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { NO_HITS, afterChange, type Hits } from './families.js'
import { SETS, TABLE, bySet, parseTable, tableText } from './nft-table.js'
import type { NftSet, NftTable } from './nft-table.js'
import type { Firewall, InForce } from './types.js'

/**
 * nft 1.0.6 needs about a microsecond for each removal × element of a set of networks: 100 out of 100,000 take 17
 * seconds. Beyond this product the table is replaced instead, which takes three.
 */
const DELETE_WORK = 1_000_000

/** Milliseconds; 100,000 elements take a few seconds on a slow host. */
const TIMEOUT = 120_000

/**
 * Blocks as sets in a table of our own, hooked ahead of all other tables: the rules of fail2ban, ufw and docker are
 * neither read nor touched. Every change is one nft transaction.
 */
export class NftablesFirewall implements Firewall {
  readonly name = 'nftables'

  /** The table as it was last listed, as long as nothing was applied since. */
  #listed: NftTable | undefined

  constructor(private readonly run: RunCommand) {}

  /** True when our table is there. @throws ProductError COMMAND when nft doesn't work */
  async installed(): Promise<boolean> {
    // nft 1.0.6 fetches all elements for `list tables`, which is each cycle's beginning; for this it doesn't.
    const ruleset = await outputOf(this.run, 'nft', ['-t', 'list', 'ruleset', 'inet'])
    return ruleset.split('\n').includes(`table ${TABLE} {`)
  }

  async list(): Promise<InForce> {
    // Without counters: nobody asks for them here, and they are a third of the work.
    this.#listed = await this.#read('-s')
    return inForceIn(this.#listed)
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined> {
    const before = this.#listed ?? (await this.#read('-s'))
    this.#listed = undefined
    if (before?.frameIntact === true) {
      if (add.length + remove.length === 0) return undefined
      const after = await this.#change(before, add, remove)
      if (after !== undefined) return inForceIn(after)
    }
    await this.#replace(add, remove)
    return inForceIn(await this.#read('-s'))
  }

  async clear(): Promise<void> {
    this.#listed = undefined
    await this.#nft(`add table ${TABLE}\ndelete table ${TABLE}\n`)
  }

  /** Undefined when there is no table of ours. @param stateless `-s` leaves the counters out */
  async #read(stateless?: '-s'): Promise<NftTable | undefined> {
    const options = stateless === undefined ? ['-j'] : ['-j', stateless]
    const args = [...options, 'list', 'table', ...TABLE.split(' ')]
    const result = await this.run('nft', args, { timeout: TIMEOUT })
    if (result.code === 0) return parseTable(result.stdout)
    if (/No such file or directory/.test(result.stderr)) return undefined
    throw new ProductError('FIREWALL', `nft said: ${printable(result.stderr.trim(), 500)}`)
  }

  /** Makes the table anew, with what it holds now, `add`, and without `remove`, as one transaction. */
  async #replace(add: readonly Address[], remove: readonly Address[]): Promise<void> {
    const table = await this.#read()
    const held = new Map<Address, Hits>()
    for (const block of blocksIn(table)) held.set(block, table?.hits.get(block) ?? NO_HITS)
    // `add` first, for `delete` fails on a table that is not there.
    await this.#nft(`add table ${TABLE}\ndelete table ${TABLE}\n${tableText(afterChange(held, add, remove))}`)
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
    const content = new Map(before.content)
    const [change, probe, relist] = [[] as string[], [] as string[], [] as NftSet[]]
    for (const set of SETS) {
      const [fresh, ends, blocks] = [adds.get(set) ?? [], removes.get(set) ?? [], content.get(set.name) ?? []]
      // A single address that somebody put among the networks has no element where it belongs.
      if (set.networks && blocks.some(block => !block.includes('/') && remove.includes(block)))
        return undefined
      const going = new Set(ends)
      const gone = blocks.filter(block => going.has(block))
      if (set.networks && gone.length * blocks.length > DELETE_WORK) return undefined
      change.push(elements('delete', set, gone), elements('add', set, fresh))
      if (set.networks) {
        if (fresh.length + ends.length > 0) relist.push(set)
        continue
      }
      probe.push(elements('delete', set, fresh), elements('create', set, ends))
      content.set(set.name, [...blocks.filter(block => !going.has(block)), ...fresh])
    }
    // Refused when the sets hold something else than was listed.
    if (!(await this.#takes(['-f', '-'], change))) return undefined
    // With -c the kernel carries a batch out and takes it back at its end: it deletes no element that is not there,
    // and creates none that is. That costs what the change costs, and no list of all that is beside it.
    const [shown] = await Promise.all([
      this.#takes(['-c', '-f', '-'], probe),
      ...relist.map(async set => content.set(set.name, await this.#elementsOf(set)))
    ])
    // Last: what was shown was in that very table.
    return shown && (await this.#stands(before.handle)) ? { ...before, content } : undefined
  }

  /** False when nft or the kernel refuse a batch: then nothing of it was done. */
  async #takes(args: readonly string[], parts: readonly string[]): Promise<boolean> {
    const input = parts.join('')
    return input === '' || (await this.run('nft', args, { input, timeout: TIMEOUT })).code === 0
  }

  /** What a set holds; nothing when it is not there. */
  async #elementsOf(set: NftSet): Promise<Address[]> {
    const args = ['-j', '-s', 'list', 'set', ...TABLE.split(' '), set.name]
    const result = await this.run('nft', args, { timeout: TIMEOUT })
    return (result.code === 0 ? parseTable(result.stdout).content.get(set.name) : undefined) ?? []
  }

  /** Whether that very table is there, its frame intact. */
  async #stands(handle: unknown): Promise<boolean> {
    // nft 1.0.6 fetches all elements for `list table` and `list chain`, even if told to leave them out; here it doesn't.
    const table = parseTable(await outputOf(this.run, 'nft', ['-j', '-t', 'list', 'ruleset', 'inet']))
    return table.frameIntact && table.handle === handle
  }

  async #nft(input: string): Promise<void> {
    await outputOf(this.run, 'nft', ['-f', '-'], { input, timeout: TIMEOUT })
  }
}

// Behind an altered frame nobody can tell what the sets stop: nothing counts, so the caller mends it.
function inForceIn(table: NftTable | undefined): InForce {
  return { own: table?.frameIntact === true ? blocksIn(table) : new Set(), alike: new Set() }
}

function blocksIn(table: NftTable | undefined): Set<Address> {
  const found = new Set<Address>()
  for (const blocks of table?.content.values() ?? []) for (const block of blocks) found.add(block)
  return found
}

// One statement for all of a set: nft reads and sorts the whole of a set of networks once for each statement.
function elements(what: 'add' | 'create' | 'delete', set: NftSet, items: readonly string[]): string {
  return items.length === 0 ? '' : `${what} element ${TABLE} ${set.name} {\n${items.join(',\n')}\n}\n`
}
