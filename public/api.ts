/** What the server says of who is logged in. */
export interface Session {
  user: string
  role: 'admin' | 'viewer'
  csrf: string
}

/** One list of a server, in numbers. */
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
  host: { lastSeen?: string; lastSync?: string; version?: string; firewall?: string }
  lists: ListSummary[]
  setAside: string[]
  problem?: string
}

export interface Overview {
  time: string
  servers: ServerSummary[]
}

/** An entry as it stands in the file (sync-contract.md §1); old ones lack fields. */
export interface BlocklistEntry {
  ip: string
  timestamp?: string | null
  expires?: string | null
  reason?: string | null
  active?: boolean
  pending?: boolean
}

export interface Entries {
  server: string
  jail: string
  entries: BlocklistEntry[]
}

/** What came of a block or an unblock. */
export interface Changed {
  success: boolean
  message: string
  results: { ip: string; outcome: string; message: string }[]
}

/** What the server refused; the message is meant for people. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly results: Changed['results'] = []
  ) {
    super(message)
  }
}

/** Reads from the API. Paths are relative to the page: the base path does not matter. @throws Refusal */
export async function get<T>(path: string, query: Record<string, string> = {}): Promise<T> {
  const search = new URLSearchParams(query).toString()
  return answer<T>(fetch(search === '' ? `api/${path}` : `api/${path}?${search}`))
}

/** Sends a change. @param csrf the session's token; none for the log-in @throws Refusal */
export async function post<T>(path: string, body: object, csrf?: string): Promise<T> {
  const headers = {
    'content-type': 'application/json',
    ...(csrf === undefined ? {} : { 'x-csrf-token': csrf })
  }
  return answer<T>(fetch(`api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function answer<T>(request: Promise<Response>): Promise<T> {
  const response = await request.catch(() => {
    throw new Refusal(0, 'The server does not answer. Try again.')
  })
  const reply = (await response.json().catch(() => ({}))) as Partial<Changed>
  if (response.ok) return reply as T
  throw new Refusal(
    response.status,
    reply.message ?? `The server answered ${response.status}.`,
    reply.results
  )
}
