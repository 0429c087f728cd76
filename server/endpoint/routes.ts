import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import { ProductError } from '../../common/errors.js'
import type { ClientAuthenticator } from './authenticate.js'
import { takeBasic } from './basic.js'
import { deliver } from './download.js'
import { takeFile } from './index.js'
import { receive, type Received } from './receive.js'
import { syncBack } from './syncback.js'
import { listOffers } from './update.js'

type Handler = (received: Received, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

const Failure = Type.Object({
  success: Type.Literal(false),
  message: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ file: Type.String(), message: Type.String() })))
})
const Told = Type.Object({ success: Type.Boolean(), message: Type.String() })
const FileErrors = Type.Array(Type.Object({ file: Type.String(), message: Type.String() }))
const REPLIES = {
  index: Told,
  update: Type.Object({
    success: Type.Boolean(),
    updates: Type.Array(Type.String()),
    restore: Type.Optional(Type.Array(Type.String())),
    whitelist: Type.Optional(Type.String()),
    commands: Type.Optional(
      Type.Array(
        Type.Object({
          id: Type.String(),
          type: Type.String(),
          params: Type.Record(Type.String(), Type.String())
        })
      )
    )
  }),
  syncback: Type.Object({
    success: Type.Boolean(),
    message: Type.String(),
    files: Type.Array(Type.String()),
    whole: Type.Optional(Type.Array(Type.String())),
    errors: Type.Optional(FileErrors)
  })
}

/** The four endpoints of sync-contract.md §3 and the alias `backsync.php`, below `<base>/endpoint`. */
export default async function endpoints(
  app: FastifyInstance,
  { authenticator }: { authenticator: ClientAuthenticator }
): Promise<void> {
  await takeBasic(app, authenticator)
  app.decorateRequest('arrived', 0)
  let arrivals = 0

  const endpoint = (
    name: string,
    fileFields: string[],
    reply200: Type.TSchema | undefined,
    handler: Handler
  ) => {
    app.post(`/${name}.php`, {
      schema: {
        querystring: Type.Object({ file: Type.Optional(Type.String({ maxLength: 512 })) }),
        response: { ...(reply200 === undefined ? {} : { 200: reply200 }), '4xx': Failure, '5xx': Failure }
      },
      // Basic counts as the client's own only with the client's UUID: a web server in front may use it for itself.
      onRequest: (request, reply, done) => {
        request.arrived = ++arrivals
        const meant =
          request.headers.authorization !== undefined && request.headers['x-client-uuid'] !== undefined
        if (meant) app.basicAuth(request, reply, done)
        else done()
      },
      handler: async (request, reply) => {
        const received = await receive(app, authenticator, request, fileFields)
        try {
          return await handler(received, request, reply)
        } finally {
          if (received.files.length > 0) await Promise.all(received.files.map(file => file.discard()))
        }
      }
    })
    app.route({
      method: ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'],
      url: `/${name}.php`,
      handler: async (_request, reply) => {
        reply.header('allow', 'POST')
        throw new ProductError('METHOD')
      }
    })
  }

  endpoint('index', ['file'], REPLIES.index, async received => ({
    success: true,
    message: await takeFile(app, received)
  }))
  const offerLists = listOffers(app)
  endpoint('update', [], REPLIES.update, async (received, request) => offerLists(received, request.ip))
  endpoint('download', [], undefined, async (received, request, reply) => {
    const { file } = request.query as { file?: string }
    return deliver(app, received, file, reply)
  })
  for (const name of ['syncback', 'backsync']) {
    endpoint(name, ['file[]', 'file'], REPLIES.syncback, async (received, _request, reply) => {
      const outcome = await syncBack(app, received)
      if (outcome.reply !== undefined) return outcome.reply
      const { message, status } = new ProductError('NO_VALID_FILES')
      return reply.code(status).send({ success: false, message, errors: outcome.errors })
    })
  }
}
