import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import type { Address } from '../../common/address.js'
import { isoTime, localDay } from '../../common/clock.js'
import { eventsFileOfDay, type ServerName } from '../../common/names.js'
import type { Store } from '../store/store.js'
import type { Summaries } from '../store/summaries.js'
import { isKnown } from './etag.js'
import { knownServer } from './known-server.js'
import { FAILURES, ServerText } from './reply-shapes.js'
import { statisticsOf } from './statistics-sums.js'

const Asked = Type.Object(
  {
    server: Type.Optional(ServerText),
    /** `8` reads no further back than the mean of 7 days needs: the rest of the reply then lacks older days. */
    days: Type.Optional(Type.Union([Type.Literal('8'), Type.Literal('30')]))
  },
  { additionalProperties: false }
)
const Numbers = Type.Object({
  bans: Type.Integer(),
  unbans: Type.Integer(),
  /** Different addresses that were banned. */
  addresses: Type.Integer()
})
const Jails = Type.Array(Type.Object({ jail: Type.String(), bans: Type.Integer(), unbans: Type.Integer() }))
const Top = Type.Array(
  Type.Object({
    ip: Type.String(),
    bans: Type.Integer(),
    servers: Type.Integer(),
    days: Type.Integer(),
    /** ISO 3166-1 alpha-2 */ country: Type.Union([Type.String(), Type.Null()])
  })
)
/** Periods end with today; `today` is the server's own day, events are told by their hosts' clocks. */
const Periods = Type.Object({ today: Numbers, yesterday: Numbers, days7: Numbers, days30: Numbers })
export const Statistics = Type.Object({
  success: Type.Literal(true),
  time: Type.String(),
  today: Type.String(),
  /** The hour that is running on this machine's clock: where the last 24 hours end. */
  hour: Type.Integer(),
  periods: Periods,
  /** Bans a day on average over the 7 days before today that have a file. */
  mean7: Type.Number(),
  jails: Type.Object({ today: Jails, days7: Jails, days30: Jails }),
  top: Type.Object({ today: Top, days7: Top, days30: Top }),
  /** The last 30 days, oldest first; `hours` are bans by hour. */
  days: Type.Array(
    Type.Object({
      day: Type.String(),
      bans: Type.Integer(),
      unbans: Type.Integer(),
      increases: Type.Integer(),
      hours: Type.Array(Type.Integer())
    })
  ),
  servers: Type.Array(
    Type.Object({
      server: Type.String(),
      today: Type.Integer(),
      yesterday: Type.Integer(),
      mean7: Type.Number(),
      /** Minutes of today that reached the thresholds. */
      warnings: Type.Integer(),
      critical: Type.Integer(),
      /** Bans by hour of yesterday and today, 48 numbers. */
      hours: Type.Array(Type.Integer())
    })
  )
})
export type Statistics = Static<typeof Statistics>

/** Days that statistics look back on. */
export const DAYS = 30

/** GET /api/statistics: numbers of one server, or of all. */
export function statisticsRoutes(scope: FastifyInstance, summaries: Summaries): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const kept: Kept = new Map()
  app.get(
    '/statistics',
    { schema: { querystring: Asked, response: { 200: Statistics, ...FAILURES } } },
    async (request, reply) => sendStatistics(request, reply, summaries, kept, request.query)
  )
  sumUpBeforehand(scope, summaries)
}

/** The last reply of each question, and what it was made from. */
type Kept = Map<string, { mark: string; body: string }>

/** A day that is over is summed up soon, and kept for the next process. */
const AGAIN_MS = 6 * 60 * 60_000

/** The first to look after a start need not wait for a month to be read: it is read while nobody looks. */
function sumUpBeforehand(app: FastifyInstance, summaries: Summaries): void {
  let closed = false
  let running = Promise.resolve()
  const run = async () => {
    for (const server of await app.store.hosts.names()) {
      if (closed) return
      // One host's bad file is no other's.
      await sumUp(server).catch((error: unknown) =>
        app.log.warn({ event: 'sums_failed', server, err: error }, 'days could not be summed up beforehand')
      )
    }
  }
  const sumUp = async (server: ServerName) => {
    const found = await versionsOf(app.store, summaries, [server], app.clock())
    // What is looked at first comes first.
    found.reverse()
    for (const one of found) {
      if (closed) return
      await summaries.of([one])
    }
    await summaries.keep(
      server,
      found.map(one => one.day)
    )
  }
  const start = () => {
    running = running.then(run).catch((error: unknown) => {
      app.log.warn({ event: 'sums_failed', err: error }, 'hosts could not be listed to sum up their days')
    })
  }
  let timer: NodeJS.Timeout | undefined
  // Not where nobody listens: a static copy is made without writing to the archive.
  app.addHook('onListen', done => {
    start()
    timer = setInterval(start, AGAIN_MS).unref()
    done()
  })
  app.addHook('onClose', async () => {
    closed = true
    clearInterval(timer)
    await running
  })
}

async function sendStatistics(
  request: FastifyRequest,
  reply: FastifyReply,
  summaries: Summaries,
  kept: Kept,
  asked: Static<typeof Asked>
): Promise<FastifyReply> {
  const { server: wanted } = asked
  const back = Number(asked.days ?? DAYS)
  const { store, clock, reportConfig, countries } = request.server
  await countries.refresh()
  const now = clock()
  const servers = wanted === undefined ? await store.hosts.names() : [await knownServer(store, wanted)]
  const versions = await versionsOf(store, summaries, servers, now, back)
  const mark = versions.map(one => `${one.server}/${one.day}:${one.version}`).join('\n')
  const hour = new Date(now).getHours()
  const key = `${back} ${wanted ?? ''}`
  const made = `${localDay(now)} ${hour}\n${key}\n${servers.join()}\n${countries.version}\n${mark}`
  if (isKnown(request, reply, made)) return reply.code(304).send()
  reply.type('application/json; charset=utf-8')
  const known = kept.get(key)
  if (known?.mark === made) return reply.send(known.body)
  const summed = await summaries.of(versions)
  const days = Array.from({ length: DAYS }, (_, ago) => localDay(now, DAYS - 1 - ago))
  const body = reply.serialize({
    success: true,
    time: isoTime(now),
    hour,
    ...statisticsOf(summed, servers, days, reportConfig.warnings?.critical, ip => countries.of(ip as Address))
  }) as string
  kept.set(key, { mark: made, body })
  return reply.send(body)
}

/** The versions of the last days of some servers. */
async function versionsOf(
  store: Store,
  summaries: Summaries,
  servers: readonly ServerName[],
  now: number,
  back = DAYS
) {
  const oldest = localDay(now, back - 1)
  const newest = localDay(now)
  const wanted = await Promise.all(
    servers.map(async server => {
      const days = await store.events.days(server)
      const inside = days.filter(day => day >= eventsFileOfDay(oldest) && day <= eventsFileOfDay(newest))
      return inside.map(day => ({ server, day }))
    })
  )
  return summaries.versions(wanted.flat())
}
