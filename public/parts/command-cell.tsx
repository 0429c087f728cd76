import type { HostCommand } from '../data/shapes.js'
import { commandName } from '../state/commanding.js'
import { moment, t } from '../state/i18n.js'
import { CommandBadge } from './command-badge.js'

/** One cell of the table of commands. What came from elsewhere is set as text. */
export function CommandCell({
  command,
  column,
  onOpen
}: {
  command: HostCommand | undefined
  column: string
  onOpen: (command: HostCommand) => void
}) {
  if (command === undefined) return null
  switch (column) {
    case 'state':
      return <CommandBadge state={command.state} />
    case 'command': {
      const values = paramWords(command.params)
      return (
        <span title={`${command.command_type} ${values}`}>
          {commandName(command.command_type)} {values !== '' && <span class="ip">{values}</span>}
        </span>
      )
    }
    case 'server':
      return <span title={command.server_id}>{command.server_id}</span>
    case 'by':
      return <span title={command.created_by}>{command.created_by}</span>
    case 'since':
      return <time title={command.created_at}>{moment(command.created_at)}</time>
    default:
      return (
        <button
          type="button"
          class="small"
          tabIndex={-1}
          aria-label={t('command.details', {
            command: commandName(command.command_type),
            server: command.server_id
          })}
          onClick={() => onOpen(command)}
        >
          {t('command.details.short')}
        </button>
      )
  }
}

/** What a command was told besides its type. */
export function paramWords({ ip, jail }: HostCommand['params']): string {
  return [ip, jail].filter(text => text !== undefined).join(' · ')
}
