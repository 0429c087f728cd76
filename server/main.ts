import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import pino, { type Logger } from 'pino'
import { messageOf, ProductError, systemCode } from '../common/errors.js'
import { runUntilStopped } from '../common/stop-signals.js'
import { ownCommand } from '../common/own-command.js'
import { ownVersion } from '../common/package-root.js'
import { buildApp } from './app.js'
import { becomeUser, systemUser } from './become-user.js'
import type { ServerConfig } from './config.js'
import { checkPlainHttp } from './plain-http.js'
import { LogLines } from './live/log-lines.js'
import { checkFolders, prepareFolders, prepareLogFolder } from './store/folders.js'

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
 * @throws ProductError CONFIG when a folder or file can't be used, the port is taken, or plain HTTP leaves the machine
 */
export async function startServer(
  config: ServerConfig,
  tell: (line: string) => void
): Promise<RunningServer> {
  const warning = await checkPlainHttp(config)
  const user = config.user === '' ? undefined : systemUser(config.user)
  const made = await prepareFolders(config.folders, user)
  if (config.logFile !== '') await prepareLogFolder(config.logFile, user)
  if (user !== undefined) becomeUser(user)
  // What has no mode of its own is nobody else's either.
  process.umask(0o027)
  const logLines = new LogLines()
  const logger = serverLogger(config, logLines)
  await checkFolders(config.folders).catch((error: unknown) => {
    const { detail = messageOf(error), cause } = error as ProductError
    const path = cause instanceof Error && 'path' in cause ? ` (${String(cause.path)})` : ''
    throw new ProductError('CONFIG', `${detail}${path}; chown -R it to the user the server runs as`, error)
  })
  const app = await buildApp(config, { logger, logLines })
  if (warning !== undefined) {
    tell(`Warning: ${warning}`)
    logger.warn({ event: 'plain_http', host: config.host }, warning)
  }
  await tellFirstSteps(app.store, config, made, tell)
  const leave = await app.store.serving.hold()
  try {
    await app.listen({ host: config.host, port: config.port })
  } catch (error) {
    await app.close()
    await leave()
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
  const url = `${config.tlsCert === '' ? 'http' : 'https'}://${host}:${port}${config.basePath === '/' ? '/' : `${config.basePath}/`}`
  logger.info({ event: 'listening', url, version: ownVersion() }, 'listening')
  return {
    url,
    stop: async () => {
      logger.info({ event: 'stopping' }, 'finishing what is in flight')
      await app.close()
      await leave()
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
  const file = config.logFile === '' ? pino.destination({ fd: 1, sync: true }) : logFile(config.logFile)
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

function logFile(path: string): ReturnType<typeof pino.destination> {
  try {
    // Tried at once: a log that can't be written would end the server at its first line, without a word.
    closeSync(openSync(path, 'a', 0o640))
  } catch (error) {
    throw new ProductError(
      'CONFIG',
      `--log-file ${path} can't be written (${systemCode(error) ?? 'unknown error'})`,
      error
    )
  }
  return pino.destination({ dest: path, sync: true, mode: 0o640 })
}

async function tellFirstSteps(
  store: Awaited<ReturnType<typeof buildApp>>['store'],
  config: ServerConfig,
  made: readonly string[],
  tell: (line: string) => void
): Promise<void> {
  for (const folder of made) tell(`Created ${folder}`)
  if (process.getuid?.() === 0)
    tell('It runs as root, which it does not need: --user NAME makes it run as another user')
  tell(`Data in ${config.folders.archive}, settings in ${config.folders.settings}`)
  const users = await store.users.list().catch(() => undefined)
  if (users?.length === 0)
    tell(`Nobody can log in yet. Add the first admin:  ${ownCommand()} user add NAME --role admin`)
  const clients = await store.clients.list().catch(() => undefined)
  if (clients?.clients.length === 0)
    tell(
      `No host can sync yet. Add the first one:  ${ownCommand()} client add HOST --server-url https://YOUR-SERVER${config.basePath === '/' ? '' : config.basePath}`
    )
}
