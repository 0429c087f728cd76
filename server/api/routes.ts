import type { FastifyInstance } from 'fastify'
import { requireUser } from './access.js'
import { addressRoutes } from './address.js'
import { auditRoutes } from './audit.js'
import { blockingRoutes } from './blocking.js'
import { blocklistRoutes } from './blocklists.js'
import { columnRoutes } from './columns.js'
import { nameError } from './error-names.js'
import { eventRoutes } from './events.js'
import type { ListCounts } from './list-counts.js'
import { liveRoute } from './live.js'
import { lookupRoutes } from './lookups.js'
import { refuseOtherOrigins, requireCsrfToken } from './same-origin.js'
import { serverRoutes } from './servers.js'
import { loginRoute, sessionRoutes } from './session.js'
import { settingRoutes } from './settings.js'
import { Summaries } from '../store/summaries.js'
import { statisticsRoutes } from './statistics.js'
import { warningRoutes } from './warnings.js'
import { Sessions } from './sessions.js'
import { whitelistRoutes } from './whitelist.js'

const READS = new Set(['GET', 'HEAD'])

/** The dashboard's JSON API, below `<base>/api`. Nothing but the log-in answers anybody who is not logged in. */
export default async function api(app: FastifyInstance, { counts }: { counts: ListCounts }): Promise<void> {
  // What remains is application/json: a form that another site's page could send is a 415.
  app.removeContentTypeParser(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'])
  app.decorateRequest('session', undefined)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    done()
  })
  app.addHook('onError', nameError)
  const sessions = new Sessions(app.store, app.clock, error =>
    app.log.error({ event: 'session_renewal_failed', err: error }, 'a session could not be renewed')
  )
  loginRoute(app, sessions)
  liveRoute(app, sessions)
  await app.register((scope, _options, done) => {
    scope.addHook('onRequest', requireUser(sessions))
    scope.addHook('onRequest', (request, _reply, passed) => {
      if (!READS.has(request.method)) {
        refuseOtherOrigins(request)
        requireCsrfToken(request)
      }
      passed()
    })
    sessionRoutes(scope, sessions)
    serverRoutes(scope, counts)
    blocklistRoutes(scope)
    blockingRoutes(scope)
    eventRoutes(scope)
    columnRoutes(scope)
    const summaries = new Summaries(app.store, app.reportConfig.warnings?.warning ?? Infinity)
    statisticsRoutes(scope, summaries)
    warningRoutes(scope, summaries)
    addressRoutes(scope, summaries)
    lookupRoutes(scope)
    settingRoutes(scope)
    whitelistRoutes(scope)
    auditRoutes(scope)
    done()
  })
}
