import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import { dayOfEventsFile, eventsFileOfDay } from '../../common/names.js'
import { DayEvents } from '../../common/shapes.js'
import { knownServer } from './known-server.js'
import { DayText, FAILURES, ServerText } from './reply-shapes.js'
import { sendWholeFile } from './whole-file.js'

const OfServer = Type.Object({ server: ServerText }, { additionalProperties: false })
const OfDay = Type.Object({ server: ServerText, day: DayText }, { additionalProperties: false })
const DaysReply = Type.Object({
  success: Type.Literal(true),
  server: Type.String(),
  /** `YYYYMMDD`, oldest first. */
  days: Type.Array(Type.String())
})
const EventsReply = Type.Object({
  success: Type.Literal(true),
  server: Type.String(),
  day: Type.String(),
  events: DayEvents
})

/** GET /api/days: the days a server has events of. GET /api/events: one day's events, as logged; none is no error. */
export function eventRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  app.get(
    '/days',
    { schema: { querystring: OfServer, response: { 200: DaysReply, ...FAILURES } } },
    async request => {
      const server = await knownServer(app.store, request.query.server)
      const days = (await app.store.events.days(server)).map(dayOfEventsFile)
      return { success: true as const, server, days }
    }
  )
  app.get(
    '/events',
    { schema: { querystring: OfDay, response: { 200: EventsReply, ...FAILURES } } },
    async (request, reply) => {
      const server = await knownServer(app.store, request.query.server)
      const name = eventsFileOfDay(request.query.day)
      const file = await app.store.events.read(server, name)
      return sendWholeFile(request, reply, file, { server, day: dayOfEventsFile(name) }, 'events')
    }
  )
}
