import { randomBytes, randomUUID } from 'node:crypto'
import { hash } from '@node-rs/bcrypt'
import { address, AddressSet, parseAddress } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { type JsonFiles } from '../../common/json-file.js'
import { serverName, type ServerName } from '../../common/names.js'
import type { ClientEntry } from '../../common/shapes.js'
import type { AuditStore } from './audit.js'
import type { AuditActor, AuditDraft } from './audit-row.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'

/** bcrypt's cost for what this product makes; PHP's own hashes keep theirs. */
export const BCRYPT_COST = 12
/**
 * Its cost for callback secrets: 192 random bits can't be guessed, and a ban is to be seen within a second, also where
 * the hash was not checked for long.
 */
const CALLBACK_COST = 8

/** What a new client's host must be told, once: the password is stored as a hash only. */
export interface NewClient {
  username: ServerName
  password: string
  uuid: string
  /** What fail2ban on the host sends with its callbacks. */
  callbackSecret: string
}

/** client-list.json: who may sync, one entry per host. */
export class ClientStore {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly audit: AuditStore
  ) {}

  /**
   * The list and its version (empty when there is no file).
   * @throws ProductError FILE_CORRUPT; the file is left as it is, a person may be editing it
   */
  async list(): Promise<{ clients: readonly ClientEntry[]; version: string }> {
    const { value, version } = await this.files.read(this.paths.clientList(), KINDS.clientList)
    return { clients: value, version }
  }

  /** Adds a client with a fresh UUID and a strong password. @throws ProductError CONFLICT, BAD_NAME, BAD_ADDRESS */
  async add(name: string, addresses: readonly string[], actor: AuditActor): Promise<NewClient> {
    const username = serverName(name)
    const password = randomBytes(24).toString('base64url')
    const uuid = randomUUID()
    const callbackSecret = randomBytes(24).toString('base64url')
    const entry: ClientEntry = {
      username,
      password: await bcrypt(password),
      uuid,
      callback: await bcrypt(callbackSecret, CALLBACK_COST),
      ip: restriction(addresses)
    }
    const row: AuditDraft = { what: 'client-added', server: username, before: null, after: { ip: entry.ip } }
    await this.#change(actor, row, clients => {
      if (clients.some(client => client.username === username)) {
        throw new ProductError('CONFLICT', `there is a client ${username} already; edit or remove it`)
      }
      return [...clients, entry]
    })
    return { username, password, uuid, callbackSecret }
  }

  /**
   * Changes a client. @param edit `addresses` replaces the restriction (none lifts it); `renew` makes a new
   * password, `renewCallback` a new secret for callbacks; both are returned. @throws ProductError NOT_FOUND, BAD_ADDRESS
   */
  async edit(
    name: string,
    edit: { addresses?: readonly string[]; renew?: boolean; renewUuid?: boolean; renewCallback?: boolean },
    actor: AuditActor
  ): Promise<{ password?: string; uuid: string; callbackSecret?: string }> {
    const password = edit.renew === true ? randomBytes(24).toString('base64url') : undefined
    const hashed = password === undefined ? undefined : await bcrypt(password)
    const callbackSecret = edit.renewCallback === true ? randomBytes(24).toString('base64url') : undefined
    const callback = callbackSecret === undefined ? undefined : await bcrypt(callbackSecret, CALLBACK_COST)
    const ip = edit.addresses === undefined ? undefined : restriction(edit.addresses)
    let uuid = ''
    const row: AuditDraft = { what: 'client-edited', server: name }
    await this.#change(actor, row, clients =>
      replaceNamed(clients, name, client => {
        const next = {
          ...client,
          ...(hashed === undefined ? {} : { password: hashed }),
          ...(callback === undefined ? {} : { callback }),
          ...(ip === undefined ? {} : { ip }),
          ...(edit.renewUuid === true ? { uuid: randomUUID() } : {})
        }
        uuid = next.uuid
        row.before = ip === undefined ? {} : { ip: client.ip ?? '' }
        row.after = {
          ...(ip === undefined ? {} : { ip }),
          // That they are new, never what they are.
          ...(hashed === undefined ? {} : { password: 'renewed' }),
          ...(callback === undefined ? {} : { callback: 'renewed' }),
          ...(edit.renewUuid === true ? { uuid: 'renewed' } : {})
        }
        return next
      })
    )
    return {
      uuid,
      ...(password === undefined ? {} : { password }),
      ...(callbackSecret === undefined ? {} : { callbackSecret })
    }
  }

  /** Removes a client; its archive stays. @throws ProductError NOT_FOUND */
  async remove(name: string, actor: AuditActor): Promise<void> {
    await this.#change(actor, { what: 'client-removed', server: name }, clients =>
      withoutNamed(clients, name)
    )
  }

  /** Adds hosts of another installation, hashes and all, whose names `wanted` takes. @param wanted told the present entry */
  async takeOver(
    clients: readonly ClientEntry[],
    wanted: (theirs: ClientEntry, ours: ClientEntry | undefined) => boolean,
    actor: AuditActor
  ): Promise<void> {
    await this.#changeAll(actor, present => {
      const { next, changed } = withTaken(present, clients, wanted)
      const rows = changed.map(({ before, after }): AuditDraft => ({
        what: before === undefined ? 'client-added' : 'client-edited',
        server: after.username,
        before: before === undefined ? null : { ip: before.ip ?? '' },
        after: { ip: after.ip ?? '' }
      }))
      return { next, rows }
    })
  }

  async #change(
    actor: AuditActor,
    row: AuditDraft,
    decide: (clients: ClientEntry[]) => ClientEntry[]
  ): Promise<void> {
    await this.#changeAll(actor, clients => ({ next: decide(clients), rows: [row] }))
  }

  async #changeAll(
    actor: AuditActor,
    decide: (clients: ClientEntry[]) => { next: ClientEntry[]; rows: AuditDraft[] }
  ): Promise<void> {
    const path = this.paths.clientList()
    await this.files.change(path, KINDS.clientList, current => {
      const { next, rows } = decide(current.value)
      if (rows.length === 0) return { result: undefined }
      const file = { path, current }
      return { ...this.audit.change(undefined, file, next, actor, rows), result: undefined }
    })
  }
}

