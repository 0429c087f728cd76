import { hash, randomBytes } from 'node:crypto'
import type { Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { keepLatest } from '../../common/keep-latest.js'
import type { PasswordCheck } from './password-check.js'

/** After the last use: hosts ask every 5 minutes, and 1,000 checks of a hash take minutes. */
const REMEMBER_MS = 60 * 60_000
const MOST_REMEMBERED = 10_000
/** Different passwords of one that are checked at a time. */
const CHECKS_OF_ONE = 3

/**
 * Checks passwords that come again with every request. One that was right is remembered while it is used, as a keyed
 * hash of it and of the stored hash it was right for, so that a request costs no bcrypt; a wrong one never is.
 */
export class RememberedPasswords {
  readonly #key = randomBytes(32).toString('base64')
  readonly #known = new Map<string, number>()
  readonly #checking = new Map<string, Map<string, Promise<boolean>>>()

  constructor(
    private readonly passwords: Pick<PasswordCheck, 'matches'>,
    private readonly clock: Clock
  ) {}

  /**
   * Answers at once what is remembered.
   * @param who whose checks are counted together: few of one run at a time
   * @param hash as it is stored now: what was right for another one is no more. Whose it is does not matter: whether a
   *   password fits a hash hangs on these two alone
   * @param again runs before bcrypt, when it is this one's turn: throws when it has become pointless
   * @throws ProductError AUTH_RATE, BUSY_LOGIN; what `again` throws
   */
  matches(who: string, password: string, hash: string, again: () => void): boolean | Promise<boolean> {
    const token = this.token([hash, password])
    if ((this.#known.get(token) ?? 0) > this.clock()) return this.#remember(token)
    return this.#checkOnce(who, token, () => this.passwords.matches(password, hash, again)).then(
      right => right && this.#remember(token)
    )
  }

  #remember(token: string): true {
    // What was not used for longest goes first.
    keepLatest(this.#known, token, this.clock() + REMEMBER_MS, MOST_REMEMBERED)
    return true
  }

  /** A keyed hash that stands for texts of which a password is one: of use in this process only. Nobody is ever told it. */
  token(texts: readonly string[]): string {
    let text = this.#key
    // By its length each text has one way to be read.
    for (const one of texts) text += `${one.length} ${one}`
    return hash('sha256', text, 'base64')
  }

  /** Requests that come with one credential at the same moment share one check; nobody has many at a time. */
  async #checkOnce(who: string, token: string, match: () => Promise<boolean>): Promise<boolean> {
    const running = this.#checking.get(who) ?? new Map<string, Promise<boolean>>()
    this.#checking.set(who, running)
    const shared = running.get(token)
    if (shared !== undefined) return shared
    if (running.size >= CHECKS_OF_ONE) throw new ProductError('AUTH_RATE')
    const check = match()
    running.set(token, check)
    try {
      return await check
    } finally {
      running.delete(token)
      if (running.size === 0) this.#checking.delete(who)
    }
  }
}
