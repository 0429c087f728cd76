import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import helmet from 'helmet'
import type { RequestHooks } from './request-hooks.js'

const HSTS = 'max-age=31536000'

/** Of helmet's headers, those that a browser minds in replies it shows as pages only. */
const OF_PAGES: ReadonlySet<string> = new Set([
  'origin-agent-cluster',
  'x-dns-prefetch-control',
  'x-download-options',
  'x-permitted-cross-domain-policies',
  'x-xss-protection'
])

/**
 * Gives every reply helmet's headers but for those of pages, and on HTTPS strict-transport-security: plain HTTP on
 * loopback must not be told to go away. To be called before other looks are added: what they refuse has the headers too.
 */
export function addSecurityHeaders(hooks: RequestHooks): void {
  // Asked once: they are the same for all, and to work them out took longer than all else of a small request.
  const always = helmetHeaders(name => !OF_PAGES.has(name))
  hooks.look((request, reply) => {
    reply.headers(always)
    if (request.protocol === 'https') reply.header('strict-transport-security', HSTS)
    return true
  })
}

/** Gives replies of `app`, where browsers get pages, helmet's headers of pages too. */
export function addPageHeaders(app: FastifyInstance): void {
  const ofPages = helmetHeaders(name => OF_PAGES.has(name))
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(ofPages)
    done()
  })
}

function helmetHeaders(wanted: (name: string) => boolean): Record<string, string> {
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
  const headers = Object.entries(reply.getHeaders()).filter(([name]) => wanted(name))
  return Object.fromEntries(headers.map(([name, value]) => [name, String(value)]))
}
