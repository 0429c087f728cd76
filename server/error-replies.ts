import type { FastifyError, FastifyInstance } from 'fastify'
import { ProductError } from '../common/errors.js'

/** One shape for every error: `{"success": false, "message": …}`; 4xx tell, 5xx of unknown cause only log. */
export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | ProductError, request, reply) => {
    reply.header('cache-control', 'no-store')
    if (error instanceof ProductError) {
      const { status } = error
      if (status >= 500)
        request.log.error({ event: 'request_failed', code: error.code, err: error }, error.message)
      if (status === 503 || status === 429) reply.header('retry-after', '5')
      return reply.code(status).send({ success: false, message: error.message })
    }
    const status = error.statusCode ?? 500
    if (status >= 400 && status < 500) {
      return reply.code(status).send({ success: false, message: error.message })
    }
    request.log.error({ event: 'request_failed', err: error }, 'internal error')
    return reply.code(500).send({ success: false, message: 'Internal error. The server log says more.' })
  })
  app.setNotFoundHandler((_request, reply) =>
    reply.header('cache-control', 'no-store').code(404).send({ success: false, message: 'Not found.' })
  )
}
