/** One line of the benchmarks' table. */
export interface BenchRow {
  what: string
  /** What was measured, with its unit. */
  value: string
  /** What the yardstick took in the same run; empty when there is none. */
  baseline: string
  /** Measured by baseline: 1 is as fast. */
  ratio: number | null
  /** Largest resident memory of the measured process, in MiB. */
  peakMb?: number
}
