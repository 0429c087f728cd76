import * as Type from 'typebox'
import type { Static } from 'typebox'
import type { JsonKind } from '../../common/json-file.js'
import {
  Blocklist,
  BlocklistEntry,
  ClientList,
  DayEvents,
  LIMITS,
  UpdateIndex,
  UserList,
  phpArray,
  shapeCheck,
  type ClientEntry,
  type UserEntry
} from '../../common/shapes.js'
import type { StoredEvent } from './same-event.js'

const DATA = 0o640
const SECRET = 0o600

/**
 * When a list was last handed out; `latest` is later than every change that was part of it. `out` until it is synced
 * back: `latest` is then of the first hand-over that is still out.
 */
export const HandOvers = Type.Record(
  Type.String(),
  Type.Object({ at: Type.String(), latest: Type.String(), out: Type.Optional(Type.Boolean()) })
)
export type HandOvers = Static<typeof HandOvers>

/** Entries that lists have lost lately, by list and address: their last `lastModified`, and when they went. */
export const GoneEntries = Type.Record(
  Type.String(),
  Type.Record(Type.String(), Type.Object({ lastModified: Type.String(), at: Type.String() }))
)
export type GoneEntries = Static<typeof GoneEntries>

const Count = Type.Integer({ minimum: 0, maximum: LIMITS.dayEvents })
const Counts = Type.Array(Count)
/** What a day came to (day-summary.ts). */
export const KeptDay = Type.Object({
  /** Of the day's file. */
  version: Type.String(),
  bans: Count,
  unbans: Count,
  increases: Count,
  restores: Count,
  hours: Counts,
  jails: Type.Array(Type.Object({ jail: Type.String(), bans: Count, unbans: Count })),
  bursts: Type.Array(
    Type.Object({ jail: Type.String(), minute: Type.String(), events: Count, addresses: Count })
  ),
  /** Addresses as numbers, and how often each was banned. */
  ipv4: Type.Array(Type.Integer({ minimum: 0, maximum: 0xffff_ffff })),
  ipv4Bans: Counts,
  others: Type.Array(Type.String()),
  othersBans: Counts
})
export type KeptDay = Static<typeof KeptDay>

/** Long days of a server, by their files' names. */
export const KeptSums = Type.Object({
  /** Of the program that made them (kept-sums.ts). */
  form: Type.Number(),
  /** Bans of a jail in a minute that made a burst; null for none. */
  least: Type.Union([Type.Number(), Type.Null()]),
  days: Type.Record(Type.String(), KeptDay)
})
export type KeptSums = Static<typeof KeptSums>

/** How a host's copy of the whitelist was last synced; `at` is ISO 8601, by the server's clock. */
export const WhitelistState = Type.Object({
  at: Type.String(),
  result: Type.Union([Type.Literal('success'), Type.Literal('fail'), Type.Literal('unchanged')]),
  /** SHA-256 (hex) of what the host has; empty when it has nothing. */
  hash: Type.String({ maxLength: 64 }),
  message: Type.Optional(Type.String())
})
export type WhitelistState = Static<typeof WhitelistState>

/** What a host tells of itself, and when it was last heard of. Times are ISO 8601. */
export const Host = Type.Object({
  lastSeen: Type.Optional(Type.String()),
  lastSync: Type.Optional(Type.String()),
  peer: Type.Optional(Type.String()),
  addresses: Type.Optional(Type.Array(Type.String())),
  version: Type.Optional(Type.String()),
  firewall: Type.Optional(Type.String()),
  clockSkewMs: Type.Optional(Type.Number()),
  whitelist: Type.Optional(WhitelistState)
})
export type Host = Static<typeof Host>

/** Addresses that are never blocked. */
export const Whitelist = Type.Array(
  Type.Object({
    ip: Type.String(),
    description: Type.Optional(Type.String()),
    addedBy: Type.Optional(Type.String()),
    addedAt: Type.Optional(Type.String()),
    expires: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    servers: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()]))
  })
)
export type Whitelist = Static<typeof Whitelist>

