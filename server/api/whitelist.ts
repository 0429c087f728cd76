import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import { address } from '../../common/address.js'
import { Whitelist } from '../store/kinds.js'
import { readWhitelistText } from '../store/whitelist-text.js'
import type { WhitelistWish } from '../store/whitelist.js'
import { requireAdmin, sessionOf, userActor } from './access.js'
import { isKnown } from './etag.js'
import { endOf } from './expiry.js'
import { knownServers } from './known-server.js'
import { FAILURES, ServerText } from './reply-shapes.js'

const Ip = Type.String({ minLength: 1, maxLength: 100 })
const More = {
  expires: Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
  servers: Type.Optional(Type.Array(ServerText, { maxItems: 1000 }))
}
const Add = Type.Union([
  Type.Object(
    {
      ips: Type.Array(Ip, { minItems: 1, maxItems: 10_000 }),
      description: Type.Optional(Type.String({ maxLength: 500 })),
      ...More
    },
    { additionalProperties: false }
  ),
  // As `whitelist export` writes it: one address a line, behind a # its description.
  Type.Object({ text: Type.String({ maxLength: 2_000_000 }), ...More }, { additionalProperties: false })
])
const Remove = Type.Object(
  { ips: Type.Array(Ip, { minItems: 1, maxItems: 10_000 }) },
  { additionalProperties: false }
)
const Outcome = Type.Object({
  ip: Type.String(),
  outcome: Type.String(),
  /** Other entries around it or within it. */
  overlaps: Type.Array(Type.String())
})
const WhitelistReply = Type.Object({ success: Type.Literal(true), entries: Whitelist })
const AddReply = Type.Object({
  success: Type.Literal(true),
  outcomes: Type.Array(Outcome),
  /** Blocks that were ended by it. */
  lifted: Type.Array(Type.Object({ server: Type.String(), list: Type.String(), ip: Type.String() })),
  /** Lists that could not be changed now; it is done when their host next asks. */
  failed: Type.Array(Type.String())
})
const RemoveReply = Type.Object({ success: Type.Literal(true), outcomes: Type.Array(Outcome) })

/** GET /api/whitelist for everybody; POST /api/whitelist and /api/whitelist/remove for admins. */
export function whitelistRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const { whitelist } = app.store
  app.get(
    '/whitelist',
    { schema: { response: { 200: WhitelistReply, ...FAILURES } } },
    async (request, reply) => sendWhitelist(request, reply)
  )
  app.post(
    '/whitelist',
    { onRequest: requireAdmin, schema: { body: Add, response: { 200: AddReply, ...FAILURES } } },
    async request => {
      const { body } = request
      const servers = (await knownServers(app.store, body.servers ?? [])).sort()
      const expires = endOf(body.expires ?? null, app.clock())
      const wishes: WhitelistWish[] =
        'text' in body
          ? readWhitelistText(body.text).map(line => ({
              ...line,
              ...(body.expires === undefined ? {} : { expires }),
              ...(body.servers === undefined ? {} : { servers })
            }))
          : [...new Set(body.ips.map(text => address(text.trim())))].map(ip => ({
              ip,
              description: body.description ?? '',
              expires,
              servers
            }))
      // Hosts that the text names, too.
      await knownServers(app.store, [...new Set(wishes.flatMap(wish => wish.servers ?? []))])
      const { outcomes, lifted, failed } = await whitelist.add(wishes, userActor(request))
      note(request, 'whitelist_add', { entries: outcomes.length, lifted: lifted.length })
      return { success: true as const, outcomes, lifted, failed }
    }
  )
  app.post(
    '/whitelist/remove',
    { onRequest: requireAdmin, schema: { body: Remove, response: { 200: RemoveReply, ...FAILURES } } },
    async request => {
      const outcomes = await whitelist.remove(
        request.body.ips.map(text => address(text.trim())),
        userActor(request)
      )
      note(request, 'whitelist_remove', { entries: outcomes.length })
      return { success: true as const, outcomes }
    }
  )
}

async function sendWhitelist(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { entries, version } = await request.server.store.whitelist.read()
  if (isKnown(request, reply, `whitelist ${version}`)) return reply.code(304).send()
  return reply.send({ success: true, entries })
}

function note(request: FastifyRequest, event: string, counts: Record<string, number>): void {
  const { user } = sessionOf(request)
  request.log.info({ event, user, peer: request.ip, ...counts }, 'the whitelist was to be changed')
}
