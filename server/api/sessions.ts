import type { Clock } from '../../common/clock.js'
import type { Role, UserEntry } from '../../common/shapes.js'
import type { Store } from '../store/store.js'
import {
  csrfOf,
  endsOf,
  fromOf,
  isAlive,
  needsRenewal,
  newToken,
  readToken,
  renewed,
  sameText,
  SESSION_TIMES,
  signToken,
  stampOf,
  type SessionToken
} from './session-token.js'

/** Who is logged in. */
export interface Session {
  user: string
  role: Role
  csrf: string
  /** When it ends: unheard of, and in any case; milliseconds. */
  ends: { idle: number; absolute: number }
  token: SessionToken
}

/** A session, and the cookie to set when the browser's is to be replaced. */
export interface CheckedSession {
  session: Session
  cookie?: string
}

/** Sessions of the dashboard: stateless but for those that were ended early (architecture.md). */
export class Sessions {
  /** @param failed told when a renewal could not be stored; the session goes on under its old id then */
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly failed: (error: unknown) => void
  ) {}

  /** Begins a session. @param from where it began (where-from.ts): a copy of its cookie counts for nothing elsewhere */
  async open(user: UserEntry, from: string): Promise<Required<CheckedSession>> {
    const key = await this.store.sessions.key()
    const token = newToken(key, user, from, this.clock())
    return { session: sessionOf(key, token, user), cookie: signToken(key, token) }
  }

  /**
   * The session of a cookie, or undefined when there is none that counts.
   * @param elsewhere told the user's name when the cookie is good but comes from elsewhere than where it began
   * @param used false for what a page asks without anybody's doing: the session is not prolonged then
   */
  async check(
    cookie: string | undefined,
    from: string,
    elsewhere: (user: string) => void,
    used = true
  ): Promise<CheckedSession | undefined> {
    const found = await this.#find(cookie, from, elsewhere)
    if (found === undefined) return undefined
    const { key, token, user } = found
    const next = used ? await this.#next(key, token) : token
    const session = sessionOf(key, next, user)
    return next === token ? { session } : { session, cookie: signToken(key, next) }
  }

  /**
   * As `check`, for a connection that no new cookie can be given to: its session is neither renewed nor counts as used.
   */
  async look(
    cookie: string | undefined,
    from: string,
    elsewhere: (user: string) => void
  ): Promise<Session | undefined> {
    const found = await this.#find(cookie, from, elsewhere)
    return found === undefined ? undefined : sessionOf(found.key, found.token, found.user)
  }

  /** True while a session that was found before has neither been ended nor lost its user. Its times are not looked at. */
  async goesOn({ token }: Session): Promise<boolean> {
    const key = await this.store.sessions.key()
    // The id of its cookie may have been renewed since; the log-out ends the whole session.
    return !(await this.store.sessions.isEnded(token.login)) && (await this.#userOf(key, token)) !== undefined
  }

  async #userOf(key: Buffer, token: SessionToken): Promise<UserEntry | undefined> {
    const user = (await this.store.users.list()).find(one => one.username === token.user)
    return user !== undefined && sameText(token.stamp, stampOf(key, user)) ? user : undefined
  }

  async #find(
    cookie: string | undefined,
    from: string,
    elsewhere: (user: string) => void
  ): Promise<{ key: Buffer; token: SessionToken; user: UserEntry } | undefined> {
    if (cookie === undefined) return undefined
    const key = await this.store.sessions.key()
    const token = readToken(key, cookie)
    if (token === undefined || !isAlive(token, this.clock())) return undefined
    if (await this.store.sessions.isEnded(token.login, token.id)) return undefined
    const user = await this.#userOf(key, token)
    if (user === undefined) return undefined
    if (sameText(token.from, fromOf(key, from))) return { key, token, user }
    elsewhere(token.user)
    return undefined
  }

  /** Ends a session with all its ids, in every server process. */
  async end(session: Session): Promise<void> {
    await this.store.sessions.end(session.token.login, session.ends.absolute)
  }

  async #next(key: Buffer, token: SessionToken): Promise<SessionToken> {
    const now = this.clock()
    if (needsRenewal(token, now)) {
      try {
        await this.store.sessions.end(token.id, endsOf(token).absolute, now + SESSION_TIMES.grace)
        return renewed(key, token, now)
      } catch (error) {
        // A full disk must not lock the people out who could mend it.
        this.failed(error)
      }
    }
    return now - token.seenAt >= SESSION_TIMES.touch ? { ...token, seenAt: now } : token
  }
}

function sessionOf(key: Buffer, token: SessionToken, user: UserEntry): Session {
  return { user: user.username, role: user.role, csrf: csrfOf(key, token), ends: endsOf(token), token }
}
