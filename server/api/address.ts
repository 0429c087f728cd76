import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { address, parseAddress, rangeOf, type Address } from '../../common/address.js'
import { localDay } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { eventsFileOfDay, jailOfList } from '../../common/names.js'
import { BlocklistEntry } from '../../common/shapes.js'
import { bansOn } from '../store/day-summary.js'
import { Whitelist } from '../store/kinds.js'
import type { Store } from '../store/store.js'
import type { Summaries } from '../store/summaries.js'
import { FAILURES } from './reply-shapes.js'
import { DAYS } from './statistics.js'

/** Events told of; the newest. */
const MOST_EVENTS = 1000

const Asked = Type.Object(
  { ip: Type.String({ minLength: 1, maxLength: 100 }) },
  { additionalProperties: false }
)
const Reply = Type.Object({
  success: Type.Literal(true),
  /** In this product's one spelling. */
  ip: Type.String(),
  /** ISO 3166-1 alpha-2; null where it is not known, or no database is set. */
  country: Type.Union([Type.String(), Type.Null()]),
  /** All events of the last 30 days, and those of them that are told of, newest first. */
  total: Type.Integer(),
  events: Type.Array(
    Type.Object({
      server: Type.String(),
      timestamp: Type.String(),
      action: Type.String(),
      jail: Type.String()
    })
  ),
  /** Entries of blocklists that have this address, or a network around it or within it. */
  entries: Type.Array(Type.Object({ server: Type.String(), jail: Type.String(), entry: BlocklistEntry })),
  /** Entries of the whitelist that do, expired ones too; null while the whitelist can't be read. */
  whitelist: Type.Union([Whitelist, Type.Null()])
})
type Reply = Static<typeof Reply>

/** GET /api/address: what all servers' files say of one address or network. */
export function addressRoutes(scope: FastifyInstance, summaries: Summaries): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  app.get(
    '/address',
    { schema: { querystring: Asked, response: { 200: Reply, ...FAILURES } } },
    async (request): Promise<Reply> => {
      const ip = address(request.query.ip.trim())
      await app.countries.refresh()
      const events = await eventsOf(app.store, summaries, ip, app.clock())
      return {
        success: true,
        ip,
        country: app.countries.of(ip),
        total: events.length,
        events: events.slice(0, MOST_EVENTS),
        entries: await entriesOf(app.store, ip),
        whitelist: await whitelistOf(app.store, ip)
      }
    }
  )
}

async function whitelistOf(store: Store, ip: Address): Promise<Reply['whitelist']> {
  try {
    const { entries } = await store.whitelist.read()
    const meets = meeting(ip)
    return entries.filter(entry => meets(entry.ip))
  } catch (error) {
    // Everything else that is known of the address is told all the same; /api/whitelist says what is wrong.
    if (error instanceof ProductError && error.code === 'FILE_CORRUPT') return null
    throw error
  }
}

/** Reads only the days whose summary knows the address. */
async function eventsOf(
  store: Store,
  summaries: Summaries,
  ip: Address,
  now: number
): Promise<Reply['events']> {
  const oldest = eventsFileOfDay(localDay(now, DAYS - 1))
  const days = []
  for (const server of await store.hosts.names()) {
    for (const day of await store.events.days(server)) if (day >= oldest) days.push({ server, day })
  }
  const summed = await summaries.of(await summaries.versions(days))
  const id = summed.book.find(ip)
  if (id === undefined) return []
  const found: Reply['events'] = []
  for (const { server, day, summary } of summed.days) {
    if (bansOn(summary, id) === undefined) continue
    const { value } = await store.events.readOnce(server, day)
    for (const { timestamp, action, jail, ip: of } of value) {
      if (of === ip) found.push({ server, timestamp, action, jail })
    }
  }
  return found.sort((a, b) => (a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : 0))
}

async function entriesOf(store: Store, ip: Address): Promise<Reply['entries']> {
  const found: Reply['entries'] = []
  const meets = meeting(ip)
  for (const server of await store.hosts.names()) {
    for (const list of await store.lists.names(server)) {
      const { value } = await store.lists.read(server, list)
      for (const entry of value) {
        if (meets(entry.ip)) found.push({ server, jail: jailOfList(list), entry })
      }
    }
  }
  return found
}

/** Tells of an address or network whether it has one in common with `ip`. */
function meeting(ip: Address): (text: string) => boolean {
  const wanted = rangeOf(ip)
  const single = wanted.first === wanted.last && wanted.family === 4
  return text => {
    if (text === ip) return true
    // Most entries are single addresses: of those only the very same one meets a single address.
    if (single && !text.includes('/')) return false
    const parsed = parseAddress(text)
    if (parsed === undefined) return false
    const range = rangeOf(parsed)
    return range.family === wanted.family && range.first <= wanted.last && range.last >= wanted.first
  }
}
