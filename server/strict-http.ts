import type { FastifyReply } from 'fastify'
import type { RequestHooks } from './request-hooks.js'

/** Node.js' own (`server.maxHeadersCount`): what comes behind that many is dropped without a word. */
const MOST_HEADERS = 1000

/**
 * Refuses what Node.js' parser lets pass although it may be read in two ways: HTTP/0.9, which has no headers,
 * more than one Host (RFC 9112 §3.2), of which a proxy may have looked at the other, and so many headers that others may
 * have been dropped, such as the address that a proxy wrote behind its client's own headers.
 */
export function refuseAmbiguous(hooks: RequestHooks): void {
  hooks.look((request, reply) => {
    const { rawHeaders, httpVersionMajor } = request.raw
    // Names and values in turn.
    if (rawHeaders.length >= 2 * MOST_HEADERS) return refuse(reply, 431, 'Too many headers.')
    let hosts = 0
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] ?? ''
      if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    }
    return (httpVersionMajor >= 1 && hosts <= 1) || refuse(reply, 400, 'Malformed request.')
  })
}

function refuse(reply: FastifyReply, status: number, message: string): false {
  void reply.header('connection', 'close').code(status).send({ success: false, message })
  return false
}
