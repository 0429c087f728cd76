import { createHmac, randomBytes } from 'node:crypto'
import { parseAddress } from '../../common/address.js'
import { peerKey, type FailedAttempts } from '../../common/attempts.js'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { isServerName, type ServerName } from '../../common/names.js'
import type { ClientEntry } from '../../common/shapes.js'
import { allowedPeers } from '../store/clients.js'
import type { Store } from '../store/store.js'

/** What a client sends to say who it is (sync-contract.md §2). */
export interface Credentials {
  username: string
  password: string
  uuid: string
}

/** A client's entry as it stood when its credentials were right. */
export type CheckedClient = ClientEntry & { username: ServerName }

const REMEMBER_MS = 5 * 60_000
const MOST_REMEMBERED = 10_000
/** Different passwords of one client that are checked at a time. */
const CHECKS_OF_A_CLIENT = 3
/** bcrypt reads 72 bytes; far more is no password but a load. */
const LONGEST_PASSWORD = 1024

/**
 * Checks clients against client-list.json. A credential that was right is remembered for minutes as a keyed
 * hash, so that a poll costs no bcrypt; everything is forgotten when the list changes; a wrong one never is
 * remembered, and wrong ones are limited per address.
 */
export class ClientAuthenticator {
  readonly #key = randomBytes(32)
  readonly #known = new Map<string, number>()
  readonly #checking = new Map<string, Map<string, Promise<boolean>>>()
  #version = ''

  constructor(
    private readonly store: Pick<Store, 'clients' | 'passwords'>,
    private readonly attempts: FailedAttempts,
    private readonly callbackAttempts: FailedAttempts,
    private readonly clock: Clock
  ) {}

  /**
   * @param peer the address the request came from
   * @returns the client's entry in the list
   * @throws ProductError AUTH_USER, AUTH_PASSWORD, AUTH_IP (sync-contract.md §2), AUTH_RATE, CLIENT_LIST_MISSING,
   *   CLIENT_LIST_CORRUPT
   */
  async check(given: Credentials, peer: string): Promise<CheckedClient> {
    const key = peerKey(peer)
    const { clients, version } = await this.#list()
    this.attempts.check(key)
    if (version !== this.#version) {
      this.#known.clear()
      this.#version = version
    }
    const entry = clients.find(client => client.username === given.username && client.uuid === given.uuid)
    const password = given.password.slice(0, LONGEST_PASSWORD)
    if (entry === undefined || !isServerName(entry.username)) {
      // Counted before the time is taken: requests sent all at once would pass the limit together otherwise.
      this.attempts.failed(key)
      await this.store.passwords.matches(password, this.store.passwords.nobodysHash(clients, given.username))
      throw new ProductError('AUTH_USER')
    }
    const again = () => this.attempts.check(key)
    if (!(await this.#passwordMatches(entry, password, 'sync', again))) {
      this.attempts.failed(key)
      throw new ProductError('AUTH_PASSWORD')
    }
    const allowed = allowedPeers(entry)
    const from = parseAddress(peer)
    if (allowed !== undefined && (from === undefined || allowed.covering(from) === undefined)) {
      this.attempts.failed(key)
      throw new ProductError('AUTH_IP')
    }
    return { ...entry, username: entry.username }
  }

  /**
   * As `check`, for what fail2ban itself sends (callbacks.ts).
   * @throws ProductError CALLBACK, AUTH_RATE, CLIENT_LIST_MISSING, CLIENT_LIST_CORRUPT
   */
  async checkCallback(serverId: string, secret: string, peer: string): Promise<ServerName> {
    const key = peerKey(peer)
    const attempts = this.callbackAttempts
    const { clients } = await this.#list()
    attempts.check(key)
    const entry = clients.find(client => client.username === serverId)
    const given = secret.slice(0, LONGEST_PASSWORD)
    if (entry?.callback === undefined || !isServerName(entry.username)) {
      attempts.failed(key)
      const hashes = clients.flatMap(({ callback }) => (callback === undefined ? [] : { password: callback }))
      await this.store.passwords.matches(given, this.store.passwords.nobodysHash(hashes, serverId))
      throw new ProductError('CALLBACK')
    }
    const asClient = { ...entry, password: entry.callback }
    const right = await this.#passwordMatches(asClient, given, 'callback', () => attempts.check(key))
    const allowed = allowedPeers(entry)
    const from = parseAddress(peer)
    const mayCome = allowed === undefined || (from !== undefined && allowed.covering(from) !== undefined)
    if (!right || !mayCome) {
      attempts.failed(key)
      throw new ProductError('CALLBACK')
    }
    return entry.username
  }

  /** @param by counted apart, so that neither way in takes the other's turn @param again looked at before bcrypt */
  async #passwordMatches(
    entry: ClientEntry,
    password: string,
    by: 'sync' | 'callback',
    again: () => void
  ): Promise<boolean> {
    const now = this.clock()
    const token = createHmac('sha256', this.#key)
      .update(JSON.stringify([entry.username, entry.uuid, entry.password, password]))
      .digest('base64')
    if ((this.#known.get(token) ?? 0) > now) return true
    if (
      !(await this.#checkOnce(`${by} ${entry.username}`, token, () =>
        this.store.passwords.matches(password, entry.password, again)
      ))
    )
      return false
    this.#known.delete(token)
    this.#known.set(token, now + REMEMBER_MS)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MOST_REMEMBERED && oldest !== undefined) this.#known.delete(oldest)
    return true
  }

  /** Requests that come with one credential at the same moment share one check; a client has few at a time. */
  async #checkOnce(who: string, token: string, match: () => Promise<boolean>): Promise<boolean> {
    const running = this.#checking.get(who) ?? new Map<string, Promise<boolean>>()
    this.#checking.set(who, running)
    const shared = running.get(token)
    if (shared !== undefined) return shared
    if (running.size >= CHECKS_OF_A_CLIENT) throw new ProductError('AUTH_RATE')
    const check = match()
    running.set(token, check)
    try {
      return await check
    } finally {
      running.delete(token)
      if (running.size === 0) this.#checking.delete(who)
    }
  }

  async #list(): Promise<{ clients: readonly ClientEntry[]; version: string }> {
    const list = await this.store.clients.list().catch((error: unknown) => {
      throw error instanceof ProductError && error.code === 'FILE_CORRUPT'
        ? new ProductError('CLIENT_LIST_CORRUPT', undefined, error)
        : error
    })
    if (list.version === '') throw new ProductError('CLIENT_LIST_MISSING')
    return list
  }
}
