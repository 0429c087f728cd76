import Fastify, { type FastifyInstance } from 'fastify'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { Countries } from '../store/countries.js'
import type { ReportConfig } from '../store/report-config.js'
import type { Store } from '../store/store.js'
import { Summaries } from '../store/summaries.js'
import { blocklistRoutes } from './blocklists.js'
import { columnRoutes } from './columns.js'
import { eventRoutes } from './events.js'
import { ListCounts } from './list-counts.js'
import { serverRoutes } from './servers.js'
import { settingRoutes } from './settings.js'
import { statisticsRoutes } from './statistics.js'
import { warningRoutes } from './warnings.js'
import { whitelistRoutes } from './whitelist.js'

/** What the API would answer just now, without a server and without a log-in: what a static copy is made from. */
export interface Snapshot {
  /** @param path below `api/`, such as `days?server=web-1` @throws ProductError UNREADABLE when it is no 200 */
  answer(path: string): Promise<Record<string, unknown>>
  close(): Promise<void>
}

/** Answers reading requests from these files. Never listens: nobody but this process can ask. */
export async function snapshotOf(store: Store, reportConfig: ReportConfig, clock: Clock): Promise<Snapshot> {
  const app = Fastify() as unknown as FastifyInstance
  app.decorate('store', store)
  app.decorate('reportConfig', reportConfig)
  app.decorate('clock', clock)
  // Without a database: what it knows may not be given away.
  app.decorate('countries', new Countries('', clock, () => undefined))
  const summaries = new Summaries(store, reportConfig.warnings?.warning ?? Infinity)
  serverRoutes(app, new ListCounts(store.lists, clock))
  blocklistRoutes(app)
  eventRoutes(app)
  columnRoutes(app)
  statisticsRoutes(app, summaries)
  warningRoutes(app, summaries)
  settingRoutes(app)
  whitelistRoutes(app)
  await app.ready()
  return {
    answer: async path => {
      const { statusCode, body } = await app.inject({ method: 'GET', url: `/${path}` })
      if (statusCode === 200) return JSON.parse(body) as Record<string, unknown>
      const { message } = JSON.parse(body) as { message?: string }
      throw new ProductError('UNREADABLE', `${path}: ${message ?? statusCode}`)
    },
    close: () => app.close()
  }
}
