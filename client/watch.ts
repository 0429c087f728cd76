import { watch } from 'chokidar'

export interface WatchOptions {
  /** One cycle; never rejects. */
  cycle: () => Promise<void>
  /** fail2ban's log. */
  log: string
  /** Milliseconds between cycles. */
  interval: number
  /** Milliseconds after the log grew until a cycle starts: several lines at once make one cycle. */
  settle?: number
  /** Holds a connection on which the server says when to come, until `signal`; never rejects. */
  channel?: (wake: () => void) => Promise<void>
  signal: AbortSignal
}

/**
 * Runs cycles: at once, every interval, soon after fail2ban's log grew, and when the server says so; never two at a
 * time. Ends with `signal`.
 */
export async function watchAndSync(options: WatchOptions): Promise<void> {
  const { signal } = options
  const state = { woken: false, wake: () => undefined as unknown }
  let grown: NodeJS.Timeout | undefined
  const watcher = watch(options.log, { ignoreInitial: true })
  // A wake during a cycle counts for the next one.
  const wake = () => {
    state.woken = true
    state.wake()
  }
  watcher.on('all', () => {
    grown ??= setTimeout(() => {
      grown = undefined
      wake()
    }, options.settle ?? 1000)
  })
  watcher.on('error', () => undefined)
  signal.addEventListener('abort', wake)
  const channel = options.channel?.(wake)
  try {
    while (!signal.aborted) {
      state.woken = false
      await options.cycle()
      await new Promise<void>(resolve => {
        if (state.woken) return resolve()
        const timer = setTimeout(resolve, options.interval)
        state.wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    clearTimeout(grown)
    await watcher.close()
    await channel
  }
}
