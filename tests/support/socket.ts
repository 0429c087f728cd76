import { once } from 'node:events'
import { WebSocket, type ClientOptions } from 'ws'

/** A WebSocket that a server let in, and what it said. */
export interface OpenSocket {
  socket: WebSocket
  /** Everything said so far. */
  said: Said[]
  /** The first message of that type, heard already or still to come. */
  heard(type: string, more?: (data: Record<string, unknown>) => boolean): Promise<Said>
  /** Why it was closed, once it is. */
  closed: Promise<{ code: number; reason: string }>
}

export interface Said {
  type: string
  time: string
  data: Record<string, unknown>
}

/** Opens a WebSocket. @param url as of HTTP @returns the HTTP status and body where it is refused */
export async function openSocket(
  url: string,
  headers: Record<string, string>,
  options: ClientOptions = {}
): Promise<OpenSocket | { status: number; body: string }> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers, ...options })
  const said: Said[] = []
  const listeners = new Set<(message: Said) => void>()
  socket.on('message', (bytes: Buffer) => {
    const message = JSON.parse(bytes.toString()) as Said
    said.push(message)
    for (const listener of listeners) listener(message)
  })
  const closed = new Promise<{ code: number; reason: string }>(resolve => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  const refused = new Promise<{ status: number; body: string }>((resolve, reject) => {
    socket.on('unexpected-response', (_request, reply) => {
      let body = ''
      reply.on('data', (chunk: Buffer) => (body += chunk.toString()))
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, body }))
    })
    socket.on('error', reject)
  })
  refused.catch(() => undefined)
  const refusal = await Promise.race([once(socket, 'open').then(() => undefined), refused])
  if (refusal !== undefined) return refusal
  const heard: OpenSocket['heard'] = (type, more = () => true) => {
    const wanted = (message: Said) => message.type === type && more(message.data)
    const found = said.find(wanted)
    if (found !== undefined) return Promise.resolve(found)
    return new Promise(resolve => {
      const listener = (message: Said) => {
        if (!wanted(message)) return
        listeners.delete(listener)
        resolve(message)
      }
      listeners.add(listener)
    })
  }
  return { socket, said, heard, closed }
}

/** As `openSocket`, where it must be let in. */
export async function opened(url: string, headers: Record<string, string>): Promise<OpenSocket> {
  const result = await openSocket(url, headers)
  if ('status' in result) throw new Error(`refused: ${result.status} ${result.body}`)
  return result
}
