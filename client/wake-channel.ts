import { setTimeout as delay } from 'node:timers/promises'
import { Allowance, type Rate } from './allowance.js'
import type { Report } from './cycle/cycle.js'
import { WakePolls } from './wake-poll.js'
import { wakeSocket, type Ended, type WakeAccess } from './wake-socket.js'

export interface WakeOptions extends WakeAccess {
  report: Report
  /** Milliseconds; for tests. */
  times?: Partial<typeof TIMES>
}

const TIMES = {
  /** Longest pause after the first failure; it doubles with each further one, up to … */
  first: 5_000,
  most: 60_000,
  /** … and, where the server has refused us or has no such channel. */
  refusedFirst: 60_000,
  refusedMost: 600_000,
  /** A server that has said nothing for this long (it pings every 30 seconds, and ends a poll after 50) is gone. */
  silence: 90_000,
  /** A connection that held this long was a good one. */
  good: 60_000,
  /** A poll that ends with nothing sooner than this was not let wait. */
  soon: 5_000,
  /** While polls do, a WebSocket is tried again after this long. */
  socketAgain: 600_000,
  /** Wakes, and polls, that may come at once, and the time in which one more may. */
  burst: 30,
  refill: 1_000
}

/**
 * Holds a connection on which the server says that there is something to fetch, and holds it again when it breaks,
 * until `signal`: a WebSocket, or polls where none can be made. Without either the host goes on at its interval:
 * failures are told, each kind once, and never thrown.
 */
export async function holdWakeChannel(options: WakeOptions): Promise<void> {
  const times = { ...TIMES, ...options.times }
  const { signal, report } = options
  const access = { ...options, wake: limited(options.wake, times, signal) }
  const polls = new WakePolls(access, times)
  let failures = 0
  let told = ''
  const opened = (by: 'websocket' | 'long-poll') => () => {
    if (told !== by) report('info', { event: 'wake_channel', state: 'open', by })
    told = by
  }
  while (!signal.aborted) {
    const socket = await wakeSocket(access, times.silence, opened('websocket'))
    // One that was never made, or through which nothing ever came: a proxy may let requests through all the same.
    const tryPolls = !isAborted(signal) && socket.heldMs === 0
    const polled = tryPolls ? await polls.hold(opened('long-poll')) : socket
    if (isAborted(signal)) return
    if (polled === undefined) {
      failures = 0
      continue
    }
    const ended = tryPolls ? both(socket, polled) : socket
    failures = ended.heldMs >= times.good ? 0 : failures + 1
    const refused = ended.status !== undefined && ended.status < 500
    if (ended.reason !== told) tell(report, ended)
    told = ended.reason
    const [first, most] = refused ? [times.refusedFirst, times.refusedMost] : [times.first, times.most]
    // Many hosts lose their server at the same moment: they must not come back at the same one.
    const pause = Math.min(most, first * 2 ** Math.max(0, failures - 1)) * (0.1 + 0.9 * Math.random())
    await delay(pause, undefined, { signal, ref: true }).catch(() => undefined)
  }
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted
}

/** A WebSocket that was not made, and the polls after it. */
function both(socket: Ended, polled: Ended): Ended {
  const reason =
    socket.reason === polled.reason ? polled.reason : `${polled.reason}; WebSocket: ${socket.reason}`
  return { ...polled, reason }
}

function tell(report: Report, { status, reason }: Ended): void {
  if (status === 401 || status === 403) {
    report('error', {
      event: 'wake_refused',
      message: `the server did not let this host wait for changes (${reason}); it asks every interval only. ${HINT}`
    })
    return
  }
  report('info', { event: 'wake_channel', state: 'closed', reason })
}

const HINT = 'Compare with "fail2ban-report client list" on the server.'

/** Passes calls on, no more than a burst at once: a server must not drive the host from cycle to cycle. */
function limited(wake: () => void, rate: Rate, signal: AbortSignal): () => void {
  const allowance = new Allowance(rate)
  let later: NodeJS.Timeout | undefined
  signal.addEventListener('abort', () => clearTimeout(later))
  const call = () => {
    const wait = allowance.take()
    if (wait === 0) wake()
    else later ??= setTimeout(again, wait)
  }
  const again = () => {
    later = undefined
    call()
  }
  return call
}
