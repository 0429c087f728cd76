import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import helmet from 'helmet'

const HSTS = 'max-age=31536000'

/**
 * Gives every reply of an app helmet's headers, and on HTTPS strict-transport-security: plain HTTP on loopback must not
 * be told to go away. To be called before other hooks are added: what they refuse has the headers too.
 */
export function addSecurityHeaders(app: FastifyInstance): void {
  // Asked once: they are the same for all, and to work them out took longer than all else of a small request.
  const always = helmetHeaders()
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(always)
    if (request.protocol === 'https') reply.header('strict-transport-security', HSTS)
    done()
  })
}

function helmetHeaders(): Record<string, string> {
  const request = new IncomingMessage(new Socket())
  const reply = new ServerResponse(request)
  const set = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        objectSrc: ["'none'"]
      }
    },
    frameguard: { action: 'deny' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: false
  })
  set(request, reply, (error?: unknown) => {
    if (error instanceof Error) throw error
  })
  return Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]))
}
