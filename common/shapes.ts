import * as Type from 'typebox'
import type { Static, TSchema } from 'typebox'
import { timeOf } from './clock.js'
import { compileSchema, type CompiledSchema } from './compile-schema.js'

/** Limits on what is read from a peer: far above what a host makes, far below what hurts. */
export const LIMITS = {
  /** Bytes of one uploaded file. */
  uploadBytes: 64 * 1024 * 1024,
  /** Files in one upload. */
  uploadFiles: 200,
  /** Entries of one blocklist. */
  listEntries: 500_000,
  /** Events of one day. */
  dayEvents: 1_000_000,
  /** Characters of all lists that a host takes from its server. */
  hostCharacters: 256 * 1024 * 1024,
  /** Characters of a reason, of a source and of a tag, and tags, that an admin may give an entry. */
  reason: 1000,
  source: 100,
  tag: 100,
  tags: 20
} as const

/** sync-contract.md §1. Fields beyond these are kept as they are. Old entries may lack any field but `ip`. */
export const BlocklistEntry = Type.Object({
  ip: Type.String({ minLength: 1, maxLength: 64 }),
  jail: Type.Optional(Type.String({ maxLength: 256 })),
  source: Type.Optional(Type.Union([Type.String({ maxLength: 1024 }), Type.Null()])),
  timestamp: Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
  expires: Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
  reason: Type.Optional(Type.Union([Type.String({ maxLength: 4096 }), Type.Null()])),
  active: Type.Optional(Type.Boolean()),
  lastModified: Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Null()])),
  tags: Type.Optional(
    Type.Union([Type.Array(Type.String({ maxLength: 256 }), { maxItems: 64 }), Type.Null()])
  ),
  pending: Type.Optional(Type.Boolean())
})
export type BlocklistEntry = Static<typeof BlocklistEntry>

export const Blocklist = Type.Array(BlocklistEntry, { maxItems: LIMITS.listEntries })
export type Blocklist = BlocklistEntry[]

/** fail2ban's actions as they stand in the daily files. */
export const EVENT_ACTIONS = ['Ban', 'Unban', 'Increase Ban', 'Restore Ban'] as const
export type EventAction = (typeof EVENT_ACTIONS)[number]

export const BanEvent = Type.Object({
  timestamp: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2} \\d{2}:\\d{2}:\\d{2}(,\\d{3})?$' }),
  action: Type.Union(EVENT_ACTIONS.map(action => Type.Literal(action))),
  ip: Type.String({ minLength: 1, maxLength: 64 }),
  jail: Type.String({ minLength: 1, maxLength: 256 })
})
/** One line of fail2ban.log; `timestamp` is the host's local time as logged. */
export interface BanEvent {
  timestamp: string
  action: EventAction
  ip: string
  jail: string
}
export const DayEvents = Type.Array(BanEvent, { maxItems: LIMITS.dayEvents })

/** archive/update.json: `true` waits for the client, `false` handed out, absent in sync. */
// PHP writes an array whose last key went as [].
const PhpEmpty = Type.Array(Type.Unknown(), { maxItems: 0 })
export const UpdateIndex = Type.Union([
  Type.Record(Type.String(), Type.Union([Type.Record(Type.String(), Type.Boolean()), PhpEmpty])),
  PhpEmpty
])
export type UpdateIndex = Record<string, Record<string, boolean>>

export const ClientEntry = Type.Object({
  username: Type.String(),
  password: Type.String(),
  uuid: Type.String(),
  /** Hash of the secret that fail2ban on the host sends with its callbacks; older entries have none. */
  callback: Type.Optional(Type.String()),
  ip: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String()), Type.Null()]))
})
export type ClientEntry = Static<typeof ClientEntry>
export const ClientList = Type.Array(ClientEntry)

export const UserEntry = Type.Object({
  username: Type.String(),
  password: Type.String(),
  role: Type.Union([Type.Literal('admin'), Type.Literal('viewer')])
})
export type UserEntry = Static<typeof UserEntry>
export const UserList = Type.Array(UserEntry)
export type Role = UserEntry['role']

/** A check that tells what is wrong, or undefined when the value has the shape. */
export type ShapeCheck = (value: unknown) => string | undefined

/**
 * Undoes what PHP does to an array with gaps: it writes `{"0": …, "2": …}`. Anything else stays as it is.
 * For files that PHP filtered without renumbering.
 */
export function phpArray(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const rows = Object.entries(value)
  return rows.length > 0 && rows.every(([key]) => /^\d+$/.test(key))
    ? rows.map(([, row]) => row as unknown)
    : value
}

/** Every schema there is a check of: the build compiles them beforehand (client/vite.config.mjs). */
export const checkedSchemas: TSchema[] = []

/**
 * A check by a schema, which is compiled at its first use: a process meets few of them. To be called once for each
 * schema. The message names the place and the rule, never the value.
 */
export function shapeCheck(schema: TSchema): ShapeCheck {
  checkedSchemas.push(schema)
  let validate: CompiledSchema | undefined
  return value => {
    validate ??= compileSchema(schema)
    if (validate(value)) return undefined
    const error = validate.errors?.[0]
    return error === undefined
      ? 'wrong shape'
      : `${error.instancePath || 'the file'} ${error.message ?? ''}`.trim()
  }
}

/** True while the entry asks for a block at `now`: active (absent counts as true) and not expired (§5.7). */
export function asksForBlock(entry: BlocklistEntry, now: number): boolean {
  return entry.active !== false && !isExpired(entry, now)
}

/** True when the entry has an end and it has passed (§5.7). An `expires` that is no date never passes. */
export function isExpired(entry: BlocklistEntry, now: number): boolean {
  return timeOf(entry.expires) <= now
}
