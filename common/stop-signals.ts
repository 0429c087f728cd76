/**
 * Calls `stop` at the first SIGTERM or SIGINT and ends the process with 1 at the second. The listeners stay: where
 * there is none, the libraries that tidy up locks at exit end the process themselves.
 */
export function onStopSignal(stop: () => void): void {
  let told = false
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (told) process.exit(1)
      told = true
      stop()
    })
  }
}
