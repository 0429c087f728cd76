import type { HostCommand } from '../data/shapes.js'
import { commandName } from '../state/commanding.js'
import { moment } from '../state/i18n.js'
import { hrefWith } from '../state/route.js'
import { CommandBadge } from './command-badge.js'

/** One cell of the table of commands. What came from elsewhere is set as text. */
export function CommandCell({ command, column }: { command: HostCommand | undefined; column: string }) {
  if (command === undefined) return null
  switch (column) {
    case 'state':
      return <CommandBadge state={command.state} />
    case 'command': {
      const values = paramWords(command.params)
      return (
        <span title={`${command.command_type} ${values}`}>
          <a tabIndex={-1} href={hrefWith({ id: command.id })}>
            {commandName(command.command_type)}
          </a>{' '}
          {values !== '' && <span class="ip">{values}</span>}
        </span>
      )
    }
    case 'server':
      return <span title={command.server_id}>{command.server_id}</span>
    case 'by':
      return <span title={command.created_by}>{command.created_by}</span>
    default:
      return <time title={command.created_at}>{moment(command.created_at)}</time>
  }
}

/** What a command was told besides its type. */
export function paramWords({ ip, jail }: HostCommand['params']): string {
  return [ip, jail].filter(text => text !== undefined).join(' · ')
}
