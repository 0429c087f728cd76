import { parseAddress } from '../../common/address.js'
import { peerKey, type FailedAttempts } from '../../common/attempts.js'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { isServerName, type ServerName } from '../../common/names.js'
import type { ClientEntry } from '../../common/shapes.js'
import { SharedLooks } from '../../common/shared-looks.js'
import { allowedPeers } from '../store/clients.js'
import { RememberedPasswords } from '../store/remembered-passwords.js'
import type { Store } from '../store/store.js'

/** What a client sends to say who it is (sync-contract.md §2). */
export interface Credentials {
  username: string
  password: string
  uuid: string
}

/** A client's entry as it stood when its credentials were right. Shared with all who read the list: never change it. */
export type CheckedClient = Readonly<ClientEntry> & { readonly username: ServerName }

/** bcrypt reads 72 bytes; far more is no password but a load. */
const LONGEST_PASSWORD = 1024

/**
 * Checks clients against client-list.json, as it is at each request. A password that was right for the hash there is
 * remembered while it is used, so that a poll costs no bcrypt; a wrong one never is, and wrong ones are limited per
 * address.
 */
export class ClientAuthenticator {
  readonly #remembered: RememberedPasswords
  readonly #reads = new SharedLooks<{ clients: readonly ClientEntry[] }>()

  constructor(
    private readonly store: Pick<Store, 'clients' | 'passwords'>,
    private readonly attempts: FailedAttempts,
    private readonly callbackAttempts: FailedAttempts,
    clock: Clock
  ) {
    this.#remembered = new RememberedPasswords(store.passwords, clock)
  }

  /**
   * @param peer the address the request came from
   * @returns the client's entry in the list
   * @throws ProductError AUTH_USER, AUTH_PASSWORD, AUTH_IP (sync-contract.md §2), AUTH_RATE, CLIENT_LIST_MISSING,
   *   CLIENT_LIST_CORRUPT, UNREADABLE
   */
  async check(given: Credentials, peer: string): Promise<CheckedClient> {
    const key = peerKey(peer)
    const { clients } = await this.#list()
    this.attempts.check(key)
    const entry = clients.find(client => client.username === given.username && client.uuid === given.uuid)
    const password = given.password.slice(0, LONGEST_PASSWORD)
    if (entry === undefined || !isNamed(entry)) {
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
    if (!mayCome(entry, peer)) {
      this.attempts.failed(key)
      throw new ProductError('AUTH_IP')
    }
    return entry
  }

  /**
   * As `check`, for what fail2ban itself sends (callbacks.ts).
   * @throws ProductError CALLBACK, AUTH_RATE, CLIENT_LIST_MISSING, CLIENT_LIST_CORRUPT, UNREADABLE
   */
  async checkCallback(serverId: string, secret: string, peer: string): Promise<ServerName> {
    const key = peerKey(peer)
    const attempts = this.callbackAttempts
    const { clients } = await this.#list()
    attempts.check(key)
    const entry = clients.find(client => client.username === serverId)
    const given = secret.slice(0, LONGEST_PASSWORD)
    if (entry?.callback === undefined || !isNamed(entry)) {
      attempts.failed(key)
      const hashes = clients.flatMap(({ callback }) => (callback === undefined ? [] : { password: callback }))
      await this.store.passwords.matches(given, this.store.passwords.nobodysHash(hashes, serverId))
      throw new ProductError('CALLBACK')
    }
    const asClient = { ...entry, password: entry.callback }
    const right = await this.#passwordMatches(asClient, given, 'callback', () => attempts.check(key))
    if (!right || !mayCome(entry, peer)) {
      attempts.failed(key)
      throw new ProductError('CALLBACK')
    }
    return entry.username
  }

  /** @param by counted apart, so that neither way in takes the other's turn @param again looked at before bcrypt */
  #passwordMatches(
    entry: ClientEntry,
    password: string,
    by: 'sync' | 'callback',
    again: () => void
  ): boolean | Promise<boolean> {
    return this.#remembered.matches(`${by} ${entry.username}`, password, entry.password, again)
  }

  /** The list, read once for all who ask at the same moment. */
  #list(): Promise<{ clients: readonly ClientEntry[] }> {
    return this.#reads.at('', () => this.#read())
  }

  async #read(): Promise<{ clients: readonly ClientEntry[] }> {
    let list
    try {
      list = await this.store.clients.list()
    } catch (error) {
      // @fastify/basic-auth tells any other error as a 401.
      if (!(error instanceof ProductError)) throw new ProductError('UNREADABLE', undefined, error)
      if (error.code !== 'FILE_CORRUPT') throw error
      throw new ProductError('CLIENT_LIST_CORRUPT', undefined, error)
    }
    if (list.version === '') throw new ProductError('CLIENT_LIST_MISSING')
    return list
  }
}

function isNamed(entry: ClientEntry): entry is CheckedClient {
  return isServerName(entry.username)
}

function mayCome(entry: ClientEntry, peer: string): boolean {
  const allowed = allowedPeers(entry)
  if (allowed === undefined) return true
  const from = parseAddress(peer)
  return from !== undefined && allowed.covering(from) !== undefined
}
