import { printable } from '../../common/names.js'

/**
 * Lays rows out in columns for a person to read. Cells may hold text from logs and clients: control characters
 * never reach the terminal.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const safe = [head, ...rows].map(row => row.map(cell => printable(cell)))
  const widths = head.map((_, column) => Math.max(...safe.map(row => width(row[column] ?? ''))))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd()
  const [first = [], ...others] = safe
  return [line(first), widths.map(count => '-'.repeat(count)).join('  '), ...others.map(line)].join('\n')
}

function width(text: string): number {
  return Array.from(text).length
}
