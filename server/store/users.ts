import { ProductError } from '../../common/errors.js'
import { type JsonFiles } from '../../common/json-file.js'
import type { Role, UserEntry } from '../../common/shapes.js'
import type { AuditStore } from './audit.js'
import type { AuditActor, AuditDraft } from './audit-row.js'
import { bcrypt, replaceNamed, withTaken, withoutNamed } from './clients.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'

const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,63}$/u
const SHORTEST_PASSWORD = 10
/** bcrypt looks at 72 bytes and drops the rest in silence. */
const LONGEST_PASSWORD = 72

/** users.json: who may log in to the dashboard. */
export class UserStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly audit: AuditStore
  ) {}

  /** All users. @throws ProductError FILE_CORRUPT; the file is left as it is */
  async list(): Promise<readonly UserEntry[]> {
    return (await this.files.read(this.paths.userList(), KINDS.userList)).value
  }

  /** Shows that a user of this name may be added, before a password is asked for. @throws ProductError CONFLICT, BAD_NAME */
  async checkFree(username: string): Promise<void> {
    checkName(username)
    refuseTaken(await this.list(), username)
  }

  /** Shows that there is a user of this name. @throws ProductError NOT_FOUND */
  async checkKnown(username: string): Promise<void> {
    withoutNamed(await this.list(), username)
  }

  /** Adds a user. @throws ProductError CONFLICT, BAD_NAME, BAD_INPUT (password) */
  async add(username: string, password: string, role: Role, actor: AuditActor): Promise<void> {
    checkName(username)
    const entry: UserEntry = { username, password: await newPassword(password), role }
    const row: AuditDraft = { what: 'user-added', user: username, before: null, after: { role } }
    await this.#change(actor, row, users => {
      refuseTaken(users, username)
      return [...users, entry]
    })
  }

  /** Sets a new password; every session of the user ends. @throws ProductError NOT_FOUND, BAD_INPUT */
  async setPassword(username: string, password: string, actor: AuditActor): Promise<void> {
    const hashed = await newPassword(password)
    await this.#change(actor, { what: 'user-password', user: username }, users =>
      replaceNamed(users, username, user => ({ ...user, password: hashed }))
    )
  }

  /**
   * Removes a user; every session of the user ends.
   * @throws ProductError NOT_FOUND; CONFLICT for the last admin: nobody could change anything any more
   */
  async remove(username: string, actor: AuditActor): Promise<void> {
    const row: AuditDraft = { what: 'user-removed', user: username, after: null }
    await this.#change(actor, row, users => {
      row.before = { role: users.find(user => user.username === username)?.role }
      const left = withoutNamed(users, username)
      if (users.some(isAdmin) && !left.some(isAdmin)) {
        throw new ProductError('CONFLICT', `${username} is the last admin; add another one first`)
      }
      return left
    })
  }

  /** Adds users of another installation, hashes and all, whose names `wanted` takes. @param wanted told the present entry */
  async takeOver(
    users: readonly UserEntry[],
    wanted: (theirs: UserEntry, ours: UserEntry | undefined) => boolean,
    actor: AuditActor
  ): Promise<void> {
    await this.#changeAll(actor, present => {
      const { next, changed } = withTaken(present, users, wanted)
      const rows = changed.map(({ before, after }): AuditDraft => ({
        what: before === undefined ? 'user-added' : 'user-password',
        user: after.username,
        ...(before === undefined ? { before: null, after: { role: after.role } } : {})
      }))
      return { next, rows }
    })
  }

  async #change(
    actor: AuditActor,
    row: AuditDraft,
    decide: (users: UserEntry[]) => UserEntry[]
  ): Promise<void> {
    await this.#changeAll(actor, users => ({ next: decide(users), rows: [row] }))
  }

  async #changeAll(
    actor: AuditActor,
    decide: (users: UserEntry[]) => { next: UserEntry[]; rows: AuditDraft[] }
  ): Promise<void> {
    const path = this.paths.userList()
    await this.files.change(path, KINDS.userList, current => {
      const { next, rows } = decide(current.value)
      if (rows.length === 0) return { result: undefined }
      const file = { path, current }
      return { ...this.audit.change(undefined, file, next, actor, rows), result: undefined }
    })
  }
}

function isAdmin(user: UserEntry): boolean {
  return user.role === 'admin'
}

function checkName(username: string): void {
  if (NAME.test(username)) return
  throw new ProductError(
    'BAD_NAME',
    'a user name has 1 to 64 letters, digits or . _ @ + - and starts with a letter or digit'
  )
}

function refuseTaken(users: readonly UserEntry[], username: string): void {
  if (!users.some(user => user.username === username)) return
  throw new ProductError('CONFLICT', `there is a user ${username} already; use passwd to change the password`)
}

async function newPassword(password: string): Promise<string> {
  checkPassword(password)
  return bcrypt(password)
}

/** @throws ProductError BAD_INPUT for a password that can't be taken */
export function checkPassword(password: string): void {
  const bytes = Buffer.byteLength(password)
  if (bytes < SHORTEST_PASSWORD || bytes > LONGEST_PASSWORD || password.includes('\0')) {
    throw new ProductError('BAD_INPUT', `a password has ${SHORTEST_PASSWORD} to ${LONGEST_PASSWORD} bytes`)
  }
}
