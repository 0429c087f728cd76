/**
 * Runs `work`, which ends soon after the first SIGTERM or SIGINT aborts its signal, then ends the process: what was
 * closed may linger (a watch on a file that came at that moment) and must not keep it. A second signal ends the
 * process at once, with 1. The listeners stay to the end: where there is none, the libraries that tidy up locks at
 * exit end the process themselves.
 * @throws what `work` throws
 */
export async function runUntilStopped(work: (stop: AbortSignal) => Promise<void>): Promise<never> {
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(1)
      stop.abort()
    })
  }
  await work(stop.signal)
  process.exit()
}
