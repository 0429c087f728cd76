import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { address } from '../../common/address.js'
import { timeOf } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { jailOfList, listOfJail, type ServerName } from '../../common/names.js'
import { cursorOf, placeOf } from '../store/audit-read.js'
import { AuditActor, AuditRow } from '../store/audit-row.js'
import { requireAdmin } from './access.js'
import { knownServer } from './known-server.js'
import { FAILURES, JailText, ServerText } from './reply-shapes.js'

const MOST_ROWS = 1000
const USUAL_ROWS = 100

const AddressText = Type.String({ minLength: 1, maxLength: 100 })
const Paging = {
  since: Type.Optional(Type.String({ maxLength: 64 })),
  limit: Type.Optional(Type.String({ pattern: '^[1-9]\\d{0,3}$' })),
  cursor: Type.Optional(Type.String({ maxLength: 64 }))
}
const OfServer = Type.Object({ server: ServerText }, { additionalProperties: false })
const Wanted = Type.Object(
  { jail: Type.Optional(JailText), ip: Type.Optional(AddressText), ...Paging },
  { additionalProperties: false }
)
const WantedOfAll = Type.Object(
  { server: Type.Optional(ServerText), ...Paging },
  { additionalProperties: false }
)
const Page = {
  success: Type.Literal(true),
  /** Newest first. */
  rows: Type.Array(AuditRow),
  /** The cursor of the older rows; null when there are none. There may be some behind a page without rows. */
  next: Type.Union([Type.String(), Type.Null()]),
  /** Lines met that are no rows: torn by a crash, or by other hands. */
  unreadable: Type.Integer()
}

const Time = Type.Union([Type.String(), Type.Null()])
const Fields = Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])
const Actor = Type.Union([AuditActor, Type.Null()])
const HistoryReply = Type.Object({
  success: Type.Literal(true),
  server: Type.String(),
  jail: Type.String(),
  ip: Type.String(),
  /** Newest first. */
  history: Type.Array(
    Type.Object({
      what: AuditRow.properties.what,
      by: Actor,
      asked: Time,
      handedOut: Time,
      done: Time,
      doneBy: Actor,
      before: Fields,
      after: Fields
    })
  )
})

/** Names stand in these paths: a host may be called `example.sh`, which is no file that is asked for. */
const config = { namesInPath: true }

/**
 * What was done to blocklists, for everybody who is logged in (they see the lists as well):
 * GET /api/servers/:server/audit and GET /api/servers/:server/blocklists/:jail/history?ip=. What was done to
 * users and clients, for admins: GET /api/audit.
 */
export function auditRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const page = async (
    server: ServerName | undefined,
    query: Type.Static<typeof Wanted> & { server?: string }
  ) => {
    const filter = {
      jail: query.jail === undefined ? undefined : jailOfList(listOfJail(query.jail)),
      ip: query.ip === undefined ? undefined : address(query.ip),
      server: query.server,
      since: query.since === undefined ? undefined : sinceOf(query.since)
    }
    const limit = Math.min(Number(query.limit ?? USUAL_ROWS), MOST_ROWS)
    const from = query.cursor === undefined ? undefined : placeOf(query.cursor)
    const { rows, next, unreadable } = await app.store.trails.page(server, filter, limit, from)
    return { success: true as const, rows, next: next === undefined ? null : cursorOf(next), unreadable }
  }
  app.get(
    '/servers/:server/audit',
    {
      config,
      schema: {
        params: OfServer,
        querystring: Wanted,
        response: { 200: Type.Object({ ...Page, server: Type.String() }), ...FAILURES }
      }
    },
    async request => {
      const server = await knownServer(app.store, request.params.server)
      return { server, ...(await page(server, request.query)) }
    }
  )
  app.get(
    '/servers/:server/blocklists/:jail/history',
    {
      config,
      schema: {
        params: Type.Object({ server: ServerText, jail: JailText }, { additionalProperties: false }),
        querystring: Type.Object({ ip: AddressText }, { additionalProperties: false }),
        response: { 200: HistoryReply, ...FAILURES }
      }
    },
    async request => {
      const server = await knownServer(app.store, request.params.server)
      const jail = jailOfList(listOfJail(request.params.jail))
      const ip = address(request.query.ip)
      const history = await app.store.trails.history(server, jail, ip)
      return { success: true as const, server, jail, ip, history }
    }
  )
  app.get(
    '/audit',
    {
      onRequest: requireAdmin,
      schema: { querystring: WantedOfAll, response: { 200: Type.Object(Page), ...FAILURES } }
    },
    async request => page(undefined, request.query)
  )
}

function sinceOf(text: string): number {
  const time = timeOf(text)
  if (Number.isNaN(time)) throw new ProductError('BAD_INPUT', 'since is a time such as 2027-01-31T12:00:00Z')
  return time
}
