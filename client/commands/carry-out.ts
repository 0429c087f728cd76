import {
  boundedOutput,
  checkParams,
  isCommandType,
  type CommandOutcome,
  type CommandType
} from '../../common/commands.js'
import { messageOf, ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { refusalOf, type Guard } from '../cycle/wanted.js'
import type { Fail2ban } from '../fail2ban/fail2ban.js'

/** A command as it came from the server: unchecked. */
export interface ReceivedCommand {
  id: string
  type: string
  params: Record<string, unknown>
}

/** What commands act on. */
export interface CommandHost {
  /** Types this host takes, by its own settings. */
  allowed: readonly CommandType[]
  fail2ban: Fail2ban
  /** Whether fail2ban may be changed; not where blocks are only played. */
  mayChange: boolean
  guard: Guard
  /** Syncs the whitelist. @throws ProductError when that failed */
  whitelistSync: () => Promise<string>
  /** What came of the cycle that fetched the commands. @throws ProductError when it failed */
  blocklistSync: () => string
  health: () => Promise<string>
}

/** Does what a command says, if this host takes it. Never throws: what goes wrong is the outcome. */
export async function carryOut(given: ReceivedCommand, host: CommandHost): Promise<CommandOutcome> {
  try {
    return { id: given.id, state: 'completed', output: boundedOutput(await outputOf(given, host)) }
  } catch (error) {
    return { id: given.id, state: 'failed', output: boundedOutput(messageOf(error)) }
  }
}

/** These change what fail2ban does. */
const CHANGES: readonly CommandType[] = ['ban_ip', 'unban_ip', 'fail2ban_reload']

async function outputOf({ type, params }: ReceivedCommand, host: CommandHost): Promise<string> {
  if (!isCommandType(type)) throw new ProductError('BAD_INPUT', `this host knows no ${printable(type, 64)}`)
  if (!host.allowed.includes(type)) {
    throw new ProductError('NOT_ALLOWED', `its setting "commands" has no ${type}`)
  }
  const { jail = '', ip } = checkParams(type, params)
  const { fail2ban } = host
  if (CHANGES.includes(type) && !host.mayChange) {
    throw new ProductError('REFUSED', 'firewall = dry-run: this host only plays, and changes nothing')
  }
  if (jail !== '' && !(await fail2ban.jails()).includes(jail)) {
    throw new ProductError('NOT_FOUND', `fail2ban runs no jail ${jail}`)
  }
  switch (type) {
    case 'whitelist_sync':
      return host.whitelistSync()
    case 'blocklist_sync':
      return host.blocklistSync()
    case 'health':
      return host.health()
    case 'list_jails':
      return (await fail2ban.jails()).join('\n')
    case 'list_bans':
      return JSON.stringify(Object.fromEntries(await fail2ban.banned()))
    case 'jail_status':
      return fail2ban.ask('status', jail)
    case 'fail2ban_reload':
      return fail2ban.ask('reload')
    case 'ban_ip':
    case 'unban_ip': {
      // Which `checkParams` has seen to.
      if (ip === undefined) throw new ProductError('BAD_ADDRESS')
      if (type === 'unban_ip') {
        return (await fail2ban.unbanIn(jail, ip))
          ? `${ip} is let in again by ${jail}`
          : `${jail} had not banned ${ip}`
      }
      const why = refusalOf(ip, host.guard)
      if (host.guard.unsure !== undefined) throw new ProductError('CONFLICT', host.guard.unsure)
      if (why !== undefined) throw new ProductError('CONFLICT', `${ip} is not to be banned here: ${why}`)
      await fail2ban.ban(jail, ip)
      return `${ip} is banned in ${jail}`
    }
  }
}
