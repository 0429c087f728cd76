import { effect, signal } from '@preact/signals'
import { get, Refusal } from './api.js'
import { commandStands } from './commanding.js'
import { isCopy } from './copy.js'
import { lookForNews } from './resource.js'
import { mayChange, session } from './session.js'
import type { Settings } from '../data/shapes.js'

/** What the hub says: something has changed; what it is now is asked for as ever. */
interface HubMessage {
  type: string
  data?: { server?: unknown; id?: unknown; state?: unknown }
}

/** Which of the API's answers a message concerns. */
const EVENTS = /^(columns|statistics|warnings|address|servers)\b/
const CONCERNS: Record<string, RegExp> = {
  ban_event: EVENTS,
  unban_event: EVENTS,
  blocklist_changed: /^(blocklists|address|servers)\b/,
  server_status: /^servers\b/,
  command_result: /^(servers|v1\/commands)\b/,
  whitelist_changed: /^(whitelist|blocklists|address|servers)\b/
}

const COMMANDS = /^v1\/commands\b/

/** How often what is shown is asked for without a hub; milliseconds. */
const POLL_MS = 8000
/** With a hub: only in case that it has missed something. */
const POLL_BESIDE_HUB_MS = 64_000
/** A hub that is silent for so long is gone: its heart beats every 30 s. */
const SILENT_MS = 75_000
/** News that come together are asked for together; under attack no more often than this. */
const GATHER_MS = 150
const REST_MS = 2000
/** Hosts report all the time, a thousand of them 17 times a second: that alone is asked for no more often than this. */
const STATUS_REST_MS = 20_000
const RETRY_MS = { first: 1000, most: 60_000 }

/** True while the hub tells of changes: nothing is polled meanwhile. */
export const hubIsUp = signal(false)

/** Keeps the page up to date: by the hub where the server has one, else by asking. */
export function startLive(): void {
  if (isCopy) return
  let lastPoll = 0
  const poll = () => {
    lastPoll = Date.now()
    lookForNews(() => true)
  }
  setInterval(() => {
    if (Date.now() - lastPoll >= (hubIsUp.value ? POLL_BESIDE_HUB_MS : POLL_MS)) poll()
    // What becomes of commands, the hub tells admins only.
    else if (!mayChange.value) lookForNews(path => COMMANDS.test(path))
  }, POLL_MS)
  document.addEventListener('visibilitychange', poll)
  const gather = gatherer()
  let link: { close: () => void } | undefined
  effect(() => {
    const user = session.value?.user
    link?.close()
    link = user === undefined ? undefined : linkTo(gather, poll)
  })
}

/** Connects to the hub, and again whenever the connection breaks, until it is closed. */
function linkTo(tell: (message: HubMessage) => void, poll: () => void): { close: () => void } {
  let socket: WebSocket | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let wait = RETRY_MS.first
  let closed = false
  const retry = (begin: () => void) => {
    if (closed) return
    // Not all at once when a server with many readers comes back.
    timer = setTimeout(begin, wait * (0.5 + Math.random()))
    wait = Math.min(RETRY_MS.most, wait * 2)
  }
  const connect = () => {
    const url = new URL('api/ws', document.baseURI)
    url.protocol = url.protocol.replace('http', 'ws')
    const opened = new WebSocket(url)
    socket = opened
    let silence: ReturnType<typeof setTimeout> | undefined
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(() => opened.close(), SILENT_MS)
    }
    opened.onopen = () => {
      hubIsUp.value = true
      wait = RETRY_MS.first
      heard()
      // What happened between the last look and now was told to nobody here.
      poll()
    }
    opened.onmessage = event => {
      heard()
      tell(read(event.data))
    }
    opened.onclose = () => {
      clearTimeout(silence)
      if (socket !== opened || closed) return
      hubIsUp.value = false
      // A session that has ended closes it as well: that is told by the next answer.
      poll()
      retry(connect)
    }
  }
  const begin = async () => {
    try {
      if ((await get<Settings>('settings', { byItself: true }))?.value.hub === true && !closed) connect()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      retry(() => void begin())
    }
  }
  void begin()
  return {
    close: () => {
      closed = true
      clearTimeout(timer)
      socket?.close()
      hubIsUp.value = false
    }
  }
}

function read(text: unknown): HubMessage {
  try {
    const message = JSON.parse(String(text)) as HubMessage | null
    return message ?? { type: '' }
  } catch {
    return { type: '' }
  }
}

/** Gathers messages, then looks for news of what they concern. */
function gatherer(): (message: HubMessage) => void {
  let gathered: HubMessage[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  let due = Infinity
  let lastLook = 0
  const look = () => {
    const messages = gathered
    gathered = []
    due = Infinity
    lastLook = Date.now()
    lookForNews(path => messages.some(message => concerns(message, path)), true)
  }
  return message => {
    if (CONCERNS[message.type] === undefined) return
    if (message.type === 'command_result') commandStands(message.data ?? {})
    gathered.push(message)
    const now = Date.now()
    const rest = message.type === 'server_status' ? STATUS_REST_MS : REST_MS
    const at = Math.max(now + GATHER_MS, lastLook + rest)
    if (at >= due) return
    clearTimeout(timer)
    due = at
    timer = setTimeout(look, at - now)
  }
}

function concerns({ type, data }: HubMessage, path: string): boolean {
  if (CONCERNS[type]?.test(path) !== true) return false
  const asked = new URLSearchParams(path.split('?')[1] ?? '')
  const of = asked.get('server') ?? asked.get('server_id')
  return of === null || typeof data?.server !== 'string' || data.server === of
}
