import { parseAddress, type Address } from '../../common/address.js'
import type { RunCommand } from '../../common/command.js'
import type { Family } from './families.js'
import { readFilter, type FilterTable } from './iptables.js'
import { USER_CHAIN } from './ufw-rules.js'

/** What the kernel does with ufw's user rules. */
export interface UfwKernel {
  /** False when packets don't reach the user rules: ufw is off, or its chains were flushed. */
  reached: boolean
  /** Sources whose packets are dropped before any user rule can accept them. */
  dropped: Set<Address>
  /** Sources of all rules that drop by source alone, wherever they stand. */
  sources: Set<Address>
}

const JUMPS = {
  4: [
    ['INPUT', 'ufw-before-input'],
    ['ufw-before-input', 'ufw-user-input']
  ],
  6: [
    ['INPUT', 'ufw6-before-input'],
    ['ufw6-before-input', 'ufw6-user-input']
  ]
} as const

// Rules of this kind never let a packet in: ufw's logging chains return.
const HARMLESS = /-j (DROP|REJECT|LOG|ufw6?-user-logging-input)\b|^(?!.*-[jg] )/
const SOURCE_ONLY = /^-s (\S+) -j DROP$/

/** The source of a rule that drops by source alone. @param rule without its `-A <chain>` */
export function sourceOfDrop(rule: string): Address | undefined {
  const source = SOURCE_ONLY.exec(rule)?.[1]
  return source === undefined ? undefined : parseAddress(source)
}

/** Reads the kernel's side of ufw. @throws ProductError COMMAND */
export async function readUfwKernel(run: RunCommand, family: Family): Promise<UfwKernel> {
  const table = await readFilter(run, family)
  const found: UfwKernel = { reached: false, dropped: new Set(), sources: new Set() }
  if (!JUMPS[family].every(([from, to]) => hasJump(table, from, to))) return found
  found.reached = true
  let first = true
  for (const rule of table.get(USER_CHAIN[family]) ?? []) {
    const block = sourceOfDrop(rule)
    if (block !== undefined) {
      found.sources.add(block)
      if (first) found.dropped.add(block)
    } else if (!HARMLESS.test(rule)) first = false
  }
  return found
}

function hasJump(table: FilterTable, from: string, to: string): boolean {
  return table.get(from)?.some(rule => rule === `-j ${to}`) === true
}
