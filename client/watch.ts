import { watch } from 'chokidar'
import type { ClientBus } from './bus.js'

export interface WatchOptions {
  /** One cycle; never rejects. @returns 'busy' when another run kept it from happening */
  cycle: () => Promise<'busy' | undefined>
  /** fail2ban's log. */
  log: string
  /** Milliseconds between cycles. */
  interval: number
  /** Milliseconds after the log grew until a cycle starts: several lines at once make one cycle. */
  settle?: number
  /** Milliseconds after which a cycle that another run kept from happening is tried again. */
  again?: number
  /** Holds a connection on which the server says when to come, until `signal`; never rejects. */
  channel?: (wake: () => void) => Promise<void>
  /** What is done between cycles as well: milliseconds from the last time, or the last cycle, to the next. */
  between?: { interval: number; work: () => Promise<void> }
  /** `sync_requested` on it starts a cycle, but for what a cycle's own commands ask for. */
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
  let again: NodeJS.Timeout | undefined
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
  const ignoreRequests = options.bus?.on('sync_requested', ({ by }) => {
    if (by !== 'command') wake()
  })
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
      clearTimeout(again)
      // What woke it is still to be done: nobody says it twice.
      if ((await options.cycle()) === 'busy') again = setTimeout(wake, options.again ?? 3000)
      const pause = between?.interval ?? Infinity
      for (let left = options.interval; left > 0; left -= pause) {
        if ((await wokenWithin(Math.min(left, pause))) || between === undefined || left <= pause) break
        await between.work()
      }
    }
  } finally {
    ignoreRequests?.()
    clearTimeout(grown)
    clearTimeout(again)
    await watcher.close()
    await channel
  }
}
