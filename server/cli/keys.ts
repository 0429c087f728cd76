import type { Command } from 'commander'
import { messageOf, ProductError } from '../../common/errors.js'
import { setting } from '../../common/settings.js'
import { prepareFolders } from '../store/folders.js'
import { KEY_ROLES } from '../store/kinds.js'
import { addFolderFlags, cliActor, flagText, openStore, show, type Terminal } from './context.js'
import { knownServer } from './known-host.js'
import { table } from './table.js'

const ROLE = setting.oneOf(KEY_ROLES, {
  describe: 'read: looks; write: gives commands; admin: gives all of them',
  fallback: 'read'
})

/** `key add | list | remove`: which programs may use the API. */
export function addKeyCommands(program: Command, terminal: Terminal): void {
  const key = program
    .command('key')
    .description('which programs may use the API')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report key add monitoring\n  fail2ban-report key add deploy --role write --server web-1\n  fail2ban-report key list'
    )
  addFolderFlags(key.command('add <name>'), ['download', 'temp'])
    .description('make a key; prints its secret once: it is kept as a hash only')
    .option('--role <read|write|admin>', ROLE.describe, ROLE.fallback)
    .option('--server <NAME>', 'the one host it counts for; all when absent')
    .addHelpText('after', '\nExample:\n  fail2ban-report key add deploy --role write --server web-1')
    .action(async (name: string, flags: Record<string, unknown>) => {
      const { store, folders } = openStore(flags, terminal)
      const role = roleOf(flagText(flags, 'role'))
      const server =
        flags.server === undefined ? undefined : await knownServer(store, flagText(flags, 'server'))
      await prepareFolders(folders)
      const secret = await store.keys.add(name, role, server, cliActor(terminal))
      show(
        flags,
        terminal,
        { name, role, server: server ?? null, secret },
        () =>
          `Key ${name} (${role}${server === undefined ? '' : `, ${server} only`}) is made. It is shown only now:\n\n${secret}\n\nPrograms send it as  Authorization: Bearer ${secret.slice(0, 9)}…`
      )
    })
  addFolderFlags(key.command('list'))
    .description('list keys, without their secrets')
    .addHelpText('after', '\nExample:\n  fail2ban-report key list --json')
    .action(async (flags: Record<string, unknown>) => {
      const keys = (await openStore(flags, terminal).store.keys.list()).map(
        ({ name, role, server = null, createdAt = null }) => ({ name, role, server, createdAt })
      )
      show(flags, terminal, keys, () =>
        keys.length === 0
          ? 'No keys yet.'
          : table(
              ['key', 'role', 'host', 'made'],
              keys.map(one => [one.name, one.role, one.server ?? 'all', one.createdAt ?? ''])
            )
      )
    })
  addFolderFlags(key.command('remove <name>'))
    .description('take a key out of force at once')
    .addHelpText('after', '\nExample:\n  fail2ban-report key remove deploy')
    .action(async (name: string, flags: Record<string, unknown>) => {
      await openStore(flags, terminal).store.keys.remove(name, cliActor(terminal))
      show(flags, terminal, { name }, () => `Key ${name} is removed.`)
    })
}

function roleOf(text: string): (typeof KEY_ROLES)[number] {
  try {
    return ROLE.parse(text)
  } catch (error) {
    throw new ProductError('BAD_INPUT', `--role: ${messageOf(error)}`, error)
  }
}
