import type { Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { NftOutput } from './nft-output.js'
import { noneTaken, parseTable, type NftTable } from './nft-parse.js'
import { TABLE, type NftSet } from './nft-table.js'

/** Milliseconds; 100,000 elements take a few seconds on a slow host. */
export const NFT_TIMEOUT = 120_000

/**
 * 100,000 elements are 130 MB of nft's memory, taken by the page: by glibc in larger steps, and in huge pages where the
 * kernel gives them, up to a seventh of the time goes (glibc manual, "Memory Allocation Tunables"). Others pass it over.
 */
const LARGE_STEPS = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1:glibc.malloc.top_pad=16777216' }

/** Our table, being read. */
export interface TableRead {
  /** As soon as it is printed whole; as `ended` where that comes first. */
  printed: Promise<NftTable | undefined>
  /** Once nft has ended well; undefined when there is none. Rejects with ProductError FIREWALL or COMMAND. */
  ended: Promise<NftTable | undefined>
}

/**
 * Reads our table. Once it is printed, nft needs a tenth of its time to give free what 100,000 elements took: nobody who
 * merely plans has to wait for that.
 * @param counters whether with counters: they are a third of the work
 */
export function readTable(run: RunCommand, counters: boolean): TableRead {
  const taken = noneTaken()
  const output = new NftOutput(taken)
  const args = [...(counters ? ['-j'] : ['-j', '-s']), 'list', 'table', ...TABLE.split(' ')]
  let parsed: NftTable | undefined
  const parse = () => (parsed ??= parseTable(output.rest(), taken))
  let tell: (table: NftTable) => void
  const whole = new Promise<NftTable>(resolve => (tell = resolve))
  const onOutput = (piece: string) => {
    output.add(piece)
    if (!/\]\}\s*$/.test(piece.slice(-8))) return
    try {
      tell(parse())
    } catch {
      // It goes on. What is no table is told of at the end.
    }
  }
  const ended = run('nft', args, { timeout: NFT_TIMEOUT, onOutput, env: LARGE_STEPS }).then(
    ({ code, stderr }) => {
      if (code === 0) return parse()
      if (/No such file or directory/.test(stderr)) return undefined
      throw new ProductError('FIREWALL', `nft said: ${printable(stderr.trim(), 500)}`)
    }
  )
  const printed = Promise.race([whole, ended])
  // Who waits for the one needn't wait for the other.
  for (const promise of [printed, ended]) promise.catch(() => undefined)
  return { printed, ended }
}

/** What a set of networks holds; nothing when it is not there. @throws ProductError FIREWALL, COMMAND */
export async function readNetworks(run: RunCommand, set: NftSet): Promise<Address[]> {
  const args = ['-j', '-s', 'list', 'set', ...TABLE.split(' '), set.name]
  const { code, stdout } = await run('nft', args, { timeout: NFT_TIMEOUT })
  return (code === 0 ? parseTable(stdout).networks.get(set.name) : undefined) ?? []
}

/** Whether that very table is there, its frame intact. @throws ProductError FIREWALL, COMMAND */
export async function stands(run: RunCommand, handle: unknown): Promise<boolean> {
  // nft 1.0.6 fetches all elements for `list table` and `list chain`, even if told to leave them out; here it doesn't.
  const table = parseTable(await outputOf(run, 'nft', ['-j', '-t', 'list', 'ruleset', 'inet']))
  return table.frameIntact && table.handle === handle
}
