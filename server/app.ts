import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import fastifyStatic from '@fastify/static'
import Fastify, { LogController, type FastifyInstance, type FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import { builtPages } from '../common/package-root.js'
import { FailedAttempts } from '../common/attempts.js'
import type { Clock } from '../common/clock.js'
import commandRoutes from './api/commands.js'
import { ListCounts } from './api/list-counts.js'
import metricsRoute from './api/metrics.js'
import api from './api/routes.js'
import type { ServerConfig } from './config.js'
import { ClientAuthenticator } from './endpoint/authenticate.js'
import callbacks from './endpoint/callbacks.js'
import machines from './endpoint/machines.js'
import endpoints from './endpoint/routes.js'
import { decodable, refuseDataFiles } from './data-files.js'
import { handleErrors } from './error-replies.js'
import { dashboardGate, onlyFrom } from './gate.js'
import type { LogLines } from './live/log-lines.js'
import { Metrics } from './metrics.js'
import { addLive, liveFileChanged } from './live/plugin.js'
import { takeMultipartForms } from './multipart-forms.js'
import { Countries } from './store/countries.js'
import { readReportConfig, type ReportConfig } from './store/report-config.js'
import { Store } from './store/store.js'
import { RequestHooks } from './request-hooks.js'
import { RequestLog } from './request-log.js'
import { addPageHeaders, addSecurityHeaders } from './security-headers.js'
import { refuseAmbiguous } from './strict-http.js'
import { Tls, type ServerTimes } from './tls.js'
import { watchFolders } from './store/watch.js'

export interface AppDependencies {
  clock?: Clock
  logger: Logger
  /** Where the built dashboard lies; the build's own folder by default. */
  publicFolder?: string
  /** The logger's lines, for admins who watch them. */
  logLines?: LogLines
  /** Milliseconds between looks at the live connections; a heartbeat goes out at every thirtieth. */
  liveTick?: number
}

declare module 'fastify' {
  interface FastifyInstance {
    store: Store
    config: ServerConfig
    reportConfig: ReportConfig
    countries: Countries
    clock: Clock
  }
}

const HOUSEKEEPING_MS = 30_000
/** To look through the folders of 1,000 hosts every time took a third of what their polls took. */
const HOSTS_A_TURN = 100
/** Milliseconds. The largest upload over a slow line; whoever falls silent is cut off much earlier. */
const TIMES: ServerTimes = { requestTimeout: 600_000, connectionTimeout: 150_000, keepAliveTimeout: 72_000 }
/** Whoever sends headers drop by drop is cut off. */
const HTTP = { headersTimeout: 15_000, connectionsCheckingInterval: 5_000, maxHeaderSize: 16 * 1024 }
/** Failed authentications of clients, per address. */
const FAILURES_PER_ADDRESS = 20
const FAILURE_WINDOW_MS = 60_000

/**
 * The whole server as a Fastify app that doesn't listen: what `main.ts` starts and tests `inject` into.
 * Its folders must exist (`prepareFolders`). Closing it waits for what is in flight.
 */
export async function buildApp(
  config: ServerConfig,
  dependencies: AppDependencies
): Promise<FastifyInstance> {
  const clock = dependencies.clock ?? Date.now
  const { logger } = dependencies
  const { tlsCert, tlsKey } = config
  const tls = tlsCert === '' && tlsKey === '' ? undefined : await Tls.open(tlsCert, tlsKey, logger)
  const app = Fastify({
    loggerInstance: logger,
    trustProxy: config.trustProxy.length === 0 ? false : config.trustProxy,
    bodyLimit: 4 * 1024 * 1024,
    ...TIMES,
    forceCloseConnections: 'idle',
    // `https` is for the addresses that Fastify tells of.
    ...(tls === undefined ? { http: HTTP } : { https: {}, serverFactory: tls.factory(HTTP, TIMES) }),
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent, bindings, options) => new RequestLog(parent, bindings, options),
    rewriteUrl: request => decodable(request.url ?? '/'),
    frameworkErrors: (_error, _request, reply) =>
      void (reply as FastifyReply).code(404).send({ success: false, message: 'Not found.' }),
    routerOptions: { maxParamLength: 300 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } }
  }) as unknown as FastifyInstance
  const metrics = new Metrics()
  const store = new Store({
    folders: config.folders,
    clock,
    widest: config.widest,
    onLock: wait => metrics.lockWaited(store.paths.useOf(wait.path), wait),
    onEvents: (server, events) => metrics.eventsReceived(server, events),
    onSetAside: event => logger.error({ event: 'file_set_aside', ...event }, 'a corrupt file was set aside'),
    onAuditDelayed: error =>
      logger.error({ event: 'audit_delayed', err: error }, 'audit rows wait to be written'),
    onLiveFailed: error =>
      logger.warn({ event: 'live_failed', err: error }, 'a change was made that nobody is told of live')
  })
  app.decorate('store', store)
  app.decorate('config', config)
  app.decorate('reportConfig', await readReportConfig(config.folders.settings))
  app.decorate('clock', clock)
  app.decorate('metrics', metrics)
  const hooks = new RequestHooks(app)
  metrics.measure(app, hooks)
  const countries = new Countries(config.geoip, clock, error =>
    logger.error({ event: 'geoip_failed', err: error }, 'the new database of countries can not be read')
  )
  await countries.open()
  app.decorate('countries', countries)
  handleErrors(app)
  endConnectionsOnClose(app, hooks)
  addSecurityHeaders(hooks)
  refuseAmbiguous(hooks)
  refuseDataFiles(hooks)
  addLive(app, hooks, dependencies.logLines, dependencies.liveTick)
  // update.php's `have` names up to 2,000 lists with their hashes.
  await app.register(formbody, { bodyLimit: 512 * 1024 })
  takeMultipartForms(hooks, config.uploadBytes)
  if (config.basePath !== '/') redirectToFolder(app, config.basePath)
  await app.register(
    async scope => {
      scope.get('/healthz', { logLevel: 'warn' }, async () => {
        await store.checkFolders()
        return { status: 'ok' }
      })
      // One for all: what it remembers and counts holds wherever a client comes in.
      const attempts = new FailedAttempts(clock, FAILURES_PER_ADDRESS, FAILURE_WINDOW_MS)
      // Apart: what fail2ban sends with a stale secret must not keep its host from syncing.
      const callbackAttempts = new FailedAttempts(clock, FAILURES_PER_ADDRESS, FAILURE_WINDOW_MS)
      const authenticator = new ClientAuthenticator(store, attempts, callbackAttempts, clock)
      await scope.register(async hosts => {
        const { allowEndpoints } = config
        if (allowEndpoints !== undefined) hosts.addHook('onRequest', onlyFrom(allowEndpoints))
        await hosts.register(endpoints, { prefix: '/endpoint', authenticator })
        await hosts.register(machines, { prefix: '/api/v1', authenticator, waiting: app.live.hosts })
        await hosts.register(callbacks, { prefix: '/api', authenticator })
      })
      await scope.register(async dashboard => {
        addPageHeaders(dashboard)
        await dashboard.register(cookie)
        const gate = await dashboardGate(dashboard)
        const counts = new ListCounts(store.lists, clock)
        await dashboard.register(async programs => {
          programs.addHook('onRequest', gate.programs)
          await programs.register(commandRoutes, { prefix: '/api/v1' })
          await programs.register(metricsRoute, { counts })
        })
        await dashboard.register(async people => {
          people.addHook('onRequest', gate.people)
          await people.register(api, { prefix: '/api', counts })
          await people.register(fastifyStatic, {
            root: dependencies.publicFolder ?? builtPages(),
            dotfiles: 'deny',
            redirect: true,
            index: 'index.html'
          })
        })
      })
    },
    { prefix: config.basePath === '/' ? '' : config.basePath }
  )
  runHousekeeping(app, logger)
  if (tls !== undefined) {
    app.addHook('onListen', done => {
      tls.watch()
      done()
    })
    app.addHook('onClose', () => Promise.resolve(tls.stop()))
  }
  return app
}

