import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { ProductError } from '../../common/errors.js'
import { jailOfList, listOfJail, printable } from '../../common/names.js'
import { Blocklist } from '../../common/shapes.js'
import { knownServer } from './known-server.js'
import { FAILURES, JailText, ServerText } from './reply-shapes.js'
import { sendWholeFile } from './whole-file.js'

const OfList = Type.Object({ server: ServerText, jail: JailText }, { additionalProperties: false })
const ListReply = Type.Object({
  success: Type.Literal(true),
  server: Type.String(),
  jail: Type.String(),
  /** As they stand in the file: old ones may lack fields. */
  entries: Blocklist
})

/** GET /api/blocklists: one list. */
export function blocklistRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  app.get(
    '/blocklists',
    { schema: { querystring: OfList, response: { 200: ListReply, ...FAILURES } } },
    async (request, reply) => {
      const server = await knownServer(app.store, request.query.server)
      const list = listOfJail(request.query.jail)
      const file = await app.store.lists.read(server, list)
      if (file.version === '') {
        const jail = printable(request.query.jail)
        throw new ProductError('NOT_FOUND', `${server} has no blocklist of a jail ${jail}`)
      }
      return sendWholeFile(request, reply, file, { server, jail: jailOfList(list) }, 'entries')
    }
  )
}
