import { createHmac, randomBytes } from 'node:crypto'
import { FailedAttempts, peerKey } from '../../common/attempts.js'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import type { UserEntry } from '../../common/shapes.js'
import { BCRYPT_COST } from '../store/clients.js'
import type { PasswordChecks } from '../store/password-checks.js'
import type { UserStore } from '../store/users.js'

const WINDOW_MS = 10 * 60_000
const FAILURES_PER_ADDRESS = 10
/** Guessing spread over many addresses is slowed as well; more than one address is allowed to make. */
const FAILURES_PER_ACCOUNT = 30

/** Longest password that is looked at, in characters: bcrypt reads 72 bytes, far more is no password but a load. */
export const LONGEST_PASSWORD = 1024

/** Checks user names and passwords against users.json. */
export class LoginCheck {
  readonly #key = randomBytes(32)
  readonly #addresses: FailedAttempts
  readonly #accounts: FailedAttempts

  constructor(
    private readonly users: UserStore,
    private readonly passwords: PasswordChecks,
    clock: Clock
  ) {
    this.#addresses = new FailedAttempts(clock, FAILURES_PER_ADDRESS, WINDOW_MS)
    this.#accounts = new FailedAttempts(clock, FAILURES_PER_ACCOUNT, WINDOW_MS)
  }

  /**
   * @param peer the address the request came from
   * @throws ProductError LOGIN_FAILED, AUTH_RATE
   */
  async check(username: string, password: string, peer: string): Promise<UserEntry> {
    const users = await this.users.list()
    const user = users.find(one => one.username === username)
    // With the hash: a new password (`user passwd`) unlocks an account that somebody keeps guessing at.
    const account = JSON.stringify([username, user?.password])
    const counts = [
      { attempts: this.#addresses, key: peerKey(peer) },
      { attempts: this.#accounts, key: account }
    ]
    for (const { attempts, key } of counts) attempts.check(key)
    // Counted before it is known: tries sent all at once would pass the check together otherwise.
    for (const { attempts, key } of counts) attempts.failed(key)
    const hash = user?.password ?? this.#nobodysHash(users, username)
    const right = await this.passwords.matches(password, hash)
    if (!right || user === undefined) throw new ProductError('LOGIN_FAILED')
    // Whoever knows one password is not free to guess at others from there.
    this.#addresses.takeBack(peerKey(peer))
    this.#accounts.forget(account)
    return user
  }

  /**
   * A hash that no password has, at the cost of one of the stored ones: an unknown name takes as long as a known
   * one, and always the same time, also where old hashes are cheaper than new ones.
   */
  #nobodysHash(users: readonly UserEntry[], username: string): string {
    const costs = users.flatMap(user => /^\$2[abxy]\$(\d\d)\$/.exec(user.password)?.[1] ?? [])
    const at = createHmac('sha256', this.#key).update(username).digest().readUInt32BE() % (costs.length || 1)
    return `$2b$${costs[at] ?? String(BCRYPT_COST)}$${'.'.repeat(53)}`
  }
}
