import type { BlocklistEntry } from '../../common/shapes.js'

/** Replies of the API, as server/api declares them. */
export interface ListSummary {
  jail: string
  update: 'waits' | 'handed-out' | 'in-sync'
  active: number
  pendingBlock: number
  pendingUnblock: number
  expired: number
}

export interface ServerSummary {
  name: string
  host: {
    lastSeen?: string
    lastSync?: string
    version?: string
    firewall?: string
    clockSkewMs?: number
    peer?: string
    /** How the host's copy of the whitelist was last synced. */
    whitelist?: WhitelistSync
  }
  lists: ListSummary[]
  /** Whether that copy is what holds for the host now; absent when nobody can say. */
  whitelistInStep?: boolean
  setAside: string[]
  problem?: string
}

export interface Overview {
  /** The server's time. */
  time: string
  /** The server's day, `YYYYMMDD`. */
  today: string
  servers: ServerSummary[]
  setAside: string[]
}

export interface Numbers {
  bans: number
  unbans: number
  addresses: number
}
export interface JailNumbers {
  jail: string
  bans: number
  unbans: number
}
export interface TopAddress {
  ip: string
  bans: number
  servers: number
  days: number
  /** ISO 3166-1 alpha-2; null where it is not known. */
  country: string | null
}
type By<Period extends string, T> = Record<Period, T>

export interface ServerNumbers {
  server: string
  today: number
  yesterday: number
  mean7: number
  warnings: number
  critical: number
  hours: number[]
}
export interface Statistics {
  time: string
  today: string
  /** The hour that is running. */
  hour: number
  periods: By<'today' | 'yesterday' | 'days7' | 'days30', Numbers>
  mean7: number
  jails: By<'today' | 'days7' | 'days30', JailNumbers[]>
  top: By<'today' | 'days7' | 'days30', TopAddress[]>
  days: { day: string; bans: number; unbans: number; increases: number; hours: number[] }[]
  servers: ServerNumbers[]
}

export interface Warnings {
  day: string
  threshold: { warning: number; critical: number } | null
  warnings: Warning[]
}
export interface Warning {
  server: string
  jail: string
  minute: string
  level: 'warning' | 'critical'
  events: number
  addresses: number
}

export interface Settings {
  version: string
  defaultServer: string
  maxDisplayDays: number
  lookups: LookupName[]
  /** True where the server tells of changes by itself. */
  hub: boolean
}
export type LookupName = 'dns' | 'abuseipdb' | 'ipinfo'
export interface Lookup {
  ip: string
  source: string
  at: string
  facts: Record<string, string>
}

export interface AddressReply {
  ip: string
  country: string | null
  total: number
  events: { server: string; timestamp: string; action: string; jail: string }[]
  entries: { server: string; jail: string; entry: BlocklistEntry }[]
  /** Null while the whitelist can't be read. */
  whitelist: WhitelistEntry[] | null
}

/** Addresses that are never blocked; old entries may lack all but `ip`. */
export interface WhitelistEntry {
  ip: string
  description?: string
  addedBy?: string
  addedAt?: string
  expires?: string | null
  /** Empty or absent: on every server. */
  servers?: string[] | null
}
export interface Whitelist {
  entries: WhitelistEntry[]
}

/** A host's last pull of the whitelist. */
export interface WhitelistSync {
  at: string
  result: 'success' | 'fail' | 'unchanged'
  /** SHA-256 (hex) of what the host has; empty when it has nothing. */
  hash: string
  message?: string
}

export const COMMAND_STATES = ['pending', 'running', 'completed', 'failed', 'timeout'] as const
export type CommandState = (typeof COMMAND_STATES)[number]
/** Something a host is told to do; times are ISO 8601. */
export interface HostCommand {
  id: string
  server_id: string
  command_type: string
  params: { jail?: string; ip?: string }
  state: CommandState
  created_at: string
  created_by: string
  started_at: string | null
  ended_at: string | null
  /** Absent in lists, and for viewers. Text of a host. */
  output?: string | null
}
export interface Commands {
  commands: HostCommand[]
}
export interface OneCommand {
  command: HostCommand
}

/** Who made a change. */
export interface Actor {
  kind: 'user' | 'cli' | 'client' | 'server'
  name: string
  from: string
}
/** What became of one wish; times are ISO 8601, null where it did not come to pass. */
export interface HistoryStep {
  what: string
  by: Actor | null
  asked: string | null
  handedOut: string | null
  done: string | null
  doneBy: Actor | null
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
}
export interface History {
  history: HistoryStep[]
}
/** A line of a host's audit trail. */
export interface AuditRow {
  id: string
  time: string
  what: string
  actor: Actor
  jail?: string
  ip?: string
  recovered?: boolean
}
export interface AuditPage {
  server: string
  rows: AuditRow[]
  /** Null when there are no older ones. */
  next: string | null
}

/** One list. */
export interface Entries {
  server: string
  jail: string
  entries: BlocklistEntry[]
}

/** One day's events by column; see server/api/columns.ts. */
export interface Columns {
  server: string
  day: string
  time: number[]
  action: number[]
  ip: number[]
  jail: number[]
  actions: string[]
  ips: string[]
  jails: string[]
}
export type { BlocklistEntry }
