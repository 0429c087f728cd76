import { familyOf, parseAddress } from './address.js'
import type { Clock } from './clock.js'
import { ProductError } from './errors.js'
import { keepLatest } from './keep-latest.js'
import { printable } from './names.js'

/** Keys remembered at most; the oldest go first, so that a flood of addresses can't grow the memory. */
const MOST_KEYS = 50_000

/** Counts failed attempts per key (an address, an account) in a window of time, in memory. */
export class FailedAttempts {
  readonly #failed = new Map<string, { count: number; until: number }>()

  /**
   * @param most failures that are allowed within the window
   * @param windowMs milliseconds; the window starts with the first failure
   */
  constructor(
    private readonly clock: Clock,
    private readonly most: number,
    private readonly windowMs: number
  ) {}

  /** @throws ProductError AUTH_RATE while the key has failed too often */
  check(key: string): void {
    const known = this.#failed.get(key)
    if (known !== undefined && known.until > this.clock() && known.count >= this.most) {
      throw new ProductError('AUTH_RATE')
    }
  }

  /** Notes a failure. */
  failed(key: string): void {
    const now = this.clock()
    const known = this.#failed.get(key)
    if (known !== undefined && known.until > now) {
      known.count++
      return
    }
    keepLatest(this.#failed, key, { count: 1, until: now + this.windowMs }, MOST_KEYS)
  }

  /** Takes back one failure that was noted before it was known to be none. */
  takeBack(key: string): void {
    const known = this.#failed.get(key)
    if (known !== undefined && known.count > 0) known.count--
  }

  /** Forgets a key's failures. */
  forget(key: string): void {
    this.#failed.delete(key)
  }
}

/** What failures of a peer are counted by: IPv6 by /64, from which one host can choose its address. */
export function peerKey(peer: string): string {
  const address = parseAddress(peer.split('%')[0] ?? '')
  if (address === undefined) return peer
  return familyOf(address) === 6 ? (parseAddress(`${address}/64`) ?? address) : address
}

/** What was tried: a host's credentials, its callback secret, a log-in, a program's key, the password in front. */
export type AuthKind = 'client' | 'callback' | 'login' | 'key' | 'basic'

/**
 * The log line of a failed authentication: the shipped fail2ban filter (server/deploy/fail2ban) matches exactly
 * these fields in this order, so that text a client chose comes last and can't pose as an address.
 */
export function authFailure(
  what: AuthKind,
  peer: string,
  user: string
): { event: 'auth_failure'; what: AuthKind; peer: string; user: string } {
  return { event: 'auth_failure', what, peer, user: printable(user, 80) }
}
