import { FailedAttempts, peerKey } from '../../common/attempts.js'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import type { UserEntry } from '../../common/shapes.js'
import type { Store } from '../store/store.js'

const WINDOW_MS = 10 * 60_000
const FAILURES_PER_ADDRESS = 10
/** Guessing spread over many addresses is slowed as well; more than one address is allowed to make. */
const FAILURES_PER_ACCOUNT = 30

/** Longest password that is looked at, in characters: bcrypt reads 72 bytes, far more is no password but a load. */
export const LONGEST_PASSWORD = 1024

/** Checks user names and passwords against users.json. */
export class LoginCheck {
  readonly #addresses: FailedAttempts
  readonly #accounts: FailedAttempts

  constructor(
    private readonly store: Pick<Store, 'users' | 'passwords'>,
    clock: Clock
  ) {
    this.#addresses = new FailedAttempts(clock, FAILURES_PER_ADDRESS, WINDOW_MS)
    this.#accounts = new FailedAttempts(clock, FAILURES_PER_ACCOUNT, WINDOW_MS)
  }

  /**
   * @param peer the address the request came from
   * @throws ProductError LOGIN_FAILED, AUTH_RATE, BUSY_LOGIN
   */
  async check(username: string, password: string, peer: string): Promise<UserEntry> {
    const users = await this.store.users.list()
    const user = users.find(one => one.username === username)
    const counts = [
      { attempts: this.#addresses, key: peerKey(peer) },
      // With the hash: a new password (`user passwd`) unlocks an account that somebody keeps guessing at.
      { attempts: this.#accounts, key: JSON.stringify([username, user?.password]) }
    ]
    for (const { attempts, key } of counts) attempts.check(key)
    // Counted before it is known: tries sent all at once would pass the check together otherwise.
    for (const { attempts, key } of counts) attempts.failed(key)
    const hash = user?.password ?? this.store.passwords.nobodysHash(users, username)
    const right = await this.store.passwords.matches(password, hash)
    if (!right || user === undefined) throw new ProductError('LOGIN_FAILED')
    // Whoever knows one password is not free to guess at others from there.
    this.#addresses.takeBack(peerKey(peer))
    this.#accounts.forget(JSON.stringify([username, user.password]))
    return user
  }
}
