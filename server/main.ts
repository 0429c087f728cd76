import { once } from 'node:events'
import pino, { type Logger } from 'pino'
import { messageOf, ProductError, systemCode } from '../common/errors.js'
import { runUntilStopped } from '../common/stop-signals.js'
import { ownVersion } from '../common/version.js'
import { buildApp } from './app.js'
import type { ServerConfig } from './config.js'
import { LogLines } from './live/log-lines.js'
import { prepareFolders } from './store/folders.js'

/** Longest wait for requests in flight when the server is told to stop. */
const STOP_MS = 30_000

/** A server that listens. */
export interface RunningServer {
  /** Where it answers, base path included. */
  url: string
  /** Stops taking requests, finishes those in flight, then resolves. */
  stop(): Promise<void>
}

/**
 * Creates the folders that are missing, starts the server and says what a first start needs to know.
 * @param tell one line for the person who started it
 * @throws ProductError CONFIG when a folder can't be used or the port is taken
 */
export async function startServer(
  config: ServerConfig,
  tell: (line: string) => void
): Promise<RunningServer> {
  const logLines = new LogLines()
  const logger = serverLogger(config, logLines)
  const made = await prepareFolders(config.folders)
  const app = await buildApp(config, { logger, logLines })
  await app.store.checkFolders().catch((error: unknown) => {
    throw new ProductError('CONFIG', messageOf(error), error)
  })
  await tellFirstSteps(app.store, config, made, tell)
  try {
    await app.listen({ host: config.host, port: config.port })
  } catch (error) {
    await app.close()
    const reason = systemCode(error) ?? 'unknown error'
    throw new ProductError(
      'CONFIG',
      `can't listen on ${config.host} port ${config.port} (${reason}); choose others with --host and --port`,
      error
    )
  }
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.port
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  const url = `http://${host}:${port}${config.basePath === '/' ? '/' : `${config.basePath}/`}`
  logger.info({ event: 'listening', url, version: ownVersion() }, 'listening')
  return {
    url,
    stop: async () => {
      logger.info({ event: 'stopping' }, 'finishing what is in flight')
      await app.close()
      logger.info({ event: 'stopped' }, 'stopped')
    }
  }
}

/** Runs the server until SIGTERM or SIGINT; a second signal ends it at once. */
export async function serve(config: ServerConfig, tell: (line: string) => void): Promise<never> {
  return runUntilStopped(async signal => {
    const server = await startServer(config, tell)
    tell(`Fail2Ban-Report listens on ${server.url} (stop with Ctrl-C)`)
    if (!signal.aborted) await once(signal, 'abort')
    setTimeout(() => process.exit(1), STOP_MS).unref()
    await server.stop()
  })
}

function serverLogger(config: ServerConfig, lines: LogLines): Logger {
  const file =
    config.logFile === ''
      ? pino.destination({ fd: 1, sync: true })
      : pino.destination({ dest: config.logFile, sync: true, mkdir: true, mode: 0o640 })
  return pino(
    {
      level: config.logLevel,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ['password', '*.password', 'headers.authorization', 'headers.cookie']
    },
    {
      write: line => {
        file.write(line)
        lines.write(line)
      }
    }
  )
}

async function tellFirstSteps(
  store: Awaited<ReturnType<typeof buildApp>>['store'],
  config: ServerConfig,
  made: readonly string[],
  tell: (line: string) => void
): Promise<void> {
  for (const folder of made) tell(`Created ${folder}`)
  tell(`Data in ${config.folders.archive}, settings in ${config.folders.settings}`)
  const users = await store.users.list().catch(() => undefined)
  if (users?.length === 0)
    tell('Nobody can log in yet. Add the first admin:  fail2ban-report user add NAME --role admin')
  const clients = await store.clients.list().catch(() => undefined)
  if (clients?.clients.length === 0)
    tell('No host can sync yet. Add the first one:  fail2ban-report client add HOST')
}
