import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { ProductError } from '../../common/errors.js'
import { namesTag } from '../if-none-match.js'
import type { ClientAuthenticator } from './authenticate.js'
import { takeBasic } from './basic.js'
import { wakeRoute, type WaitingHosts } from './wake.js'

const Failure = Type.Object({ success: Type.Literal(false), message: Type.String() })
const TEXT = 'text/plain; charset=utf-8'

/** What clients ask beyond the four endpoints, below `<base>/api/v1`, by HTTP Basic with X-Client-UUID. */
export default async function machines(
  app: FastifyInstance,
  { authenticator, waiting }: { authenticator: ClientAuthenticator; waiting: WaitingHosts }
): Promise<void> {
  await takeBasic(app, authenticator)
  wakeRoute(app, waiting)
  app.get(
    '/whitelist/plain',
    {
      onRequest: app.basicAuth,
      schema: { response: { 200: Type.String(), 304: Type.Null(), '4xx': Failure, '5xx': Failure } },
      // Text goes out as it is.
      serializerCompiler: () => payload => String(payload)
    },
    async (request, reply) => {
      const server = request.basicClient
      if (server === undefined) throw new ProductError('AUTH_USER')
      const { text, hash } = await app.store.whitelist.plain(server)
      const etag = `"${hash}"`
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (namesTag(request.headers['if-none-match'], etag)) return reply.code(304).send()
      return reply.type(TEXT).send(text)
    }
  )
}
