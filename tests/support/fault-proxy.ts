import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** What befalls one connection. */
export interface ConnectionFault {
  /** Milliseconds that every piece is held back. */
  slow?: number
  /** The connection is cut, both ways, once this many bytes have passed in that direction. */
  cut?: { direction: 'request' | 'reply'; bytes: number }
  /** Milliseconds after its end until all it sent is sent once more, on a connection of its own. */
  replay?: number
}

const MOST_REPLAYED = 1024 * 1024
const PIECE = 4096

/** A TCP proxy on loopback that makes the network bad. Connections to a target that is not there are cut. */
export class FaultProxy {
  /** Port on loopback that connections are passed on to. */
  target = 0
  /** Asked for every new connection. */
  fault: () => ConnectionFault = () => ({})
  /** Told of every piece that passes. */
  passed: (direction: 'request' | 'reply') => void = () => undefined
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #replays = new Set<Promise<void>>()

  private constructor() {
    this.#server = createServer(client => void this.#serve(client))
  }

  /** Starts a proxy on a free port. */
  static async start(): Promise<FaultProxy> {
    const proxy = new FaultProxy()
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Waits until nothing that is to be replayed is left. */
  async settled(): Promise<void> {
    while (this.#replays.size > 0) await Promise.all(this.#replays)
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #serve(client: Socket): Promise<void> {
    const fault = this.fault()
    const server = this.#track(connect(this.target, '127.0.0.1'))
    this.#track(client)
    const sent: Buffer[] = []
    const keep = (piece: Buffer) => {
      if (fault.replay !== undefined) sent.push(piece)
    }
    const carried = [
      this.#carry(client, server, fault, 'request', keep),
      this.#carry(server, client, fault, 'reply', () => undefined)
    ]
    await Promise.all(carried)
    const bytes = Buffer.concat(sent)
    if (fault.replay === undefined || bytes.length === 0 || bytes.length > MOST_REPLAYED) return
    const replay = this.#replay(bytes, fault.replay).finally(() => this.#replays.delete(replay))
    this.#replays.add(replay)
  }

  async #carry(
    from: Socket,
    to: Socket,
    fault: ConnectionFault,
    direction: 'request' | 'reply',
    keep: (piece: Buffer) => void
  ): Promise<void> {
    let left = fault.cut?.direction === direction ? fault.cut.bytes : Infinity
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        for (let at = 0; at < chunk.length; at += PIECE) {
          const piece = chunk.subarray(at, Math.min(at + PIECE, at + left))
          if (fault.slow !== undefined) await delay(fault.slow)
          keep(piece)
          if (!to.write(piece)) await once(to, 'drain')
          this.passed(direction)
          left -= piece.length
          if (left <= 0) throw new Error('cut')
        }
      }
      to.end()
    } catch {
      from.destroy()
      to.destroy()
    }
  }

  async #replay(bytes: Buffer, after: number): Promise<void> {
    await delay(after)
    const server = this.#track(connect(this.target, '127.0.0.1'))
    server.setTimeout(5000, () => server.destroy())
    server.resume()
    server.write(bytes)
    // Closed by us once nothing more comes: its requests ask for connections to be kept.
    server.on('data', () => server.setTimeout(300))
    await new Promise<void>(resolve => server.once('close', () => resolve()))
  }

  #track(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }
}
