import { parseAddress, type Address } from './address.js'
import { ProductError } from './errors.js'

/** What a host can be told to do, and which parameters each type takes. */
export const COMMAND_PARAMS = {
  whitelist_sync: [],
  blocklist_sync: [],
  ban_ip: ['jail', 'ip'],
  unban_ip: ['jail', 'ip'],
  list_bans: [],
  list_jails: [],
  jail_status: ['jail'],
  fail2ban_reload: [],
  health: []
} as const
export type CommandType = keyof typeof COMMAND_PARAMS
export const COMMAND_TYPES = Object.keys(COMMAND_PARAMS) as CommandType[]

/** A command's parameters, checked. */
export interface CommandParams {
  jail?: string
  ip?: Address
}

/** A command as a host is given it. */
export interface GivenCommand {
  id: string
  type: CommandType
  params: CommandParams
}

/** How a command ended on its host. */
export interface CommandOutcome {
  id: string
  state: 'completed' | 'failed'
  /** What it printed or found: hostile text, at most `MOST_OUTPUT` characters. */
  output: string
}

/** Characters of a command's output; what is beyond is cut. */
export const MOST_OUTPUT = 64 * 1024
const CUT = '\n… (cut)'

/** True for the name of a type of command. */
export function isCommandType(text: string): text is CommandType {
  return Object.hasOwn(COMMAND_PARAMS, text)
}

/**
 * Checks what a command is given, on both sides: the server refuses it, and a host trusts no server.
 * @throws ProductError BAD_INPUT, BAD_ADDRESS, BAD_NAME
 */
export function checkParams(type: CommandType, params: Readonly<Record<string, unknown>>): CommandParams {
  const wanted: readonly string[] = COMMAND_PARAMS[type]
  const needs = `${type} takes ${wanted.length === 0 ? 'no parameters' : wanted.join(' and ')}`
  const given = Object.keys(params)
  if (given.length !== wanted.length || !wanted.every(name => typeof params[name] === 'string')) {
    throw new ProductError('BAD_INPUT', needs)
  }
  const checked: CommandParams = {}
  if (typeof params.jail === 'string') checked.jail = jailName(params.jail)
  if (typeof params.ip === 'string') {
    const ip = parseAddress(params.ip)
    if (ip === undefined || ip.includes('/')) throw new ProductError('BAD_ADDRESS', `${needs}; one address`)
    checked.ip = ip
  }
  return checked
}

/** A name that is safe as an argument of fail2ban-client: no option, no list, no control characters. */
function jailName(text: string): string {
  if (
    text.length > 256 ||
    !/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs},-][^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs},]*$/u.test(text)
  ) {
    throw new ProductError('BAD_NAME', 'a jail has 1 to 256 characters, no comma, and no dash at its start')
  }
  return text
}

/** Untrusted output made fit to be kept and shown: cut, control characters but line ends replaced. */
export function boundedOutput(text: string): string {
  const cut = text.length > MOST_OUTPUT ? text.slice(0, MOST_OUTPUT - CUT.length) + CUT : text
  return cut
    .replaceAll('\r\n', '\n')
    .replaceAll('\t', ' ')
    .replaceAll(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, '\ufffd')
}
