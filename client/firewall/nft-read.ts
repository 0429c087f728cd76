import type { Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { readElements } from './nft-elements.js'
import { parseTable, type NftTable } from './nft-parse.js'
import { TABLE, type NftSet } from './nft-table.js'

/** Milliseconds; 100,000 elements take a few seconds on a slow host. */
export const NFT_TIMEOUT = 120_000

/**
 * Reads our table; undefined when there is none.
 * @param counters whether with counters: they are a third of the work
 * @throws ProductError FIREWALL, COMMAND
 */
export async function readTable(run: RunCommand, counters: boolean): Promise<NftTable | undefined> {
  const args = [...(counters ? ['-j'] : ['-j', '-s']), 'list', 'table', ...TABLE.split(' ')]
  const { code, stdout, stderr } = await run('nft', args, { timeout: NFT_TIMEOUT })
  if (code === 0) return parseTable(stdout)
  if (/No such file or directory/.test(stderr)) return undefined
  throw new ProductError('FIREWALL', `nft said: ${printable(stderr.trim(), 500)}`)
}

/**
 * Reads our table, without counters, in the way that is quick for thousands of blocks: the frame by nft, the elements
 * from the kernel. Where that is not possible, nft reads all of it. @throws ProductError FIREWALL, COMMAND
 */
export async function readLargeTable(run: RunCommand): Promise<NftTable | undefined> {
  const read = await readElements(run, () => readFrame(run)).catch((error: unknown) => {
    if (error instanceof ProductError) return undefined
    throw error
  })
  if (read === undefined) return readTable(run, false)
  const { beside: frame, misplaced, ...held } = read
  return { ...frame, ...held, frameIntact: frame.frameIntact && !misplaced }
}

/** What a set of networks holds; nothing when it is not there. @throws ProductError FIREWALL, COMMAND */
export async function readNetworks(run: RunCommand, set: NftSet): Promise<Address[]> {
  const args = ['-j', '-s', 'list', 'set', ...TABLE.split(' '), set.name]
  const { code, stdout } = await run('nft', args, { timeout: NFT_TIMEOUT })
  return (code === 0 ? parseTable(stdout).networks.get(set.name) : undefined) ?? []
}

/** Whether that very table is there, its frame intact. @throws ProductError FIREWALL, COMMAND */
export async function stands(run: RunCommand, handle: unknown): Promise<boolean> {
  const table = await readFrame(run)
  return table.frameIntact && table.handle === handle
}

// nft 1.0.6 fetches all elements for `list table` and `list chain`, even if told to leave them out; here it doesn't.
async function readFrame(run: RunCommand): Promise<NftTable> {
  return parseTable(await outputOf(run, 'nft', ['-j', '-t', 'list', 'ruleset', 'inet']))
}
