import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import { localDay } from '../../common/clock.js'
import { dayOfEventsFile, eventsFileOfDay } from '../../common/names.js'
import type { Summaries } from '../store/summaries.js'
import { isKnown } from './etag.js'
import { knownServer } from './known-server.js'
import { DayText, FAILURES, ServerText } from './reply-shapes.js'

const Asked = Type.Object(
  { server: Type.Optional(ServerText), day: Type.Optional(DayText) },
  { additionalProperties: false }
)
const Reply = Type.Object({
  success: Type.Literal(true),
  day: Type.String(),
  /** Null while warnings are switched off. */
  threshold: Type.Union([Type.Object({ warning: Type.Integer(), critical: Type.Integer() }), Type.Null()]),
  /** Latest minute first. */
  warnings: Type.Array(
    Type.Object({
      server: Type.String(),
      jail: Type.String(),
      /** `HH:MM` on the host's clock. */
      minute: Type.String(),
      level: Type.Union([Type.Literal('warning'), Type.Literal('critical')]),
      events: Type.Integer(),
      addresses: Type.Integer()
    })
  )
})

/** GET /api/warnings: the minutes of a day in which a jail banned too often (`threshold` of the configuration). */
export function warningRoutes(scope: FastifyInstance, summaries: Summaries): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  app.get(
    '/warnings',
    { schema: { querystring: Asked, response: { 200: Reply, ...FAILURES } } },
    async (request, reply) => sendWarnings(request, reply, summaries, request.query)
  )
}

async function sendWarnings(
  request: FastifyRequest,
  reply: FastifyReply,
  summaries: Summaries,
  asked: { server?: string; day?: string }
): Promise<FastifyReply> {
  const { store, clock, reportConfig } = request.server
  const servers =
    asked.server === undefined ? await store.hosts.names() : [await knownServer(store, asked.server)]
  const day = eventsFileOfDay(asked.day ?? localDay(clock()))
  const threshold = reportConfig.warnings ?? null
  const versions = await summaries.versions(servers.map(server => ({ server, day })))
  const mark = versions.map(one => `${one.server}:${one.version}`).join('\n')
  if (isKnown(request, reply, `${day}\n${JSON.stringify(threshold)}\n${servers.join()}\n${mark}`)) {
    return reply.code(304).send()
  }
  const { days } = await summaries.of(versions)
  const warnings = days
    .flatMap(({ server, summary }) =>
      summary.bursts.map(burst => ({
        server,
        ...burst,
        level: burst.events >= (threshold?.critical ?? Infinity) ? 'critical' : 'warning'
      }))
    )
    .sort((a, b) => (a.minute === b.minute ? b.events - a.events : a.minute < b.minute ? 1 : -1))
  return reply.send({ success: true, day: dayOfEventsFile(day), threshold, warnings })
}
