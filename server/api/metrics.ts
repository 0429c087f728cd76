import type { FastifyInstance } from 'fastify'
import { Gauge, Registry } from 'prom-client'
import * as Type from 'typebox'
import { timeOf } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { SharedLooks } from '../../common/shared-looks.js'
import type { Metrics } from '../metrics.js'
import { boundTo, requireKeyOrUser, requireRight } from './key-access.js'
import type { ListCounts } from './list-counts.js'
import { FAILURES } from './reply-shapes.js'
import { overviewOf, type ServerSummary } from './servers.js'
import { Sessions } from './sessions.js'

/** Jails of a host that are told apart; what further lists hold is summed up: their names are the host's own choice. */
const MOST_JAILS = 100
/** What Prometheus takes for a label that is not there. */
const FURTHER = ''

/**
 * GET <base>/metrics: how the server and every host do, in Prometheus' format. It names hosts and jails: for keys that
 * may read all hosts (`Authorization: Bearer`), and for users who are logged in.
 */
export default function metricsRoute(
  app: FastifyInstance,
  { counts }: { counts: ListCounts },
  done: () => void
): void {
  app.decorateRequest('session', undefined)
  app.decorateRequest('apiKey', undefined)
  const sessions = new Sessions(app.store, app.clock, error =>
    app.log.error({ event: 'session_renewal_failed', err: error }, 'a session could not be renewed')
  )
  const hosts = new HostFigures(app.metrics)
  const scrapes = new SharedLooks<string>()
  const scrape = async (): Promise<string> => {
    hosts.set(await overviewOf(app, counts), {
      time: app.clock(),
      setAside: await app.store.setAside(),
      browsers: app.live.browsers.size,
      waiting: app.live.hosts.size
    })
    return app.metrics.text()
  }
  app.get(
    '/metrics',
    {
      onRequest: requireKeyOrUser(sessions, app.clock),
      schema: { response: { 200: Type.String(), ...FAILURES } },
      // Text goes out as it is; refusals are the error handler's, which sends JSON.
      serializerCompiler: () => payload => (typeof payload === 'string' ? payload : JSON.stringify(payload))
    },
    async (request, reply) => {
      requireRight(request, 'read')
      if (boundTo(request) !== undefined) throw new ProductError('KEY_BOUND')
      const text = await scrapes.at('', scrape)
      return reply.header('cache-control', 'no-store').type(Registry.PROMETHEUS_CONTENT_TYPE).send(text)
    }
  )
  done()
}

/** What is known of every host, as gauges that are set anew at each scrape. */
class HostFigures {
  readonly #gauges: Gauge[] = []
  readonly #addresses = this.#gauge('addresses', 'Entries of the blocklists by state.', [
    'host',
    'jail',
    'state'
  ])
  readonly #pendingAge = this.#gauge(
    'oldest_pending_seconds',
    'Since when the longest-waiting change of a host is not in force there; 0 when none waits.',
    ['host']
  )
  readonly #lists = this.#gauge('lists', 'Blocklists by what the index says of them.', ['host', 'update'])
  readonly #inStep = this.#gauge(
    'host_in_step',
    '1 when the host has fetched and synced back all lists and has the whitelist.',
    ['host']
  )
  readonly #whitelist = this.#gauge(
    'host_whitelist_in_step',
    "1 when the host's copy of the whitelist is the present one; absent where it never told.",
    ['host']
  )
  readonly #seen = this.#gauge('host_last_seen_timestamp_seconds', 'When the host last asked.', ['host'])
  readonly #synced = this.#gauge(
    'host_last_sync_timestamp_seconds',
    'When the host last synced back, or had nothing to.',
    ['host']
  )
  readonly #skew = this.#gauge('host_clock_skew_seconds', "How far the host's clock is ahead.", ['host'])
  readonly #readable = this.#gauge('host_readable', "0 when the host's files can not be read.", ['host'])
  readonly #corrupt = this.#gauge('host_corrupt_files', 'Corrupt files set aside, of a host.', ['host'])
  readonly #archiveCorrupt = this.#gauge(
    'archive_corrupt_files',
    'Corrupt files set aside, at the top of the archive.',
    []
  )
  readonly #live = this.#gauge(
    'live_connections',
    'Live connections of this process: browsers that look on, hosts that wait to be told.',
    ['kind']
  )

  constructor(private readonly metrics: Metrics) {
    for (const gauge of this.#gauges) metrics.registry.registerMetric(gauge)
  }

  /** Sets all gauges at once: nobody sees half of them. */
  set(
    servers: readonly ServerSummary[],
    other: { time: number; setAside: readonly string[]; browsers: number; waiting: number }
  ): void {
    for (const gauge of this.#gauges) gauge.reset()
    for (const server of servers) this.#setHost(server, other.time)
    this.#archiveCorrupt.set(other.setAside.length)
    this.#live.set({ kind: 'browser' }, other.browsers)
    this.#live.set({ kind: 'host' }, other.waiting)
  }

  #setHost(
    { name: host, host: told, lists, setAside, whitelistInStep, problem }: ServerSummary,
    now: number
  ) {
    this.metrics.countFromZero(host)
    this.#readable.set({ host }, problem === undefined ? 1 : 0)
    // Of a host that can't be read nothing is known: zeros would look like peace.
    if (problem !== undefined) return
    const update = { waits: 0, 'handed-out': 0, 'in-sync': 0 }
    let pendingSince = now
    lists.forEach((list, at) => {
      update[list.update]++
      if (list.pendingSince !== undefined) pendingSince = Math.min(pendingSince, timeOf(list.pendingSince))
      const jail = at < MOST_JAILS ? list.jail : FURTHER
      this.#addresses.inc({ host, jail, state: 'active' }, list.active)
      this.#addresses.inc({ host, jail, state: 'pending_block' }, list.pendingBlock)
      this.#addresses.inc({ host, jail, state: 'pending_unblock' }, list.pendingUnblock)
    })
    this.#pendingAge.set({ host }, (now - pendingSince) / 1000)
    this.#lists.set({ host, update: 'waits' }, update.waits)
    this.#lists.set({ host, update: 'handed_out' }, update['handed-out'])
    this.#lists.set({ host, update: 'in_sync' }, update['in-sync'])
    const allInSync = update['in-sync'] === lists.length
    this.#inStep.set({ host }, allInSync && whitelistInStep !== false ? 1 : 0)
    if (whitelistInStep !== undefined) this.#whitelist.set({ host }, whitelistInStep ? 1 : 0)
    const times = [
      [this.#seen, told.lastSeen],
      [this.#synced, told.lastSync]
    ] as const
    for (const [gauge, text] of times) {
      const time = timeOf(text)
      if (!Number.isNaN(time)) gauge.set({ host }, time / 1000)
    }
    if (told.clockSkewMs !== undefined) this.#skew.set({ host }, told.clockSkewMs / 1000)
    this.#corrupt.set({ host }, setAside.length)
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    const gauge = new Gauge({ name: `fail2ban_report_${name}`, help, labelNames, registers: [] })
    this.#gauges.push(gauge)
    return gauge
  }
}
