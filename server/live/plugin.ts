import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Live } from './live.js'
import type { LogLines } from './log-lines.js'

declare module 'fastify' {
  interface FastifyInstance {
    live: Live
  }
  interface FastifyContextConfig {
    /** The route takes WebSockets. */
    takesSockets?: boolean
  }
}

/** Nobody has more to say than the protocol's own pongs and goodbyes. */
const MOST_RECEIVED = 1024

/** Where the app's hooks are given (request-hooks.ts). */
interface Hooks {
  appFor: (concerns: (request: FastifyRequest) => boolean) => FastifyInstance
  end: (end: (request: FastifyRequest) => void) => void
}

/** Gives the app its live connections, `app.live`. To be called before routes are added. */
export function addLive(app: FastifyInstance, hooks: Hooks, logLines?: LogLines, tickMs?: number): void {
  const failed = (error: unknown) =>
    app.log.warn({ event: 'live_failed', err: error }, 'the live channel missed something')
  const live = new Live(app.store, app.clock, failed, logLines)
  app.decorate('live', live)
  // Ahead of the package's own, which takes leave without a reason and waits for who does not answer.
  app.addHook('preClose', () => live.end())
  // A reply says no: who was let in gets none. Node.js has given the connection away, with all its timeouts.
  hooks.end(request => {
    if (isUpgrade(request)) request.raw.socket.destroy()
  })
  const forUpgrades = hooks.appFor(isUpgrade)
  websocket(forUpgrades, { options: { maxPayload: MOST_RECEIVED } }, failure => {
    if (failure !== undefined) throw failure
  })
  // The package would let anybody in at any route, to close the connection then.
  forUpgrades.addHook('onRequest', (request, reply, done) => {
    if (!request.ws || request.routeOptions.config.takesSockets === true) return done()
    void reply.code(404).send({ success: false, message: 'Not found.' })
  })
  app.addHook('onReady', done => {
    live.start(tickMs)
    done()
  })
}

/** Whether Node.js' parser took the request for one, whatever is left of its headers. */
function isUpgrade({ raw }: FastifyRequest): boolean {
  return (raw as typeof raw & { upgrade?: boolean }).upgrade === true
}

/** What a file's change means to the live connections. @returns whether it is the notes' own file */
export function liveFileChanged(app: FastifyInstance, path: string): boolean {
  if (path === app.store.paths.liveNotes()) {
    app.live.look()
    return true
  }
  const { paths } = app.store
  if ([paths.userList(), paths.endedSessions()].includes(path)) app.live.recheck('browsers')
  if (path === paths.clientList()) app.live.recheck('hosts')
  return false
}
