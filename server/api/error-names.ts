import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import { ProductError } from '../../common/errors.js'

/**
 * An onError hook that names the error in headers: the page has words of its own for these, in the reader's language;
 * the body's are for everybody else.
 */
export function nameError(
  _request: FastifyRequest,
  reply: FastifyReply,
  error: Error,
  done: HookHandlerDoneFunction
): void {
  if (error instanceof ProductError) {
    reply.header('x-error-code', error.code)
    reply.header('x-error-detail', encodeURIComponent((error.detail ?? '').toWellFormed().slice(0, 500)))
  }
  done()
}
