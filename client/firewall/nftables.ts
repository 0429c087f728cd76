import { familyOf, type Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { ProductError, messageOf } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { TABLE, frameScript, readTable, setOf, type TableState } from './nftables-frame.js'
import type { Firewall, InForce } from './types.js'

/** Addresses in one `add element` command; nft's parser holds a command in memory. */
const CHUNK = 10_000

/**
 * Blocks as elements of two interval sets in our own table `inet fail2ban_report`, dropped on input and forward
 * before every other table. Each apply is one `nft` transaction. While a rule, chain or set of ours is missing or
 * altered, `list` shows nothing in force, and `apply` then builds the whole table anew in that one transaction.
 */
export class Nftables implements Firewall {
  readonly name = 'nftables'
  #seen: TableState | 'missing' | undefined

  constructor(private readonly run: RunCommand) {}

  async list(): Promise<InForce> {
    const state = await this.#read()
    this.#seen = state
    const packets = state === 'missing' || !state.whole ? new Map<Address, number>() : state.packets
    return { own: new Set(packets.keys()), alike: new Set(), packets }
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<void> {
    const state = this.#seen ?? (await this.#read())
    this.#seen = undefined
    const whole = state !== 'missing' && state.whole
    if (whole && add.length + remove.length === 0) return
    const script = whole
      ? [...elements('delete', remove), ...elements('add', add)]
      : // `add` before `delete`, so that the deletion never fails for want of a table.
        [`add table ${TABLE}\ndelete table ${TABLE}\n${frameScript()}`, ...elements('add', add)]
    await this.#change(script.join('\n') + '\n')
  }

  async clear(): Promise<void> {
    this.#seen = undefined
    await this.#change(`add table ${TABLE}\ndelete table ${TABLE}\n`)
  }

  async #read(): Promise<TableState | 'missing'> {
    const result = await this.run('nft', ['-j', 'list', 'table', ...TABLE.split(' ')])
    if (result.code === 0) return readTable(result.stdout)
    if (result.stderr.includes('No such file or directory')) return 'missing'
    throw new ProductError('FIREWALL', `nft: ${printable(result.stderr.trim(), 300)}; root is needed`)
  }

  async #change(script: string): Promise<void> {
    try {
      await outputOf(this.run, 'nft', ['-f', '-'], { input: script, timeout: 300_000 })
    } catch (error) {
      throw new ProductError('FIREWALL', `nothing changed: ${messageOf(error)}`, error)
    }
  }
}

function elements(verb: 'add' | 'delete', items: readonly Address[]): string[] {
  const lines: string[] = []
  for (const family of [4, 6] as const) {
    const own = items.filter(item => familyOf(item) === family)
    for (let at = 0; at < own.length; at += CHUNK) {
      lines.push(`${verb} element ${TABLE} ${setOf(family)} { ${own.slice(at, at + CHUNK).join(', ')} }`)
    }
  }
  return lines
}
