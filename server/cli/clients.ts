import type { Command } from 'commander'
import { messageOf, ProductError } from '../../common/errors.js'
import { setting } from '../../common/settings.js'
import { prepareFolders } from '../store/folders.js'
import { addFolderFlags, cliActor, openStore, show, type Terminal } from './context.js'
import { table } from './table.js'

const URL_SETTING = setting.url({ describe: 'URL the host reaches this server by', fallback: '' })

/** `client add | list | edit | remove`: which hosts may sync. */
export function addClientCommands(program: Command, terminal: Terminal): void {
  const client = program
    .command('client')
    .description('which hosts may sync')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report client add web-1 --server-url https://reports.example\n  fail2ban-report client list'
    )
  addFolderFlags(client.command('add <name>'), ['download', 'temp'])
    .description('add a host; prints its configuration once: the password is kept as a hash only')
    .option('--ip <IP,CIDR,…>', 'addresses the host may sync from; every address when absent')
    .option('--server-url <URL>', URL_SETTING.describe)
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report client add web-1 --server-url https://reports.example/Fail2Ban-Report\n  fail2ban-report client add web-1 --ip 192.0.2.10,2001:db8::/64'
    )
    .action(async (name: string, flags: Record<string, unknown>) => {
      const { store, folders } = openStore(flags, terminal)
      const url = typeof flags.serverUrl === 'string' ? checkedUrl(flags.serverUrl) : undefined
      const addresses = addressList(flags.ip) ?? []
      await prepareFolders(folders)
      const made = await store.clients.add(name, addresses, cliActor(terminal))
      const block = configBlock({ ...made, url })
      show(flags, terminal, { ...made, config: block }, () => {
        const hint =
          url === undefined ? '\n(Put the URL that the host reaches this server by behind "server =".)' : ''
        return `Host ${made.username} may now sync. Save this on the host as /etc/fail2ban-report/client.conf, mode 0600.\nIt is shown only now:${hint}\n\n${block}`
      })
    })
  addFolderFlags(client.command('list'))
    .description('list hosts that may sync')
    .addHelpText('after', '\nExample:\n  fail2ban-report client list')
    .action(async (flags: Record<string, unknown>) => {
      const { clients } = await openStore(flags, terminal).store.clients.list()
      const rows = clients.map(({ username, uuid, ip }) => ({ username, uuid, ip: ip ?? '' }))
      show(flags, terminal, rows, () =>
        rows.length === 0
          ? 'No hosts yet.'
          : table(
              ['host', 'uuid', 'may sync from'],
              rows.map(row => [row.username, row.uuid, [row.ip].flat().join(', ') || 'anywhere'])
            )
      )
    })
  addFolderFlags(client.command('edit <name>'))
    .description('change where a host may sync from, or renew its password, UUID or callback secret')
    .option('--ip <IP,CIDR,…>', 'addresses the host may sync from; "" for every address')
    .option('--renew-password', 'make a new password and print it once')
    .option('--renew-uuid', 'make a new UUID')
    .option('--renew-callback', 'make a new callback secret and print it once')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report client edit web-1 --ip 192.0.2.10\n  fail2ban-report client edit web-1 --renew-password'
    )
    .action(async (name: string, flags: Record<string, unknown>) => {
      const addresses = addressList(flags.ip)
      const renew = flags.renewPassword === true
      const renewUuid = flags.renewUuid === true
      const renewCallback = flags.renewCallback === true
      if (addresses === undefined && !renew && !renewUuid && !renewCallback) {
        throw new ProductError(
          'BAD_INPUT',
          'nothing to change; give --ip, --renew-password, --renew-uuid or --renew-callback'
        )
      }
      const edit = { renew, renewUuid, renewCallback, ...(addresses === undefined ? {} : { addresses }) }
      const { clients } = openStore(flags, terminal).store
      const changed = await clients.edit(name, edit, cliActor(terminal))
      show(flags, terminal, { username: name, ...changed }, () =>
        [
          `Host ${name} is changed.`,
          ...(renewUuid ? [`uuid = ${changed.uuid}`] : []),
          ...(changed.password === undefined ? [] : [`password = ${changed.password}`]),
          ...(changed.callbackSecret === undefined ? [] : [`callback_secret = ${changed.callbackSecret}`])
        ].join('\n')
      )
    })
  addFolderFlags(client.command('remove <name>'), ['download', 'temp'])
    .description("remove a host's right to sync; its archive stays")
    .addHelpText('after', '\nExample:\n  fail2ban-report client remove web-1')
    .action(async (name: string, flags: Record<string, unknown>) => {
      await openStore(flags, terminal).store.clients.remove(name, cliActor(terminal))
      show(
        flags,
        terminal,
        { username: name },
        () => `Host ${name} may no longer sync. Its archive was kept.`
      )
    })
}

function addressList(flag: unknown): string[] | undefined {
  return typeof flag === 'string' ? flag.split(/[\s,]+/).filter(item => item !== '') : undefined
}

function checkedUrl(text: string): string {
  try {
    return URL_SETTING.parse(text).replace(/\/+$/, '')
  } catch (error) {
    throw new ProductError('BAD_INPUT', `--server-url: ${messageOf(error)}`, error)
  }
}

/** The host's configuration file. */
function configBlock(made: {
  username: string
  password: string
  uuid: string
  callbackSecret: string
  url: string | undefined
}): string {
  return [
    `server = ${made.url ?? 'https://your-server.example/Fail2Ban-Report'}`,
    `username = ${made.username}`,
    `password = ${made.password}`,
    `uuid = ${made.uuid}`,
    `callback_secret = ${made.callbackSecret}`,
    ''
  ].join('\n')
}
