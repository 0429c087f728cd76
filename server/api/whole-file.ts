import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Snapshot } from '../../common/json-file.js'
import { ownVersion } from '../../common/version.js'
import { namesTag } from '../if-none-match.js'

const product = ownVersion()

/**
 * Replies with a data file as one member of an object, or with 304 when the browser has this version of it. The
 * file's text is passed on as it is (the store has checked it): 100,000 rows cost no second serialising.
 * @param about the other members
 * @param member the name under which the file's array comes
 */
export function sendWholeFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: Snapshot<unknown[]>,
  about: Record<string, unknown>,
  member: string
): FastifyReply {
  const etag = etagOf(file.version)
  reply.header('etag', etag)
  // Kept by the browser, and asked about each time: whoever has logged out gets a 401 instead.
  reply.header('cache-control', 'private, no-cache')
  if (namesTag(request.headers['if-none-match'], etag)) return reply.code(304).send()
  const head = JSON.stringify({ success: true, ...about }).slice(0, -1)
  const rows = file.text === '' ? '[]' : file.text
  return reply.type('application/json; charset=utf-8').send(`${head},${JSON.stringify(member)}:${rows}}`)
}

/** The product's version is part of it: a new release may shape the reply otherwise. */
function etagOf(version: string): string {
  return `"${createHash('sha256').update(`${product}\n${version}`).digest('base64url').slice(0, 27)}"`
}
