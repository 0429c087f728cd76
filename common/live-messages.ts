import * as Type from 'typebox'
import { shapeCheck, type EventAction } from './shapes.js'

/** A ban or unban on a host, as browsers are told of it. */
export interface HostEvent {
  server: string
  /** The host's local time, as in its daily file. */
  timestamp: string
  action: EventAction
  ip: string
  jail: string
  /** Told by fail2ban itself at that moment, or found in an uploaded daily file. */
  via: 'callback' | 'file'
  hostname?: string
  failures?: number
  /** Lines of the host's log, which attackers have a hand in; for admins only. */
  logs?: string
}

/** What each type of message carries. */
export interface LiveData {
  heartbeat: Record<string, never>
  ban_event: HostEvent
  unban_event: HostEvent
  /** A list of a host was changed, handed out or synced back; `update` as in GET /api/servers. */
  blocklist_changed: {
    server: string
    jail: string
    list: string
    update: 'waits' | 'handed-out' | 'in-sync'
  }
  /** A host was heard of: what it told (GET /api/servers), or how many events of a day it has sent. */
  server_status: { server: string; lastSeen?: string; lastSync?: string; day?: string; events?: number }
  command_result: { server: string; id: string; type: string; state: string }
  /** Empty `servers` for all. */
  whitelist_changed: { servers: string[] }
  /** A line of the server's own log. */
  console_log: { line: Record<string, unknown> }
}

export type LiveType = keyof LiveData

/** One message to a browser; `time` is ISO 8601 by the server's clock. */
export type LiveMessage = {
  [Name in LiveType]: { type: Name; time: string; data: LiveData[Name] }
}[LiveType]

/** Types that go from one server process to the others, by way of the archive. */
export const SHARED_TYPES = [
  'ban_event',
  'unban_event',
  'blocklist_changed',
  'server_status',
  'command_result',
  'whitelist_changed'
] as const satisfies readonly LiveType[]
export type SharedType = (typeof SHARED_TYPES)[number]

/** A message that processes share, or the wish that a host that waits be told to come and ask, `after` milliseconds. */
export type LiveNote =
  | Extract<LiveMessage, { type: SharedType }>
  | { type: 'wake'; time: string; data: { server: string; after?: number } }

/** Messages that viewers are not sent. */
export const ADMINS_ONLY: ReadonlySet<LiveType> = new Set(['console_log', 'command_result'])

/** What a host that waits on the wake channel is told: come and ask update.php. It is told nothing else. */
export const WAKE_TEXT = '{"type":"wake"}'

const isNote = shapeCheck(
  Type.Object({
    type: Type.Union([...SHARED_TYPES, 'wake' as const].map(type => Type.Literal(type))),
    time: Type.String(),
    data: Type.Object({})
  })
)

/** Reads a line of the notes; undefined for half a line, or one of another version of this product. */
export function readNote(line: string): LiveNote | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isNote(value) === undefined ? (value as LiveNote) : undefined
  } catch {
    return undefined
  }
}
