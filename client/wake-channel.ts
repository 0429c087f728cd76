import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { messageOf } from '../common/errors.js'
import { WAKE_TEXT } from '../common/live-messages.js'
import type { Report } from './cycle/cycle.js'

export interface WakeOptions {
  /** The server's wake channel, http or https. */
  url: string
  username: string
  password: string
  uuid: string
  /** The authority that signed the server's certificate, as PEM; the system's authorities when absent. */
  ca: string | undefined
  /** Milliseconds for connecting. */
  timeout: number
  /** Told to come and ask. */
  wake: () => void
  report: Report
  signal: AbortSignal
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
  /** A server that has said nothing for this long (it pings every 30 seconds) is gone. */
  silence: 90_000,
  /** A connection that held this long was a good one. */
  good: 60_000,
  /** Wakes that may come at once, and the time in which one more may. */
  burst: 30,
  refill: 1_000
}

/** How a connection ended. */
interface Ended {
  /** HTTP status, where the server did not let us in. */
  status?: number
  reason: string
  heldMs: number
}

/**
 * Holds a connection on which the server says that there is something to fetch, and holds it again when it breaks,
 * until `signal`. Without it the host goes on at its interval: failures are told, each kind once, and never thrown.
 */
export async function holdWakeChannel(options: WakeOptions): Promise<void> {
  const times = { ...TIMES, ...options.times }
  const { signal, report } = options
  const wake = limited(options.wake, times, signal)
  let failures = 0
  let told = ''
  while (!signal.aborted) {
    const opened = () => {
      told = ''
      report('info', { event: 'wake_channel', state: 'open' })
    }
    const ended = await connection({ ...options, wake }, times.silence, opened)
    if (isAborted(signal)) return
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

/** One connection, from its opening to its end. */
function connection(options: WakeOptions, silence: number, opened: () => void): Promise<Ended> {
  const { url, username, password, uuid, ca, timeout, signal } = options
  return new Promise(resolve => {
    const basic = Buffer.from(`${username}:${password}`).toString('base64')
    const socket = new WebSocket(url.replace(/^http/, 'ws'), {
      headers: { authorization: `Basic ${basic}`, 'x-client-uuid': uuid },
      handshakeTimeout: timeout,
      maxPayload: 1024,
      perMessageDeflate: false,
      ...(ca === undefined ? {} : { ca })
    })
    let quiet: NodeJS.Timeout | undefined
    let since = NaN
    const listen = () => {
      clearTimeout(quiet)
      quiet = setTimeout(() => end({ reason: 'the server has fallen silent' }), silence)
    }
    const stop = () => end({ reason: 'told to stop' })
    const end = (ended: Omit<Ended, 'heldMs'>) => {
      clearTimeout(quiet)
      signal.removeEventListener('abort', stop)
      socket.terminate()
      resolve({ ...ended, heldMs: Number.isNaN(since) ? 0 : performance.now() - since })
    }
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    socket.on('open', () => {
      since = performance.now()
      listen()
      opened()
    })
    socket.on('ping', listen)
    socket.on('message', (data, isBinary) => {
      listen()
      if (!isBinary && (data as Buffer).toString() === WAKE_TEXT) options.wake()
    })
    socket.on('unexpected-response', (request, response) => {
      request.destroy()
      const status = response.statusCode ?? 0
      end({ status, reason: `HTTP ${status}` })
    })
    socket.on('error', error => end({ reason: messageOf(error) }))
    socket.on('close', code => end({ reason: `closed with ${code}` }))
  })
}

/** Passes calls on, no more than a burst at once: a server must not drive the host from cycle to cycle. */
function limited(
  wake: () => void,
  { burst, refill }: { burst: number; refill: number },
  signal: AbortSignal
): () => void {
  let left = burst
  let last = performance.now()
  let later: NodeJS.Timeout | undefined
  signal.addEventListener('abort', () => clearTimeout(later))
  const call = () => {
    const now = performance.now()
    left = Math.min(burst, left + (now - last) / refill)
    last = now
    if (left >= 1) {
      left--
      wake()
    } else later ??= setTimeout(again, (1 - left) * refill)
  }
  const again = () => {
    later = undefined
    call()
  }
  return call
}
