import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import * as Type from 'typebox'
import type { Static } from 'typebox'
import { isoTime, localDay } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { jailOfList, type ServerName } from '../../common/names.js'
import { Host } from '../store/kinds.js'
import type { Store } from '../store/store.js'
import { stateOf } from '../store/update-index.js'
import { ListCounts } from './list-counts.js'
import { FAILURES } from './reply-shapes.js'

/** Servers looked at together: many at once would only queue for the disk and hold files open. */
const TOGETHER = 16

const ListSummary = Type.Object({
  jail: Type.String(),
  list: Type.String(),
  /** What update.json says: a change waits for the client, was handed out to it, or there is none. */
  update: Type.Union([Type.Literal('waits'), Type.Literal('handed-out'), Type.Literal('in-sync')]),
  active: Type.Integer(),
  pendingBlock: Type.Integer(),
  pendingUnblock: Type.Integer(),
  expired: Type.Integer(),
  inactive: Type.Integer()
})
const ServerSummary = Type.Object({
  name: Type.String(),
  host: Host,
  lists: Type.Array(ListSummary),
  /** Whether the host's copy of the whitelist is what holds for it now; absent when it never told. */
  whitelistInStep: Type.Optional(Type.Boolean()),
  /** Names of corrupt files that were moved out of the way. */
  setAside: Type.Array(Type.String()),
  /** Why this server's files could not be read. */
  problem: Type.Optional(Type.String())
})
type ServerSummary = Static<typeof ServerSummary>
const ServersReply = Type.Object({
  success: Type.Literal(true),
  /** The server's time: ages are told from it, whatever the browser's clock says. */
  time: Type.String(),
  /** This machine's day, `YYYYMMDD`: what "today" means. */
  today: Type.String(),
  servers: Type.Array(ServerSummary),
  /** Corrupt files at the top of the archive. */
  setAside: Type.Array(Type.String())
})

/** GET /api/servers: every server, when it was last heard of, and the state of its lists in numbers. */
export function serverRoutes(scope: FastifyInstance): void {
  const app = scope.withTypeProvider<TypeBoxTypeProvider>()
  const counts = new ListCounts(app.store.lists, app.clock)
  app.get('/servers', { schema: { response: { 200: ServersReply, ...FAILURES } } }, async request => ({
    success: true as const,
    time: isoTime(app.clock()),
    today: localDay(app.clock()),
    servers: await summaries(app.store, counts, error =>
      request.log.error({ event: 'request_failed', err: error }, "a server's files can't be read")
    ),
    setAside: await app.store.setAside()
  }))
}

async function summaries(
  store: Store,
  counts: ListCounts,
  failed: (error: ProductError) => void
): Promise<ServerSummary[]> {
  const names = await store.hosts.names()
  const found: ServerSummary[] = []
  for (let at = 0; at < names.length; at += TOGETHER) {
    const some = names.slice(at, at + TOGETHER).map(name =>
      summary(store, counts, name).catch((error: unknown): ServerSummary => {
        // One server's unreadable folder must not hide the others.
        if (!(error instanceof ProductError)) throw error
        failed(error)
        return { name, host: {}, lists: [], setAside: [], problem: error.message }
      })
    )
    found.push(...(await Promise.all(some)))
  }
  return found
}

async function summary(store: Store, counts: ListCounts, name: ServerName): Promise<ServerSummary> {
  const updates = await store.updates.of(name)
  const lists: ServerSummary['lists'] = []
  for (const list of await store.lists.names(name)) {
    const numbers = await counts.of(name, list)
    lists.push({ jail: jailOfList(list), list, update: stateOf(updates, list), ...numbers })
  }
  const host = await store.hosts.read(name)
  // A corrupt whitelist is told of where it lies; it hides no host.
  const hash = await store.whitelist.hash(name).catch(() => undefined)
  const told = host.whitelist !== undefined && hash !== undefined
  const inStep = told ? { whitelistInStep: host.whitelist?.hash === hash } : {}
  return { name, host, lists, ...inStep, setAside: await store.setAside(name) }
}