export const KEY_ROLES = ['read', 'write', 'admin'] as const
/** A program's key to the API. */
export const ApiKey = Type.Object({
  name: Type.String(),
  /** SHA-256 (hex) of the secret. */
  hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  /** `read` looks, `write` gives commands, `admin` gives all of them. */
  role: Type.Unsafe<(typeof KEY_ROLES)[number]>({ type: 'string', enum: [...KEY_ROLES] }),
  /** The one host it counts for. */
  server: Type.Optional(Type.String()),
  createdAt: Type.Optional(Type.String())
})
export type ApiKey = Static<typeof ApiKey>

export const COMMAND_STATES = ['pending', 'running', 'completed', 'failed', 'timeout'] as const
/** Something a host is told to do. Times are ISO 8601. */
export const HostCommand = Type.Object({
  id: Type.String({ maxLength: 120 }),
  type: Type.String({ maxLength: 64 }),
  params: Type.Object({ jail: Type.Optional(Type.String()), ip: Type.Optional(Type.String()) }),
  state: Type.Unsafe<(typeof COMMAND_STATES)[number]>({ type: 'string', enum: [...COMMAND_STATES] }),
  createdAt: Type.String(),
  createdBy: Type.String(),
  startedAt: Type.Optional(Type.String()),
  endedAt: Type.Optional(Type.String()),
  /** What it printed: hostile text, bounded. */
  output: Type.Optional(Type.String())
})
export type HostCommand = Static<typeof HostCommand>

export const SessionKey = Type.Object({ key: Type.String({ minLength: 64 }) })
/** Sessions ended before their time, by id: when that begins, and after which time the row may go. ISO times. */
export const EndedSessions = Type.Record(
  Type.String(),
  Type.Object({ from: Type.String(), until: Type.String() })
)
export type EndedSessions = Static<typeof EndedSessions>

/** Every kind of JSON file the server keeps. */
export const KINDS = {
  blocklist: kind<BlocklistEntry[]>(Blocklist, () => [], {
    rows: true,
    mend: phpArray,
    row: { check: shapeCheck(BlocklistEntry), most: LIMITS.listEntries },
    most: LIMITS.uploadBytes
  }),
  events: kind<StoredEvent[]>(DayEvents, () => [], { rows: true, mend: phpArray }),
  updateIndex: kind<UpdateIndex>(UpdateIndex, () => ({})),
  handOvers: kind<HandOvers>(HandOvers, () => ({})),
  sums: kind<KeptSums>(KeptSums, () => ({ form: 0, least: null, days: {} })),
  gone: kind<GoneEntries>(GoneEntries, () => ({})),
  host: kind<Host>(Host, () => ({})),
  // Refused when corrupt: an empty one would let an admin lock out whom it protects.
  whitelist: kind<Whitelist>(Whitelist, () => [], { rows: true, corrupt: 'refuse' }),
  clientList: kind<ClientEntry[]>(ClientList, () => [], { mode: SECRET, corrupt: 'refuse' }),
  userList: kind<UserEntry[]>(UserList, () => [], { mode: SECRET, corrupt: 'refuse' }),
  apiKeys: kind<ApiKey[]>(Type.Array(ApiKey), () => [], { mode: SECRET, corrupt: 'refuse' }),
  commands: kind<HostCommand[]>(Type.Array(HostCommand, { maxItems: 10_000 }), () => [], { rows: true }),
  sessionKey: kind<{ key: string }>(SessionKey, () => ({ key: '' }), { mode: SECRET, corrupt: 'refuse' }),
  endedSessions: kind<EndedSessions>(EndedSessions, () => ({}), { mode: SECRET })
}

function kind<T>(
  schema: Type.TSchema,
  empty: () => T,
  options: Partial<Pick<JsonKind<T>, 'mode' | 'corrupt' | 'rows' | 'row' | 'mend' | 'most'>> = {}
): JsonKind<T> {
  return { check: shapeCheck(schema), empty, mode: DATA, corrupt: 'set-aside', rows: false, ...options }
}
