import { sortKey } from './ip.js'
import { COMMAND_STATES, type CommandState, type HostCommand } from './shapes.js'
import { timeOf } from './time.js'

/** What each type takes, as in common/commands.ts, in the order in which they are offered. */
export const COMMAND_PARAMS = {
  whitelist_sync: [],
  blocklist_sync: [],
  list_jails: [],
  list_bans: [],
  jail_status: ['jail'],
  ban_ip: ['jail', 'ip'],
  unban_ip: ['jail', 'ip'],
  health: [],
  fail2ban_reload: []
} as const
export type CommandType = keyof typeof COMMAND_PARAMS
export const COMMAND_TYPES = Object.keys(COMMAND_PARAMS) as CommandType[]

/** What a type of command has to be told. */
export function paramsOf(type: CommandType): readonly ('jail' | 'ip')[] {
  return COMMAND_PARAMS[type]
}

export const COMMAND_COLUMNS = ['state', 'command', 'server', 'by', 'since'] as const
export type CommandColumn = (typeof COMMAND_COLUMNS)[number]

/** True while a command waits or runs. */
export function isOpen({ state }: HostCommand): boolean {
  return state === 'pending' || state === 'running'
}

/** Commands that have the text anywhere, how many of them are in each state, and those in the state, sorted. */
export function commandRows(
  commands: readonly HostCommand[],
  wanted: { text: string; state: string; column: CommandColumn; descending: boolean },
  nameOf: (type: string) => string
): { rows: HostCommand[]; counts: Record<CommandState, number> } {
  const text = wanted.text.trim().toLowerCase()
  const counts: Record<CommandState, number> = { pending: 0, running: 0, completed: 0, failed: 0, timeout: 0 }
  const found = commands.filter(one => {
    if (text !== '' && !textOf(one, nameOf).includes(text)) return false
    counts[one.state]++
    return wanted.state === '' || one.state === wanted.state
  })
  const sign = wanted.descending ? -1 : 1
  const keyed = found.map(one => ({ one, key: orderKey(one, wanted.column) }))
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0))
  return { rows: keyed.map(({ one }) => one), counts }
}

function textOf(one: HostCommand, nameOf: (type: string) => string): string {
  const { server_id, command_type, params, created_by } = one
  return [server_id, command_type, nameOf(command_type), params.jail, params.ip, created_by]
    .join('\n')
    .toLowerCase()
}

function orderKey(one: HostCommand, column: CommandColumn): string | number {
  switch (column) {
    case 'state':
      return COMMAND_STATES.indexOf(one.state)
    case 'command':
      return `${one.command_type}\n${one.params.jail ?? ''}\n${one.params.ip === undefined ? '' : sortKey(one.params.ip)}`
    case 'server':
      return one.server_id
    case 'by':
      return one.created_by.toLowerCase()
    case 'since':
      return timeOf(one.created_at) || 0
  }
}
