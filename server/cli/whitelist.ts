import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { address, parseAddress } from '../../common/address.js'
import { timeOf } from '../../common/clock.js'
import { ProductError, messageOf } from '../../common/errors.js'
import { serverName } from '../../common/names.js'
import { exportWhitelist, readWhitelistText } from '../store/whitelist-text.js'
import type { Lifted, WhitelistOutcome, WhitelistWish } from '../store/whitelist.js'
import { addFolderFlags, cliActor, flagText, openStore, show, type Terminal } from './context.js'
import { endOfFlag } from './expiry.js'
import { noSuchHost } from './known-host.js'
import { table } from './table.js'

const MOST_TOLD = 5

/** `whitelist add | remove | list | import | export`: what is never blocked. */
export function addWhitelistCommands(program: Command, terminal: Terminal): void {
  const whitelist = program
    .command('whitelist')
    .description('addresses and networks that are never blocked')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report whitelist add 192.0.2.10\n  fail2ban-report whitelist list'
    )
  const add = async (wishes: WhitelistWish[], flags: Record<string, unknown>) => {
    const { store } = openStore(flags, terminal)
    const known = await store.hosts.names()
    // An entry may outlive its host: as it is, it may be written again.
    const named = (await store.whitelist.read()).entries.flatMap(entry => entry.servers ?? [])
    const stranger = wishes
      .flatMap(wish => wish.servers ?? [])
      .find(server => !known.includes(server) && !named.includes(server))
    if (stranger !== undefined) throw noSuchHost(stranger, known)
    const told = await store.whitelist.add(wishes, cliActor(terminal))
    show(flags, terminal, told, () =>
      [
        ...told.outcomes.map(inWords),
        ...told.lifted.map(liftedInWords),
        ...told.failed.map(
          list => `${list} could not be changed now; its blocks are lifted when the host next asks`
        )
      ].join('\n')
    )
  }
  const addFlags = (command: Command) =>
    addFolderFlags(command)
      .option('--server <NAME...>', 'only on these hosts; on all when absent')
      .option('--expires <TIME>', 'end of the entry, ISO 8601, such as 2027-01-31T12:00:00Z')

  addFlags(whitelist.command('add <ip...>'))
    .description('never block these; blocks of them are lifted everywhere')
    .option('--description <TEXT>', 'whose they are, and why')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report whitelist add 192.0.2.10 --description "office"\n  fail2ban-report whitelist add 2001:db8:5::/48 --server web-1 --expires 2027-01-31T12:00:00Z'
    )
    .action(async (ips: string[], flags: Record<string, unknown>) => {
      const more = common(flags)
      const wishes = [...new Set(ips.map(text => address(text)))].map(ip => ({
        ip,
        description: flagText(flags, 'description'),
        expires: more.expires ?? null,
        servers: more.servers ?? []
      }))
      await add(wishes, flags)
    })

  addFolderFlags(whitelist.command('remove <ip...>'))
    .description('let these be blocked again')
    .addHelpText('after', '\nExample:\n  fail2ban-report whitelist remove 192.0.2.10')
    .action(async (ips: string[], flags: Record<string, unknown>) => {
      const { store } = openStore(flags, terminal)
      const outcomes = await store.whitelist.remove(
        ips.map(text => address(text)),
        cliActor(terminal)
      )
      show(flags, terminal, outcomes, () => outcomes.map(inWords).join('\n'))
      if (outcomes.every(one => one.outcome === 'not-there')) {
        throw new ProductError('NOT_FOUND', 'nothing of it is on the whitelist; nothing changed')
      }
    })

  addFolderFlags(whitelist.command('list'))
    .description('show the whitelist')
    .addHelpText('after', '\nExample:\n  fail2ban-report whitelist list --json')
    .action(async (flags: Record<string, unknown>) => {
      const { entries } = await openStore(flags, terminal).store.whitelist.read()
      show(flags, terminal, entries, () =>
        entries.length === 0
          ? 'The whitelist is empty.'
          : table(
              ['ip', 'hosts', 'expires', 'added by', 'added', 'description'],
              entries.map(entry => [
                parseAddress(entry.ip) === undefined ? `${entry.ip} (not an address)` : entry.ip,
                (entry.servers ?? []).join(', ') || 'all',
                timeOf(entry.expires) <= Date.now() ? `${entry.expires ?? ''} (over)` : (entry.expires ?? ''),
                entry.addedBy ?? '',
                entry.addedAt ?? '',
                entry.description ?? ''
              ])
            )
      )
    })

  addFlags(whitelist.command('import <file>'))
    .description(
      'add every line of a text file: an address, and after a # its description; - for standard input'
    )
    .addHelpText(
      'after',
      '\nA description that begins with [hosts=web-1,db-1 ends=2027-01-31T12:00:00Z], as "export" writes it, says where the\nentry holds and until when; all and never are possible too. What a line does not say, an entry that is there keeps;\na new one holds on all hosts and does not end. --server and --expires count for every line.\n\nExamples:\n  fail2ban-report whitelist import office.txt\n  fail2ban-report whitelist export | fail2ban-report whitelist import - --server web-1'
    )
    .action(async (file: string, flags: Record<string, unknown>) => {
      const more = common(flags)
      await add(
        readWhitelistText(await textOf(file, terminal)).map(line => ({
          ...line,
          expires: more.expires ?? line.expires,
          servers: more.servers ?? line.servers
        })),
        flags
      )
    })

  addFolderFlags(whitelist.command('export'))
    .description('print the whitelist as the text that import reads')
    .addHelpText('after', '\nExample:\n  fail2ban-report whitelist export > whitelist.txt')
    .action(async (flags: Record<string, unknown>) => {
      const { entries } = await openStore(flags, terminal).store.whitelist.read()
      show(flags, terminal, entries, () => exportWhitelist(entries).trimEnd())
    })
}

/** What the flags say of every entry; undefined for a flag that was not given. */
function common(flags: Record<string, unknown>): Pick<WhitelistWish, 'expires' | 'servers'> {
  const servers = Array.isArray(flags.server) ? flags.server.map(String) : undefined
  return {
    expires: endOfFlag(flags, Date.now()) ?? undefined,
    servers: servers && [...new Set(servers)].map(name => serverName(name)).sort()
  }
}

async function textOf(file: string, terminal: Terminal): Promise<string> {
  if (file === '-') {
    let text = ''
    for await (const chunk of terminal.input) text += String(chunk)
    return text
  }
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new ProductError('BAD_INPUT', `${file} can't be read (${messageOf(error)})`, error)
  })
}

const WORDS: Record<WhitelistOutcome['outcome'], string> = {
  added: 'is on the whitelist now',
  changed: 'was on the whitelist; its entry is changed',
  'already-there': 'is on the whitelist already; nothing changed',
  removed: 'is no longer on the whitelist',
  'not-there': 'is not on the whitelist; nothing changed'
}

function inWords({ ip, outcome, overlaps }: WhitelistOutcome): string {
  const some: string[] = overlaps.slice(0, MOST_TOLD)
  if (overlaps.length > some.length) some.push(`${overlaps.length - some.length} more`)
  return `${ip} ${WORDS[outcome]}${some.length === 0 ? '' : ` (overlaps ${some.join(', ')})`}`
}

function liftedInWords({ server, list, ip }: Lifted): string {
  return `${ip} is to be let in again on ${server}: its block in ${list} is lifted, and waits for the host`
}
