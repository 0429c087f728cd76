import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type Server, type ServerOptions } from 'node:https'
import { createSecureContext } from 'node:tls'
import type { FastifyServerFactory } from 'fastify'
import type { Logger } from 'pino'
import { messageOf, ProductError, systemCode } from '../common/errors.js'
import { versionOf } from '../common/json-file.js'

/** How often the files are looked at. They may be links, as certbot's are: what they lead to counts. */
const LOOK_MS = 5_000
/** Whoever opens a connection and says nothing. */
const HANDSHAKE_MS = 15_000

/** A certificate with its chain, and its key, as PEM; they belong together. */
export interface TlsPair {
  cert: string
  key: string
  /** Milliseconds: when it begins and when it ends to be valid. */
  from: number
  until: number
}

/** Times of a server, in milliseconds, that Fastify leaves to who makes the server. */
export interface ServerTimes {
  keepAliveTimeout: number
  requestTimeout: number
  connectionTimeout: number
}

/**
 * Reads certificate and key.
 * @throws ProductError CONFIG naming the setting, the file and what is wrong with it; nothing of the key is in it
 */
export async function readTlsPair(certPath: string, keyPath: string): Promise<TlsPair> {
  if (certPath === '' || keyPath === '') {
    const missing = certPath === '' ? '--tls-cert' : '--tls-key'
    throw new ProductError('CONFIG', `${missing} is missing: HTTPS needs both --tls-cert and --tls-key`)
  }
  const cert = await readPem('--tls-cert', certPath)
  const key = await readPem('--tls-key', keyPath)
  const certificate = attempt(
    '--tls-cert',
    certPath,
    'it holds no certificate in PEM',
    () => new X509Certificate(cert)
  )
  const encrypted = /ENCRYPTED/.test(key) ? 'its key is encrypted; write it without a passphrase' : undefined
  const privateKey = attempt('--tls-key', keyPath, encrypted ?? 'it holds no private key in PEM', () =>
    createPrivateKey(key)
  )
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new ProductError('CONFIG', `--tls-key ${keyPath} is not the key of the certificate ${certPath}`)
  }
  attempt('--tls-cert', certPath, undefined, () => createSecureContext({ cert, key }))
  const { validFrom, validTo } = certificate
  return { cert, key, from: Date.parse(validFrom), until: Date.parse(validTo) }
}

async function readPem(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const reason = systemCode(error) ?? messageOf(error)
    throw new ProductError(
      'CONFIG',
      `${flag} ${path} can't be read (${reason}); the user the server runs as must be able to, also later`,
      error
    )
  }
}

function attempt<T>(flag: string, path: string, why: string | undefined, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw new ProductError('CONFIG', `${flag} ${path}: ${why ?? messageOf(error)}`, error)
  }
}

/** HTTPS with the certificate that its files hold now. */
export class Tls {
  #server: Server | undefined
  #timer: NodeJS.Timeout | undefined

  private constructor(
    private readonly paths: { cert: string; key: string },
    private readonly logger: Logger,
    private pair: TlsPair,
    private version: string
  ) {}

  /** @throws ProductError CONFIG */
  static async open(cert: string, key: string, logger: Logger): Promise<Tls> {
    // First: what is replaced while it is read is looked at again.
    const version = await versionsOf([cert, key])
    const tls = new Tls({ cert, key }, logger, await readTlsPair(cert, key), version)
    tls.#tellTime()
    return tls
  }

  /** Makes Fastify's server: one, whatever addresses its host has, so that it is the one that gets new certificates. */
  factory(more: ServerOptions, times: ServerTimes): FastifyServerFactory {
    return handler => {
      const server = createServer({ ...more, ...this.#context(), handshakeTimeout: HANDSHAKE_MS }, handler)
      server.keepAliveTimeout = times.keepAliveTimeout
      server.requestTimeout = times.requestTimeout
      server.setTimeout(times.connectionTimeout)
      this.#server = server
      return server
    }
  }

  /** Looks for changed files now and then, until `stop`. */
  watch(lookMs = LOOK_MS): void {
    let looking = false
    this.#timer = setInterval(() => {
      if (looking) return
      looking = true
      void this.look().finally(() => (looking = false))
    }, lookMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /**
   * Takes changed files into use: new connections get them. While the two don't belong together (one is replaced, the
   * other not yet) or can't be read, the former stay in use; that is logged once for each state of the files.
   */
  async look(): Promise<void> {
    try {
      const version = await versionsOf([this.paths.cert, this.paths.key])
      if (version === this.version) return
      this.version = version
      const pair = await readTlsPair(this.paths.cert, this.paths.key)
      const isNew = pair.cert !== this.pair.cert || pair.key !== this.pair.key
      this.pair = pair
      if (!isNew) return
      this.#server?.setSecureContext(this.#context())
      const until = new Date(pair.until).toISOString()
      this.logger.info({ event: 'tls_reloaded', until }, 'a new certificate is in use')
      this.#tellTime()
    } catch (error) {
      const message = messageOf(error)
      this.logger.warn({ event: 'tls_reload_failed', message }, 'the former certificate stays in use')
    }
  }

  #context(): { cert: string; key: string; minVersion: 'TLSv1.2' } {
    return { cert: this.pair.cert, key: this.pair.key, minVersion: 'TLSv1.2' }
  }

  #tellTime(): void {
    const { from, until } = this.pair
    const now = Date.now()
    if (now >= from && now < until) return
    const valid = { from: new Date(from).toISOString(), until: new Date(until).toISOString() }
    this.logger.warn({ event: 'tls_not_valid', ...valid }, 'the certificate is not valid now')
  }
}

/** Changes with the state of the files, and of what keeps them from being read. */
async function versionsOf(paths: readonly string[]): Promise<string> {
  const each = paths.map(path => versionOf(path).catch((error: unknown) => systemCode(error) ?? 'unreadable'))
  return (await Promise.all(each)).join(' ')
}
