import { execute } from '../support/installation.js'

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

/** Times something several times. @returns the median in milliseconds */
export async function medianMs(times: number, run: () => Promise<unknown>): Promise<number> {
  const taken: number[] = []
  for (let n = 0; n < times; n++) {
    const start = performance.now()
    await run()
    taken.push(performance.now() - start)
  }
  return median(taken)
}

/** How long a process took, from its start to its end, and the most memory it held. */
export interface Run {
  ms: number
  peakMb: number
}

const TELL_PEAK =
  'data:text/javascript,process.on("exit",()=>process.stderr.write("peak-kb="+process.resourceUsage().maxRSS))'

/**
 * Runs Node.js once, cold. @param prefix what puts it in a namespace @param args what Node.js is given
 * @throws Error when it doesn't end with 0: a figure of a failed run means nothing
 */
export async function timeNode(prefix: readonly string[], args: readonly string[]): Promise<Run> {
  const start = performance.now()
  const { code, err } = await execute([...prefix, process.execPath, '--import', TELL_PEAK, ...args])
  const ms = performance.now() - start
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`)
  return { ms, peakMb: Number(/peak-kb=(\d+)/.exec(err)?.[1]) / 1024 }
}
