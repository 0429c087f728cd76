import type { CommandOutcome } from '../../common/commands.js'
import { messageOf, ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import type { Report } from '../cycle/cycle.js'
import { carryOut, type CommandHost, type ReceivedCommand } from './carry-out.js'
import type { CommandLog } from './command-log.js'

export interface CommandParts {
  host: CommandHost
  log: CommandLog
  /** Tells the server. @throws ProductError NETWORK, REFUSED */
  tell: (outcomes: readonly CommandOutcome[]) => Promise<void>
  report: Report
}

/**
 * Runs commands one after another, each at most once, and tells what came of each as soon as it ended; what can't be told
 * now is told with the next cycle.
 * @returns what failed on the way; a command's own failure is its outcome
 */
export async function runCommands(given: readonly ReceivedCommand[], parts: CommandParts): Promise<string[]> {
  const failures: string[] = []
  const { log, report } = parts
  const tell = async (outcomes: readonly CommandOutcome[]) => {
    if (outcomes.length === 0) return
    try {
      await parts.tell(outcomes)
      for (const { id } of outcomes) await log.told(id)
    } catch (error) {
      if (!(error instanceof ProductError)) throw error
      const message = `the server was not told what came of its commands: ${messageOf(error)}`
      failures.push(message)
      report('error', { event: 'commands_not_told', message })
    }
  }
  await log.endInterrupted()
  await tell(await log.untold())
  for (const command of given) {
    if (!(await log.begin(command.id))) {
      report('warn', { event: 'command_given_twice', id: printable(command.id) })
      continue
    }
    const outcome = await carryOut(command, parts.host)
    await log.ended(outcome)
    report('info', {
      event: 'command',
      id: command.id,
      type: printable(command.type, 64),
      state: outcome.state
    })
    await tell([outcome])
  }
  return failures
}
