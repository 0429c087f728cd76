import { watch } from 'chokidar'
import type { ClientBus } from './bus.js'

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
  /** What is done between cycles as well: milliseconds from the last time, or the last cycle, to the next. */
  between?: { interval: number; work: () => Promise<void> }
  /** `sync_requested` on it starts a cycle. */
  bus?: ClientBus
  signal: AbortSignal
}

/**
 * Runs cycles: at once, every interval, when one is requested, soon after fail2ban's log grew, and when the server says
 * so; never two things at a time. Ends with `signal`.
 */
export async function watchAndSync(options: WatchOptions): Promise<void> {
  const { signal, between } = options
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
  const ignoreRequests = options.bus?.on('sync_requested', wake)
  const wokenWithin = (ms: number) =>
    new Promise<boolean>(resolve => {
      if (state.woken) return resolve(true)
      const timer = setTimeout(() => resolve(false), ms)
      state.wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  try {
    while (!signal.aborted) {
      state.woken = false
      await options.cycle()
      const pause = between?.interval ?? Infinity
      for (let left = options.interval; left > 0; left -= pause) {
        if ((await wokenWithin(Math.min(left, pause))) || between === undefined || left <= pause) break
        await between.work()
      }
    }
  } finally {
    ignoreRequests?.()
    clearTimeout(grown)
    await watcher.close()
    await channel
  }
}
