import { outputOf, type RunCommand } from '../../common/command.js'
import type { Family } from './families.js'

/**
 * Rules of the filter table by chain, in order, each as iptables-save prints it without its chain
 * (`-s 1.2.3.4/32 -j DROP`). A chain without rules has an empty array.
 */
export type FilterTable = Map<string, string[]>

const PROGRAM = { 4: 'iptables', 6: 'ip6tables' } as const

/** Reads the filter table. @throws ProductError COMMAND */
export async function readFilter(run: RunCommand, family: Family): Promise<FilterTable> {
  const text = await outputOf(run, `${PROGRAM[family]}-save`, ['-t', 'filter'])
  const table: FilterTable = new Map()
  for (const line of text.split('\n')) {
    if (line.startsWith(':')) {
      table.set(line.slice(1, line.indexOf(' ')), [])
      continue
    }
    const [, chain = '', rule = ''] = /^-A (\S+) (.*)$/.exec(line) ?? []
    table.get(chain)?.push(rule)
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
