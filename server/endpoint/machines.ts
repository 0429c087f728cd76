import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { MOST_OUTPUT } from '../../common/commands.js'
import { ProductError } from '../../common/errors.js'
import { namesTag } from '../if-none-match.js'
import type { ClientAuthenticator } from './authenticate.js'
import { takeBasic } from './basic.js'
import { wakeRoutes, type WaitingHosts } from './wake.js'
import { WhitelistReport, whitelistState } from './whitelist-report.js'

const Failure = Type.Object({ success: Type.Literal(false), message: Type.String() })
const Report = Type.Object({
  whitelist: Type.Optional(WhitelistReport),
  commands: Type.Optional(
    Type.Array(
      Type.Object({
        id: Type.String({ maxLength: 120 }),
        state: Type.Union([Type.Literal('completed'), Type.Literal('failed')]),
        // A host may send more than is kept.
        output: Type.String({ maxLength: 4 * MOST_OUTPUT })
      }),
      { maxItems: 100 }
    )
  )
})
type Report = Type.Static<typeof Report>
const Done = Type.Object({ success: Type.Literal(true) })
const TEXT = 'text/plain; charset=utf-8'

/** What clients ask beyond the four endpoints, below `<base>/api/v1`, by HTTP Basic with X-Client-UUID. */
export default async function machines(
  app: FastifyInstance,
  { authenticator, waiting }: { authenticator: ClientAuthenticator; waiting: WaitingHosts }
): Promise<void> {
  await takeBasic(app, authenticator)
  wakeRoutes(app, waiting)
  app.get(
    '/whitelist/plain',
    {
      onRequest: app.basicAuth,
      schema: { response: { 200: Type.String(), 304: Type.Null(), '4xx': Failure, '5xx': Failure } },
      // Text goes out as it is.
      serializerCompiler: () => payload => String(payload)
    },
    async (request, reply) => {
      const server = request.basicEntry?.username
      if (server === undefined) throw new ProductError('AUTH_USER')
      const { text, hash } = await app.store.whitelist.plain(server)
      const etag = `"${hash}"`
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (namesTag(request.headers['if-none-match'], etag)) return reply.code(304).send()
      return reply.type(TEXT).send(text)
    }
  )
  app.post(
    '/report',
    {
      onRequest: app.basicAuth,
      schema: { body: Report, response: { 200: Done, '4xx': Failure, '5xx': Failure } }
    },
    async request => {
      const server = request.basicEntry?.username
      if (server === undefined) throw new ProductError('AUTH_USER')
      const { whitelist, commands } = request.body as Report
      if (whitelist !== undefined) {
        const state = whitelistState(whitelist, app.clock())
        await app.store.hosts.seen(server, { peer: request.ip, whitelist: state }, false)
        request.log.info({ event: 'whitelist_synced', server, ...state }, 'a host told of its whitelist')
      }
      if (commands !== undefined) {
        const ended = await app.store.commands.end(server, commands, request.ip)
        const late = commands.length - ended.length
        request.log.info(
          { event: 'commands_ended', server, ended, late },
          'a host told what came of commands'
        )
      }
      return { success: true as const }
    }
  )
}