/** A bcrypt hash spelled as PHP does (`$2y$`), so that an existing installation can read it. */
export async function bcrypt(password: string, cost = BCRYPT_COST): Promise<string> {
  return (await hash(password, cost)).replace(/^\$2b\$/, '$2y$')
}

/** Replaces the entry of that name. @throws ProductError NOT_FOUND */
export function replaceNamed<T extends { username: string }>(
  all: readonly T[],
  name: string,
  edit: (one: T) => T
): T[] {
  if (!all.some(one => one.username === name)) throw notThere(name)
  return all.map(one => (one.username === name ? edit(one) : one))
}

/** Removes the entry of that name. @throws ProductError NOT_FOUND */
export function withoutNamed<T extends { username: string }>(all: readonly T[], name: string): T[] {
  if (!all.some(one => one.username === name)) throw notThere(name)
  return all.filter(one => one.username !== name)
}

/** Puts those of `theirs` that `wanted` takes in the place of the present entry of that name, or behind the others. */
export function withTaken<T extends { username: string }>(
  present: readonly T[],
  theirs: readonly T[],
  wanted: (theirs: T, ours: T | undefined) => boolean
): { next: T[]; changed: { before: T | undefined; after: T }[] } {
  const next = [...present]
  const changed: { before: T | undefined; after: T }[] = []
  for (const after of theirs) {
    const at = next.findIndex(one => one.username === after.username)
    const before = next[at]
    if (!wanted(after, before)) continue
    changed.push({ before, after })
    if (at < 0) next.push(after)
    else next[at] = after
  }
  return { next, changed }
}

function notThere(name: string): ProductError {
  return new ProductError('NOT_FOUND', `there is no ${JSON.stringify(name.slice(0, 80))} in the list`)
}

function restriction(addresses: readonly string[]): string | string[] {
  const parsed = addresses.map(text => address(text))
  return parsed.length === 0 ? '' : parsed.length === 1 ? (parsed[0] ?? '') : parsed
}

/** What an entry's `ip` allows: undefined means every address; texts that are no address allow none. */
export function allowedPeers(entry: ClientEntry): AddressSet | undefined {
  const texts = typeof entry.ip === 'string' ? [entry.ip] : (entry.ip ?? [])
  const given = texts.map(text => text.trim()).filter(text => text !== '')
  if (given.length === 0) return undefined
  return new AddressSet(given.flatMap(text => parseAddress(text) ?? []))
}
