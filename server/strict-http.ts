import type { RequestHooks } from './request-hooks.js'

/**
 * Refuses what Node.js' parser lets pass although it may be read in two ways: HTTP/0.9, which has no headers, and
 * more than one Host (RFC 9112 §3.2), of which a proxy may have looked at the other.
 */
export function refuseAmbiguous(hooks: RequestHooks): void {
  hooks.look((request, reply) => {
    const { rawHeaders, httpVersionMajor } = request.raw
    let hosts = 0
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] ?? ''
      if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    }
    if (httpVersionMajor >= 1 && hosts <= 1) return true
    void reply.header('connection', 'close').code(400).send({ success: false, message: 'Malformed request.' })
    return false
  })
}
