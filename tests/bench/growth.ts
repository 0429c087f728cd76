import type { BenchRow } from './row.js'

/**
 * How something grows with its size, beside n log n: a ratio of 1 grows as n log n does, a smaller one more slowly.
 * A single one, as of MB, counts as a hundred: n log n of 1 is nothing.
 * @param taken milliseconds by size, ascending
 */
export function growth(what: string, taken: readonly (readonly [size: number, ms: number])[]): BenchRow {
  const work = (size: number) => size * Math.log(size * (taken[0]?.[0] === 1 ? 100 : 1))
  const steps = taken.slice(1).map(([size, ms], at) => {
    const [smaller, before] = taken[at] ?? [size, ms]
    return { factor: ms / before, ratio: ms / before / (work(size) / work(smaller)) }
  })
  return {
    what: `growth: ${what}, ${taken.map(([size]) => size).join(' → ')}`,
    value: steps.map(({ factor }) => `× ${factor.toFixed(1)}`).join(', '),
    baseline: 'n log n',
    ratio: Math.max(...steps.map(({ ratio }) => ratio))
  }
}
