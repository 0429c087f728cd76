import { WebSocket } from 'ws'
import { messageOf } from '../common/errors.js'
import { WAKE_TEXT } from '../common/live-messages.js'
import { basicHeaders } from './basic.js'

/** Where and as whom a host waits. */
export interface WakeAccess {
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
  signal: AbortSignal
}

/** How a connection ended. */
export interface Ended {
  /** HTTP status, where the server did not let us in. */
  status?: number
  reason: string
  /** Milliseconds it held; 0 when it was never made, or nothing ever came through it. */
  heldMs: number
}

/** One WebSocket, from its opening to its end. @param silence milliseconds after which a silent server is gone */
export function wakeSocket(access: WakeAccess, silence: number, opened: () => void): Promise<Ended> {
  const { url, ca, timeout, signal } = access
  return new Promise(resolve => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), {
      headers: basicHeaders(access),
      handshakeTimeout: timeout,
      maxPayload: 1024,
      perMessageDeflate: false,
      ...(ca === undefined ? {} : { ca })
    })
    let quiet: NodeJS.Timeout | undefined
    let since = NaN
    const watch = (fallenSilent: () => void) => {
      clearTimeout(quiet)
      quiet = setTimeout(() => {
        fallenSilent()
        end({ reason: 'the server has fallen silent' })
      }, silence)
    }
    const listen = () => watch(() => undefined)
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
      watch(() => (since = NaN))
      opened()
    })
    socket.on('ping', listen)
    socket.on('message', (data, isBinary) => {
      listen()
      if (!isBinary && (data as Buffer).toString() === WAKE_TEXT) access.wake()
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
