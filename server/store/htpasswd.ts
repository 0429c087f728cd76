import { readFile, stat } from 'node:fs/promises'
import { messageOf, ProductError, systemCode } from '../../common/errors.js'
import { versionOf } from '../../common/json-file.js'
import { printable } from '../../common/names.js'

/** A user of a password file of Apache's. */
export interface HtpasswdUser {
  username: string
  /** bcrypt, in any of its spellings. */
  password: string
}

/** Far more than any such file has. */
const MOST_BYTES = 1024 * 1024
/** A higher cost would keep a thread busy for minutes at each try. */
const HASH = /^\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}$/

/**
 * Reads an .htpasswd: `user:hash` a line, `#` comments. Apache takes the first line of a user and passes over what
 * stands behind a second colon; a user who stands twice is refused here, as one of the two is surely a mistake.
 * @param name the file's name, for messages; hashes are never in them
 * @throws ProductError CONFIG naming line and user, when any hash is not bcrypt, or there is no user
 */
export function parseHtpasswd(text: string, name: string): HtpasswdUser[] {
  const users = new Map<string, HtpasswdUser>()
  text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .forEach((line, at) => {
      if (line.trim() === '' || line.startsWith('#')) return
      const [username = '', password] = line.split(':')
      const bad = (why: string) =>
        new ProductError('CONFIG', `${name} line ${at + 1} (${printable(username, 80)}): ${why}`)
      if (username === '' || password === undefined) {
        throw new ProductError('CONFIG', `${name} line ${at + 1}: user:hash is needed`)
      }
      if (!HASH.test(password.trim())) {
        throw bad('not a bcrypt hash of cost 4 to 16; make one with: htpasswd -B FILE USER')
      }
      if (users.has(username)) throw bad('stands twice in the file; remove one of the lines')
      users.set(username, { username, password: password.trim() })
    })
  if (users.size === 0)
    throw new ProductError('CONFIG', `${name}: no user; add one with: htpasswd -B FILE USER`)
  return [...users.values()]
}

/** Reads such a file as a whole. @throws ProductError CONFIG that also says what to do where it can't be read */
export async function readHtpasswd(path: string): Promise<HtpasswdUser[]> {
  let text: string
  try {
    const info = await stat(path)
    if (!info.isFile()) throw new Error('it is no file')
    if (info.size > MOST_BYTES) throw new Error(`it is larger than ${MOST_BYTES} bytes`)
    text = await readFile(path, 'utf8')
  } catch (error) {
    const reason = systemCode(error) ?? messageOf(error)
    throw new ProductError(
      'CONFIG',
      `htpasswd ${path} can't be read (${reason}); the user the server runs as must be able to`,
      error
    )
  }
  return parseHtpasswd(text, path)
}

/** The users of an .htpasswd as it is now: a changed file counts from the next request on. */
export class Htpasswd {
  #version = ''
  #users: HtpasswdUser[] = []

  constructor(private readonly path: string) {}

  /**
   * @throws ProductError CONFIG when the file can't be used (any more). Nobody is let in by what it said before: a user
   *   may have been taken out of it.
   */
  async users(): Promise<{ users: readonly HtpasswdUser[]; version: string }> {
    // Before the file is read: an edit meanwhile is read the next time.
    const version = await versionOf(this.path).catch(() => '')
    if (version === '' || version !== this.#version) {
      this.#users = await readHtpasswd(this.path)
      this.#version = version
    }
    return { users: this.#users, version }
  }
}
