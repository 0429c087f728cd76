import type { FastifyInstance, FastifyReply, FastifyRequest, onResponseHookHandler } from 'fastify'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { authFailure, type AuthKind } from '../common/attempts.js'
import type { LockWait } from '../common/json-file.js'
import { ownVersion } from '../common/package-root.js'
import type { BanEvent } from '../common/shapes.js'
import type { RequestHooks } from './request-hooks.js'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
  }
}

const AUTH_KINDS: readonly AuthKind[] = ['client', 'callback', 'login', 'key', 'basic']
const ACTIONS: readonly BanEvent['action'][] = ['Ban', 'Unban', 'Increase Ban', 'Restore Ban']
/** What is asked for by a path that leads to no route: paths are anybody's text, and label values are kept for ever. */
const NO_ROUTE = 'none'

/**
 * What one app counts while it runs, in Prometheus' format. Labels have few values each: routes as they are declared,
 * known kinds, and the hosts that may sync.
 */
export class Metrics {
  readonly registry = new Registry()
  readonly #requests = new Histogram({
    name: 'fail2ban_report_http_request_duration_seconds',
    help: 'Time from a request to the end of its reply, by declared route.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60],
    registers: [this.registry]
  })
  readonly #authFailures = new Counter({
    name: 'fail2ban_report_authentication_failures_total',
    help: 'Requests refused for wrong credentials, or for too many of them, by what was tried.',
    labelNames: ['kind'] as const,
    registers: [this.registry]
  })
  readonly #lockWaits = new Histogram({
    name: 'fail2ban_report_lock_wait_seconds',
    help: 'Time until a file lock was got, by what the file is for.',
    labelNames: ['file'] as const,
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
    registers: [this.registry]
  })
  readonly #lockTimeouts = new Counter({
    name: 'fail2ban_report_lock_timeouts_total',
    help: 'File locks that were waited for in vain, by what the file is for.',
    labelNames: ['file'] as const,
    registers: [this.registry]
  })
  readonly #events = new Counter({
    name: 'fail2ban_report_events_received_total',
    help: 'Events of hosts that this process stored and that were not known before.',
    labelNames: ['host', 'action'] as const,
    registers: [this.registry]
  })

  constructor() {
    const build = new Gauge({
      name: 'fail2ban_report_build_info',
      help: 'The version that runs; always 1.',
      labelNames: ['version'] as const,
      registers: [this.registry]
    })
    build.set({ version: ownVersion() }, 1)
    // A rate needs the zero it begins from.
    for (const kind of AUTH_KINDS) this.#authFailures.inc({ kind }, 0)
  }

  /** Measures every request of an app. To be called before routes are added. */
  measure(app: FastifyInstance, hooks: RequestHooks): void {
    const { basePath } = app.config
    const base = basePath === '/' ? '' : basePath
    const observe = (method: string, route: string, reply: FastifyReply) => {
      const status = `${Math.floor(reply.statusCode / 100)}xx`
      this.#requests.observe({ method, route, status }, reply.elapsedTime / 1000)
    }
    // Of each route its own hook: to ask a request for its route takes longer than to count it.
    app.addHook('onRoute', options => {
      const { url } = options
      const route = url.startsWith(`${base}/`) ? url.slice(base.length) : url
      const measured: onResponseHookHandler = (request, reply, done) => {
        // A WebSocket's time is its whole life.
        if (!request.ws) observe(request.method, route, reply)
        done()
      }
      options.onResponse = [options.onResponse ?? [], measured].flat()
    })
    hooks.end((request, reply) => {
      if (request.is404) observe(NO_ROUTE, NO_ROUTE, reply)
    })
  }

  /** Counts a failed authentication. */
  authFailed(kind: AuthKind): void {
    this.#authFailures.inc({ kind })
  }

  /** Notes a wait for a lock. @param file what the file is for, one of few */
  lockWaited(file: string, { waitedMs, got }: Pick<LockWait, 'waitedMs' | 'got'>): void {
    this.#lockTimeouts.inc({ file }, got ? 0 : 1)
    if (got) this.#lockWaits.observe({ file }, waitedMs / 1000)
  }

  /** Counts events that are new. */
  eventsReceived(host: string, events: readonly BanEvent[]): void {
    for (const action of ACTIONS) {
      const number = events.filter(event => event.action === action).length
      this.#events.inc({ host, action: labelOf(action) }, number)
    }
  }

  /** Begins the counts of a host's events at zero, where nothing was counted yet. */
  countFromZero(host: string): void {
    for (const action of ACTIONS) this.#events.inc({ host, action: labelOf(action) }, 0)
  }

  /** All of it as text, with figures of the process. */
  text(): Promise<string> {
    return Registry.merge([this.registry, processFigures()]).metrics()
  }
}

function labelOf(action: BanEvent['action']): string {
  return action.toLowerCase().replace(' ', '_')
}

/** Tells of a failed authentication: a line for fail2ban (server/deploy/fail2ban), and a count. */
export function authFailed(request: FastifyRequest, kind: AuthKind, user: string): void {
  request.server.metrics.authFailed(kind)
  request.log.warn(authFailure(kind, request.ip, user), 'authentication failed')
}

let ofProcess: Registry | undefined

/**
 * Memory, CPU and event loop: the process's own, whichever app asks. What watches them can't be stopped and takes a
 * little time, so it begins at the first question.
 */
function processFigures(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry()
    collectDefaultMetrics({ register: ofProcess })
  }
  return ofProcess
}
