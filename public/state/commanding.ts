import { signal } from '@preact/signals'
import type { CommandType } from '../data/command-rows.js'
import type { HostCommand, OneCommand } from '../data/shapes.js'
import { post, Refusal } from './api.js'
import { t, type MessageKey } from './i18n.js'
import { wordsOf } from './refusals.js'
import { refresh } from './resource.js'
import { session, sessionIsOver } from './session.js'
import { tell } from './toasts.js'
import { en } from '../messages/en.js'

/** Something several hosts are to do. */
export interface CommandWish {
  servers: string[]
  type: CommandType
  params: HostCommand['params']
}

/** What the command dialog is open for, and with what it begins; undefined while it is closed. */
export const commandDialog = signal<Partial<CommandWish> | undefined>(undefined)

/** Hosts that are asked at a time. */
const TOGETHER = 6
/** What was ordered here and has not ended, by id: told as soon as it has. */
const ordered = new Map<string, { server: string; type: string }>()

/** Orders a command on each host; tells what came of it, and later how it ended. @returns true when any took it */
export async function giveCommand(wish: CommandWish): Promise<boolean> {
  const taken: string[] = []
  const refused: string[] = []
  const waiting = [...wish.servers]
  const work = async () => {
    for (let server = waiting.shift(); server !== undefined; server = waiting.shift()) {
      const problem = await order(server, wish)
      if (problem === undefined) taken.push(server)
      else refused.push(`${server}: ${wordsOf(problem)}`)
    }
  }
  await Promise.all(Array.from({ length: TOGETHER }, work))
  void refresh()
  const command = commandName(wish.type)
  const where = taken.length === 1 ? (taken[0] ?? '') : t('told.servers', { n: taken.length })
  if (taken.length > 0) tell('done', t('command.given', { command, where }))
  if (refused.length > 0) tell('problem', t('command.refused', { command }), { details: refused.sort() })
  return taken.length > 0
}

/** A type of command in words; one that this page does not know yet by its name. */
export function commandName(type: string): string {
  const key = `command.type.${type}`
  return key in en ? t(key as MessageKey) : type
}

/** Takes note of how a command stands: what was ordered here is told when it has ended. */
export function commandStands({ id, state }: { id?: unknown; state?: unknown }): void {
  const one = ordered.get(String(id))
  if (one === undefined || (state !== 'completed' && state !== 'failed' && state !== 'timeout')) return
  ordered.delete(String(id))
  const words = t('command.ended', {
    server: one.server,
    command: commandName(one.type),
    state: t(`command.state.${state}`)
  })
  tell(state === 'completed' ? 'done' : 'problem', words)
}

async function order(server: string, { type, params }: CommandWish): Promise<Refusal | undefined> {
  const body = { server_id: server, command_type: type, params }
  try {
    const { command } = await post<OneCommand>('v1/commands', body, session.value?.csrf)
    ordered.set(command.id, { server, type })
    return undefined
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.status === 401) sessionIsOver()
    return error
  }
}