/** The page's own paths are relative: without the slash at its end they would lead beside it. */
function redirectToFolder(app: FastifyInstance, basePath: string): void {
  app.get(basePath, async (request, reply) =>
    reply.redirect(`${basePath}/${request.url.slice(basePath.length)}`, 301)
  )
}

// A connection that was busy when the server was told to stop would be kept alive after its reply, and the server
// would wait for a client that has no more to say.
function endConnectionsOnClose(app: FastifyInstance, hooks: RequestHooks): void {
  let closing = false
  app.addHook('preClose', done => {
    closing = true
    done()
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closing) reply.header('connection', 'close')
    done(null, payload)
  })
  hooks.end(() => {
    // For replies that had begun before.
    if (closing) setImmediate(() => app.server.closeIdleConnections())
  })
}

function runHousekeeping(app: FastifyInstance, logger: Logger): void {
  let running: Promise<void> = Promise.resolve()
  const run = (most?: number) => {
    running = running
      .then(() => app.store.housekeeping(most))
      .catch((error: unknown) =>
        logger.error({ event: 'housekeeping_failed', err: error }, 'housekeeping failed')
      )
  }
  const timer = setInterval(() => run(HOSTS_A_TURN), HOUSEKEEPING_MS)
  timer.unref()
  let stopWatching = () => Promise.resolve()
  app.addHook('onReady', done => {
    run()
    done()
  })
  app.addHook('onListen', done => {
    stopWatching = watchFolders(
      app.config.folders,
      app.store.files,
      path => {
        if (!liveFileChanged(app, path)) logger.debug({ event: 'file_changed', path }, 'a file changed')
      },
      error =>
        logger.warn({ event: 'watch_failed', err: error }, 'outside edits are noticed at the next read only')
    )
    done()
  })
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await stopWatching()
    await running
  })
}
