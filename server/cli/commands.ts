import type { Command } from 'commander'
import { checkParams, COMMAND_TYPES, isCommandType } from '../../common/commands.js'
import { ownCommand } from '../../common/own-command.js'
import { ProductError } from '../../common/errors.js'
import { printable, type ServerName } from '../../common/names.js'
import { orderCommand } from '../store/command-order.js'
import type { HostCommand } from '../store/kinds.js'
import { knownServer } from './known-host.js'
import { addFolderFlags, cliActor, flagText, openStore, show, type Terminal } from './context.js'
import { table } from './table.js'

/** `command add | list | show`: what hosts are told to do. */
export function addCommandCommands(program: Command, terminal: Terminal): void {
  const command = program
    .command('command')
    .description('what hosts are told to do; a host fetches it with its next sync')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report command add health --server web-1\n  fail2ban-report command add unban_ip --server web-1 --jail sshd --ip 203.0.113.9\n  fail2ban-report command list'
    )
  addFolderFlags(command.command('add <type>'), ['widest4', 'widest6'])
    .description(`tell a host to do something: ${COMMAND_TYPES.join(', ')}`)
    .requiredOption('--server <NAME>', 'the host')
    .option('--jail <JAIL>', 'a jail of its fail2ban, for ban_ip, unban_ip and jail_status')
    .option('--ip <IP>', 'an address, for ban_ip and unban_ip')
    .addHelpText('after', '\nExample:\n  fail2ban-report command add whitelist_sync --server web-1')
    .action(async (type: string, flags: Record<string, unknown>) => {
      if (!isCommandType(type)) {
        throw new ProductError(
          'BAD_INPUT',
          `there is no command of that type; there are ${COMMAND_TYPES.join(', ')}`
        )
      }
      const { store } = openStore(flags, terminal)
      const given = Object.fromEntries(
        ['jail', 'ip'].filter(name => flags[name] !== undefined).map(name => [name, flags[name]])
      )
      const params = checkParams(type, given)
      const server = await knownServer(store, flagText(flags, 'server'))
      const made = await orderCommand(store, server, type, params, cliActor(terminal))
      show(
        flags,
        terminal,
        { server, ...made },
        () => `${type} waits for ${server}. See what comes of it:  ${ownCommand()} command show ${made.id}`
      )
    })
  addFolderFlags(command.command('list'))
    .description('list commands and their states, newest last')
    .option('--server <NAME>', 'one host only')
    .addHelpText('after', '\nExample:\n  fail2ban-report command list --server web-1')
    .action(async (flags: Record<string, unknown>) => {
      const { store } = openStore(flags, terminal)
      const servers =
        flags.server === undefined
          ? await store.hosts.names()
          : [await knownServer(store, flagText(flags, 'server'))]
      const rows: (HostCommand & { server: ServerName })[] = []
      for (const server of servers) {
        for (const one of await store.commands.list(server)) rows.push({ server, ...one })
      }
      rows.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
      show(flags, terminal, rows, () =>
        rows.length === 0
          ? 'No commands.'
          : table(
              ['id', 'type', 'state', 'given', 'by', 'ended'],
              rows.map(row => [
                row.id,
                inWords(row),
                row.state,
                row.createdAt,
                row.createdBy,
                row.endedAt ?? ''
              ])
            )
      )
    })
  addFolderFlags(command.command('show <id>'))
    .description('show a command and what its host says came of it')
    .addHelpText('after', '\nExample:\n  fail2ban-report command show ID')
    .action(async (id: string, flags: Record<string, unknown>) => {
      const { server, command: one } = await openStore(flags, terminal).store.commands.find(id)
      show(flags, terminal, { server, ...one }, () =>
        [
          `${inWords(one)} on ${server}: ${one.state}`,
          `given ${one.createdAt} by ${one.createdBy}`,
          ...(one.startedAt === undefined ? [] : [`fetched ${one.startedAt}`]),
          ...(one.endedAt === undefined ? [] : [`ended ${one.endedAt}`]),
          ...(one.output === undefined ? [] : ['', ...one.output.split('\n')])
        ]
          // Text of a host: nothing of it may steer the terminal.
          .map(line => printable(line, 100_000))
          .join('\n')
      )
    })
}

function inWords({ type, params }: HostCommand): string {
  return [type, params.ip, params.jail].filter(part => part !== undefined).join(' ')
}
