import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ownVersion } from '../../common/package-root.js'
import { namesTag } from '../if-none-match.js'

const product = ownVersion()

/**
 * Names the version of a reply, and tells whether the browser has it already: then reply with 304 and nothing.
 * @param version changes whenever the reply's content would
 */
export function isKnown(request: FastifyRequest, reply: FastifyReply, version: string): boolean {
  const etag = etagOf(version)
  reply.header('etag', etag)
  // Kept by the browser, and asked about each time: whoever has logged out gets a 401 instead.
  reply.header('cache-control', 'private, no-cache')
  return namesTag(request.headers['if-none-match'], etag)
}

/** The product's version is part of it: a new release may shape the reply otherwise. */
function etagOf(version: string): string {
  return `"${createHash('sha256').update(`${product}\n${version}`).digest('base64url').slice(0, 27)}"`
}
