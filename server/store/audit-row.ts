import * as Type from 'typebox'
import type { Static } from 'typebox'
import { shapeCheck } from '../../common/shapes.js'

/**
 * Who made a change: someone logged in, someone with a shell, a host, the server by itself (an end that came), or a
 * program with a key.
 */
export const ACTOR_KINDS = ['user', 'cli', 'client', 'server', 'key'] as const
export const AuditActor = Type.Object({
  kind: Type.Unsafe<(typeof ACTOR_KINDS)[number]>({ type: 'string', enum: [...ACTOR_KINDS] }),
  /** User name; for `key` its name; for `cli` the operating system's user; for `client` the server name. */
  name: Type.String(),
  /** The peer's address; `cli` for a command on this machine. */
  from: Type.String()
})
/** Who made a change, and from where. */
export type AuditActor = Static<typeof AuditActor>

/** The actor of what nobody asked for at that moment. */
export const THE_SERVER: AuditActor = { kind: 'server', name: '', from: '' }

/** A host that syncs. @param peer the address its request came from */
export function clientActor(server: string, peer: string): AuditActor {
  return { kind: 'client', name: server, from: peer }
}

/** What may happen to a list's entry, to a whole list, and to those who may log in or sync. */
export const AUDITED = [
  'block',
  'unblock',
  'expired',
  'in-force',
  'removed',
  'kept',
  'added',
  'changed',
  'handed-out',
  'list-stored',
  'client-added',
  'client-edited',
  'client-removed',
  'user-added',
  'user-password',
  'user-removed',
  'whitelist-added',
  'whitelist-changed',
  'whitelist-removed',
  'key-added',
  'key-removed',
  'command-added',
  'command-ended'
] as const
export type Audited = (typeof AUDITED)[number]

const Side = Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])

/**
 * One line of an audit.jsonl. All text in it may come from a hostile host or log: it is data, to be printed by
 * `printable` only. No password, hash, UUID or key is ever part of it.
 */
export const AuditRow = Type.Object({
  /** `<batch>-<number>`: rows of one change share the batch. */
  id: Type.String({ maxLength: 80 }),
  /** ISO 8601, by the server's clock. */
  time: Type.String({ maxLength: 64 }),
  what: Type.Unsafe<Audited>({ type: 'string', enum: [...AUDITED] }),
  actor: AuditActor,
  /** The host that a change of clients is about; rows of a host's own trail don't repeat it. */
  server: Type.Optional(Type.String()),
  user: Type.Optional(Type.String()),
  /** The API key that a change of keys is about. */
  key: Type.Optional(Type.String()),
  jail: Type.Optional(Type.String()),
  ip: Type.Optional(Type.String()),
  /** The fields that changed, before and after; null where there was, or is, no entry. */
  before: Type.Optional(Side),
  after: Type.Optional(Side),
  /** When it was asked for and handed out, where `what` tells that it is carried out (ISO 8601). */
  asked: Type.Optional(Type.String()),
  handedOut: Type.Optional(Type.String()),
  /** Of how many entries a row speaks that names none. */
  count: Type.Optional(Type.Integer()),
  /** Written later than the change, after a crash in between. */
  recovered: Type.Optional(Type.Boolean()),
  /** Recovered, but the file was changed by other hands meanwhile: whether this took place can't be told. */
  unconfirmed: Type.Optional(Type.Boolean())
})
export type AuditRow = Static<typeof AuditRow>

/** A row before it has an id, a time and an actor. */
export type AuditDraft = Omit<AuditRow, 'id' | 'time' | 'actor' | 'recovered' | 'unconfirmed'>

const check = shapeCheck(AuditRow)

/** The row of one line, or undefined for a line that is none: torn by a crash, or written by other hands. */
export function readRow(line: string): AuditRow | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  return check(value) === undefined ? (value as AuditRow) : undefined
}
