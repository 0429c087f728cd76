import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Snapshot } from '../../common/json-file.js'
import { isKnown } from './etag.js'

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
  if (isKnown(request, reply, file.version)) return reply.code(304).send()
  const head = JSON.stringify({ success: true, ...about }).slice(0, -1)
  const rows = file.text === '' ? '[]' : file.text
  return reply.type('application/json; charset=utf-8').send(`${head},${JSON.stringify(member)}:${rows}}`)
}
