import type { Command } from 'commander'
import { messageOf, ProductError } from '../../common/errors.js'
import { setting } from '../../common/settings.js'
import type { Role } from '../../common/shapes.js'
import { prepareFolders } from '../store/folders.js'
import { checkPassword } from '../store/users.js'
import { addFolderFlags, cliActor, flagText, openStore, show, type Terminal } from './context.js'
import { readNewPassword } from './password.js'
import { table } from './table.js'

const ROLE = setting.oneOf(['admin', 'viewer'], { describe: 'what the user may do', fallback: 'viewer' })

/** `user add | list | passwd | remove`: who may log in to the dashboard. */
export function addUserCommands(program: Command, terminal: Terminal): void {
  const user = program
    .command('user')
    .description('who may log in to the dashboard')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report user add alice --role admin\n  fail2ban-report user list'
    )
  addFolderFlags(user.command('add <name>'), ['download', 'temp'])
    .description('add a user; the password is asked for, or read from standard input')
    .option('--role <admin|viewer>', ROLE.describe, ROLE.fallback)
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report user add alice --role admin\n  pass show f2b | fail2ban-report user add alice --role viewer'
    )
    .action(async (name: string, flags: Record<string, unknown>) => {
      const { store, folders } = openStore(flags, terminal)
      const role = roleOf(flagText(flags, 'role'))
      await prepareFolders(folders)
      await store.users.checkFree(name)
      const password = await readNewPassword(terminal.input, terminal.screen, checkPassword)
      await store.users.add(name, password, role, cliActor(terminal))
      show(flags, terminal, { username: name, role }, () => `User ${name} (${role}) may now log in.`)
    })
  addFolderFlags(user.command('list'))
    .description('list users and roles')
    .addHelpText('after', '\nExample:\n  fail2ban-report user list --json')
    .action(async (flags: Record<string, unknown>) => {
      const users = (await openStore(flags, terminal).store.users.list()).map(({ username, role }) => ({
        username,
        role
      }))
      show(flags, terminal, users, () =>
        users.length === 0
          ? 'No users yet.'
          : table(
              ['user', 'role'],
              users.map(one => [one.username, one.role])
            )
      )
    })
  addFolderFlags(user.command('passwd <name>'))
    .description('set a new password; all sessions of the user end')
    .addHelpText('after', '\nExample:\n  fail2ban-report user passwd alice')
    .action(async (name: string, flags: Record<string, unknown>) => {
      const { store } = openStore(flags, terminal)
      await store.users.checkKnown(name)
      const password = await readNewPassword(terminal.input, terminal.screen, checkPassword)
      await store.users.setPassword(name, password, cliActor(terminal))
      show(flags, terminal, { username: name }, () => `${name} has a new password; open sessions have ended.`)
    })
  addFolderFlags(user.command('remove <name>'))
    .description('remove a user; all sessions of the user end')
    .addHelpText('after', '\nExample:\n  fail2ban-report user remove alice')
    .action(async (name: string, flags: Record<string, unknown>) => {
      await openStore(flags, terminal).store.users.remove(name, cliActor(terminal))
      show(flags, terminal, { username: name }, () => `User ${name} is removed.`)
    })
}

function roleOf(text: string): Role {
  try {
    return ROLE.parse(text)
  } catch (error) {
    throw new ProductError('BAD_INPUT', `--role: ${messageOf(error)}`, error)
  }
}
