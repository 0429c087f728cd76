import { randomBytes } from 'node:crypto'
import { isoTime, type Clock } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { type JsonFiles } from '../../common/json-file.js'
import type { ServerName } from '../../common/names.js'
import { sha256 } from '../../common/sha256.js'
import type { AuditStore } from './audit.js'
import type { AuditActor, AuditDraft } from './audit-row.js'
import type { Paths } from './folders.js'
import { KINDS, type ApiKey } from './kinds.js'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** Makes a key that has leaked easy to find. */
const PREFIX = 'f2br_'

/** api-keys.json: which programs may use the API, and what for. */
export class KeyStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly audit: AuditStore,
    private readonly clock: Clock
  ) {}

  /** All keys. @throws ProductError FILE_CORRUPT; the file is left as it is */
  async list(): Promise<readonly ApiKey[]> {
    return (await this.files.read(this.paths.apiKeys(), KINDS.apiKeys)).value
  }

  /**
   * Makes a key. @param server the one host it counts for; undefined for all
   * @returns its secret, which is kept nowhere @throws ProductError CONFLICT, BAD_NAME
   */
  async add(
    name: string,
    role: ApiKey['role'],
    server: ServerName | undefined,
    actor: AuditActor
  ): Promise<string> {
    if (!NAME.test(name)) {
      throw new ProductError(
        'BAD_NAME',
        'a key name has 1 to 64 letters, digits, dots, dashes or underscores and starts with a letter or digit'
      )
    }
    const secret = PREFIX + randomBytes(32).toString('base64url')
    const bound = server === undefined ? {} : { server }
    const key: ApiKey = { name, hash: hashOf(secret), role, ...bound, createdAt: isoTime(this.clock()) }
    const row: AuditDraft = { what: 'key-added', key: name, before: null, after: { role, ...bound } }
    await this.#change(actor, row, keys => {
      if (keys.some(one => one.name === name)) {
        throw new ProductError('CONFLICT', `there is a key ${name} already; remove it first`)
      }
      return [...keys, key]
    })
    return secret
  }

  /** Takes a key out of force at once. @throws ProductError NOT_FOUND */
  async remove(name: string, actor: AuditActor): Promise<void> {
    const row: AuditDraft = { what: 'key-removed', key: name, after: null }
    await this.#change(actor, row, keys => {
      const known = keys.find(one => one.name === name)
      if (known === undefined) throw new ProductError('NOT_FOUND', 'there is no key of that name')
      row.before = { role: known.role, ...(known.server === undefined ? {} : { server: known.server }) }
      return keys.filter(one => one !== known)
    })
  }

  /** The key of a secret; undefined when there is none. */
  async find(secret: string): Promise<ApiKey | undefined> {
    // Hashes are compared, not secrets: the time this takes tells of a hash that nobody can choose.
    const hash = hashOf(secret)
    return (await this.list()).find(one => one.hash === hash)
  }

  async #change(actor: AuditActor, row: AuditDraft, decide: (keys: ApiKey[]) => ApiKey[]): Promise<void> {
    const path = this.paths.apiKeys()
    await this.files.change(path, KINDS.apiKeys, current => {
      const file = { path, current }
      const written = this.audit.change(undefined, file, decide(current.value), actor, [row])
      return { ...written, result: undefined }
    })
  }
}

/** A secret of 256 random bits needs no slow hash: there is nothing to guess. */
function hashOf(secret: string): string {
  return sha256(secret)
}
