import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { dayOfEventsFile, eventsFileOfDay, type EventsFileName, type ServerName } from '../../common/names.js'
import { EVENT_ACTIONS, type BanEvent } from '../../common/shapes.js'
import { isKnown } from './etag.js'
import { knownServer } from './known-server.js'
import { DayText, FAILURES, ServerText } from './reply-shapes.js'

const compress = promisify(gzip)
/** Compressed days kept in memory. */
const KEPT_BYTES = 48 * 1024 * 1024

const OfDay = Type.Object({ server: ServerText, day: DayText }, { additionalProperties: false })

/** A day's events by column: half the bytes of rows, and read in half the time. All columns are of one length. */
export const Columns = Type.Object({
  success: Type.Literal(true),
  server: Type.String(),
  /** `YYYYMMDD`. */
  day: Type.String(),
  /** Milliseconds since the day's midnight on the host's clock, each less the one before it. */
  time: Type.Array(Type.Integer()),
  /** Index into `actions`, `ips`, `jails`. */
  action: Type.Array(Type.Integer()),
  ip: Type.Array(Type.Integer()),
  jail: Type.Array(Type.Integer()),
  actions: Type.Array(Type.String()),
  ips: Type.Array(Type.String()),
  jails: Type.Array(Type.String())
})
type Columns = Static<typeof Columns>

/** GET /api/columns: one day's events by column, compressed once per version of the file. */
export function columnRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const kept = new Kept()
  app.get(
    '/columns',
    { schema: { querystring: OfDay, response: { 200: Columns, ...FAILURES } } },
    async (request, reply) => {
      const server = await knownServer(app.store, request.query.server)
      return sendColumns(request, reply, kept, server, eventsFileOfDay(request.query.day))
    }
  )
}

async function sendColumns(
  request: FastifyRequest,
  reply: FastifyReply,
  kept: Kept,
  server: ServerName,
  name: EventsFileName
): Promise<FastifyReply> {
  const { events } = request.server.store
  const version = await events.version(server, name)
  if (isKnown(request, reply, version)) return reply.code(304).send()
  reply.header('vary', 'accept-encoding').type('application/json; charset=utf-8')
  const make = async () => {
    const { value } = await events.read(server, name)
    return JSON.stringify(columnsOf(server, dayOfEventsFile(name), value))
  }
  if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(await make())
  const body = await kept.of(`${server}/${name}`, version, async () => compress(await make(), { level: 4 }))
  return reply.header('content-encoding', 'gzip').send(body)
}

/** Turns rows into columns. @param day `YYYYMMDD` */
export function columnsOf(server: string, day: string, events: readonly BanEvent[]): Columns {
  const midnight = Date.UTC(+day.slice(0, 4), +day.slice(4, 6) - 1, +day.slice(6, 8))
  const ips = new Map<string, number>()
  const jails = new Map<string, number>()
  const columns: Pick<Columns, 'time' | 'action' | 'ip' | 'jail'> = { time: [], action: [], ip: [], jail: [] }
  let last = 0
  for (const event of events) {
    const time = millisecondsOf(event.timestamp) - midnight
    columns.time.push(time - last)
    last = time
    columns.action.push(EVENT_ACTIONS.indexOf(event.action))
    columns.ip.push(indexIn(ips, event.ip))
    columns.jail.push(indexIn(jails, event.jail))
  }
  const dictionaries = { actions: [...EVENT_ACTIONS], ips: [...ips.keys()], jails: [...jails.keys()] }
  return { success: true, server, day, ...columns, ...dictionaries }
}

/** The clock face as a number; `YYYY-MM-DD HH:MM:SS,mmm`, whatever the host's zone. */
function millisecondsOf(stamp: string): number {
  const at = (from: number, to: number) => Number(stamp.slice(from, to))
  return Date.UTC(at(0, 4), at(5, 7) - 1, at(8, 10), at(11, 13), at(14, 16), at(17, 19), at(20, 23))
}

function indexIn(dictionary: Map<string, number>, text: string): number {
  const known = dictionary.get(text)
  if (known !== undefined) return known
  dictionary.set(text, dictionary.size)
  return dictionary.size - 1
}

/** Compressed replies by file version; the ones longest unused go first. */
class Kept {
  readonly #kept = new Map<string, { version: string; body: Promise<Buffer>; bytes: number }>()
  #bytes = 0

  async of(key: string, version: string, make: () => Promise<Buffer>): Promise<Buffer> {
    const known = this.#kept.get(key)
    this.#drop(key)
    const one = known?.version === version ? known : { version, body: make(), bytes: 0 }
    this.#kept.set(key, one)
    this.#bytes += one.bytes
    try {
      const body = await one.body
      // Another request may have taken its place, or have counted it.
      if (one.bytes === 0 && this.#kept.get(key) === one) this.#bytes += one.bytes = body.length
      for (const oldest of this.#kept.keys()) if (this.#bytes > KEPT_BYTES) this.#drop(oldest)
      return body
    } catch (error) {
      if (this.#kept.get(key) === one) this.#drop(key)
      throw error
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }
}
