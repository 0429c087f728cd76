import { outputOf, type RunCommand } from '../../common/command.js'
import type { Family } from './families.js'

/** A rule as iptables-save prints it, without chain and counters (`-s 1.2.3.4/32 -j DROP`). */
export interface Rule {
  text: string
  packets: number
}

/** Rules of the filter table by chain, in order. A chain without rules has an empty array. */
export type FilterTable = Map<string, Rule[]>

const PROGRAM = { 4: 'iptables', 6: 'ip6tables' } as const

/** Reads the filter table. @throws ProductError COMMAND */
export async function readFilter(run: RunCommand, family: Family): Promise<FilterTable> {
  const text = await outputOf(run, `${PROGRAM[family]}-save`, ['-c', '-t', 'filter'])
  const table: FilterTable = new Map()
  for (const line of text.split('\n')) {
    if (line.startsWith(':')) {
      table.set(line.slice(1, line.indexOf(' ')), [])
      continue
    }
    const parts = /^\[(\d+):\d+\] -A (\S+) (.*)$/.exec(line)
    if (parts === null) continue
    const [, packets = '0', chain = '', rule = ''] = parts
    table.get(chain)?.push({ text: rule, packets: Number(packets) })
  }
  return table
}

/**
 * Loads rules into the kernel as one transaction; chains the text declares are emptied by it, others stay.
 * @param text in the format of iptables-restore
 * @throws ProductError COMMAND, then nothing changed
 */
export async function restoreRules(run: RunCommand, family: Family, text: string): Promise<void> {
  await outputOf(run, `${PROGRAM[family]}-restore`, ['-n', '-w', '10'], { input: text })
}
