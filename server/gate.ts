import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AddressSet, parseAddress, type Address } from '../common/address.js'
import { FailedAttempts, peerKey } from '../common/attempts.js'
import { ProductError } from '../common/errors.js'
import { keepLatest } from '../common/keep-latest.js'
import { shownKey } from './api/key-access.js'
import { authFailed } from './metrics.js'
import { Htpasswd } from './store/htpasswd.js'
import { RememberedPasswords } from './store/remembered-passwords.js'

type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** As for log-ins (api/login.ts). */
const FAILURES_PER_ADDRESS = 10
const WINDOW_MS = 10 * 60_000
/** bcrypt reads 72 bytes; far more is no password but a load. */
const LONGEST_PASSWORD = 1024
const MOST_WRONG = 10_000

/** A hook that lets only requests of these addresses pass. @throws ProductError ADDRESS_REFUSED */
export function onlyFrom(allowed: readonly Address[] | undefined): Hook {
  const isAllowed = comesFrom(allowed)
  return request => (isAllowed(request) ? Promise.resolve() : Promise.reject(refusedAddress(request)))
}

/** What stands in front of the dashboard, whoever is logged in there. */
export interface DashboardGate {
  /** For pages and the page's API. */
  people: Hook
  /** For routes that take programs' keys: a key stands for the password, as Authorization holds one of them. */
  programs: Hook
}

/**
 * The gate as `config` wants it, as Apache's RequireAll or RequireAny of an address and a password would be. To be
 * called in the scope whose routes it guards.
 * @throws ProductError CONFIG when the password file can't be used
 */
export async function dashboardGate(app: FastifyInstance): Promise<DashboardGate> {
  const { htpasswd, allowDashboard, satisfy } = app.config
  if (htpasswd === '') return { people: onlyFrom(allowDashboard), programs: onlyFrom(allowDashboard) }
  const basic = await basicOf(app, htpasswd)
  const isAllowed = comesFrom(allowDashboard)
  const either = satisfy === 'any' && allowDashboard !== undefined
  const gate =
    (password: Hook): Hook =>
    async (request, reply) => {
      if (isAllowed(request)) {
        if (!either) await password(request, reply)
        return
      }
      // Who may not come in with a password either is not asked for one.
      if (!either) throw refusedAddress(request)
      await password(request, reply)
    }
  return {
    people: gate(basic),
    programs: gate((request, reply) =>
      shownKey(request) === undefined ? basic(request, reply) : Promise.resolve()
    )
  }
}

function comesFrom(allowed: readonly Address[] | undefined): (request: FastifyRequest) => boolean {
  if (allowed === undefined) return () => true
  const set = new AddressSet(allowed)
  return request => {
    const peer = parseAddress(request.ip.split('%')[0] ?? '')
    return peer !== undefined && set.covering(peer) !== undefined
  }
}

function refusedAddress(request: FastifyRequest): ProductError {
  request.log.warn(
    { event: 'address_refused', peer: request.ip },
    'an address that is not allowed was refused'
  )
  return new ProductError('ADDRESS_REFUSED')
}

/** HTTP Basic by the password file. */
async function basicOf(app: FastifyInstance, path: string): Promise<Hook> {
  const check = new BasicCheck(app, new Htpasswd(path))
  await check.ready()
  await app.register(basicAuth, {
    authenticate: { realm: 'Fail2Ban-Report' },
    validate: (username, password, request) => check.check(username, password, request)
  })
  return (request, reply) =>
    new Promise((resolve, reject) => {
      app.basicAuth(request, reply, (error?: Error) => {
        if (error === undefined) return resolve()
        // The package's own message, of a header that is missing or is none, is no sentence for people.
        const told =
          error instanceof ProductError ? error : new ProductError('BASIC_FAILED', undefined, error)
        if (told.status !== 401) reply.removeHeader('www-authenticate')
        reject(told)
      })
    })
}

class BasicCheck {
  readonly #attempts: FailedAttempts
  readonly #remembered: RememberedPasswords
  /** Wrong credentials of an address, and until when they are known to be. */
  readonly #wrong = new Map<string, number>()

  constructor(
    private readonly app: FastifyInstance,
    private readonly file: Htpasswd
  ) {
    this.#attempts = new FailedAttempts(app.clock, FAILURES_PER_ADDRESS, WINDOW_MS)
    this.#remembered = new RememberedPasswords(app.store.passwords, app.clock)
  }

  /** @throws ProductError CONFIG */
  async ready(): Promise<void> {
    await this.file.users()
  }

  /** @throws ProductError BASIC_FAILED, AUTH_RATE, BUSY_LOGIN, HTPASSWD */
  async check(username: string, given: string, request: FastifyRequest): Promise<void> {
    const { users, version } = await this.file.users().catch((error: unknown) => {
      throw new ProductError('HTPASSWD', undefined, error)
    })
    const password = given.slice(0, LONGEST_PASSWORD)
    const peer = peerKey(request.ip)
    // A page that is open when its password changes repeats the old one with all it asks: that is one failure, not
    // many, and no bcrypt.
    const guess = this.#remembered.token([peer, version, username, password])
    if ((this.#wrong.get(guess) ?? 0) > this.app.clock()) throw new ProductError('BASIC_FAILED')
    try {
      await this.#judge(users, username, password, peer)
    } catch (error) {
      if (error instanceof ProductError && (error.status === 401 || error.status === 429)) {
        authFailed(request, 'basic', username)
        if (error.status === 401) this.#noteWrong(guess)
      }
      throw error
    }
  }

  async #judge(
    users: readonly { username: string; password: string }[],
    username: string,
    password: string,
    peer: string
  ): Promise<void> {
    const { passwords } = this.app.store
    const again = () => this.#attempts.check(peer)
    again()
    const user = users.find(one => one.username === username)
    const hash = user?.password ?? passwords.nobodysHash(users, username)
    const right = await this.#remembered.matches(`${peer} ${username}`, password, hash, again)
    if (right && user !== undefined) return
    this.#attempts.failed(peer)
    throw new ProductError('BASIC_FAILED')
  }

  #noteWrong(guess: string): void {
    keepLatest(this.#wrong, guess, this.app.clock() + WINDOW_MS, MOST_WRONG)
  }
}
