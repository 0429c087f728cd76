import type { Command } from 'commander'
import { address, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { jailOfList, listOfJail, printable } from '../../common/names.js'
import { nearest } from '../../common/nearest.js'
import { asksForBlock, isExpired, LIMITS, type BlocklistEntry } from '../../common/shapes.js'
import type { AuditActor } from '../store/audit-row.js'
import type { ChangeOutcome, EntryChange } from '../store/entry-changes.js'
import { stillBlocked, stillBlockedWords, type StillBlocked } from '../store/still-blocked.js'
import type { Store } from '../store/store.js'
import { addFolderFlags, cliActor, flagText, openStore, show, type Terminal } from './context.js'
import { endOfFlag } from './expiry.js'
import { knownServer } from './known-host.js'
import { table } from './table.js'

const WORDS: Record<ChangeOutcome | 'refused', string> = {
  blocked: 'is to be blocked; waits for the host',
  'already-blocked': 'is blocked already; nothing changed',
  unblocked: 'is to be let in again; waits for the host',
  'already-unblocked': 'waits to be let in already; nothing changed',
  'not-blocked': 'was not blocked; nothing changed',
  refused: 'was refused'
}

interface Told {
  ip: string
  outcome: ChangeOutcome | 'refused'
  message: string
  /** After an unblock: what keeps the address blocked all the same. */
  still?: StillBlocked
}

/** `block`, `unblock` and `list`. */
export function addBlockingCommands(program: Command, terminal: Terminal): void {
  for (const want of ['block', 'unblock'] as const) {
    const command = addFolderFlags(
      program.command(`${want} <ip...>`),
      want === 'block' ? ['widest4', 'widest6'] : []
    )
      .description(
        want === 'block' ? 'block addresses or networks on a host' : 'let addresses or networks in again'
      )
      .requiredOption('--server <NAME>', 'the host')
      .requiredOption('--jail <JAIL>', 'the jail whose list is meant')
    if (want === 'block') {
      command
        .option('--reason <TEXT>', 'why; kept with the entry')
        .option('--expires <TIME>', 'end of the block, ISO 8601, such as 2027-01-31T12:00:00Z')
        .option('--tag <TAG...>', 'tags kept with the entry')
    }
    command
      .addHelpText(
        'after',
        `\nExit code 0: done for at least one address; the lines say which were refused.\n1: all were refused. 2: one is no address, and nothing was done.\n\nExamples:\n  fail2ban-report ${want} 203.0.113.9 --server web-1 --jail sshd\n  fail2ban-report ${want} 198.51.100.0/24 2001:db8::/48 --server web-1 --jail sshd`
      )
      .action(async (ips: string[], flags: Record<string, unknown>) => {
        const { store } = openStore(flags, terminal)
        const strange = want === 'block' ? await strangeJail(store, flags) : undefined
        const told = await change(store, want, ips, flags, cliActor(terminal))
        if (strange !== undefined) terminal.err(`note: ${strange}`)
        show(flags, terminal, told, () => told.map(one => `${one.ip} ${one.message}`).join('\n'))
        if (told.every(one => one.outcome === 'refused'))
          throw new ProductError('CONFLICT', 'everything was refused')
      })
  }
  addFolderFlags(program.command('list'))
    .description('show the entries of blocklists')
    .requiredOption('--server <NAME>', 'the host')
    .option('--jail <JAIL>', 'one jail only')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report list --server web-1\n  fail2ban-report list --server web-1 --jail sshd --json'
    )
    .action(async (flags: Record<string, unknown>) => {
      const { store } = openStore(flags, terminal)
      const server = await knownServer(store, flagText(flags, 'server'))
      const lists =
        flags.jail === undefined ? await store.lists.names(server) : [listOfJail(flagText(flags, 'jail'))]
      const found: (BlocklistEntry & { jail: string; state: string })[] = []
      for (const list of lists) {
        for (const entry of (await store.lists.read(server, list)).value) {
          found.push({ ...entry, jail: entry.jail ?? jailOfList(list), state: stateOf(entry, Date.now()) })
        }
      }
      for (const name of await store.setAside(server))
        terminal.err(
          `Corrupt and set aside: ${name}; what it held is not shown. "fail2ban-report doctor" says more`
        )
      show(flags, terminal, found, () =>
        found.length === 0
          ? 'No entries.'
          : table(
              ['ip', 'jail', 'state', 'expires', 'reason'],
              found.map(entry => [entry.ip, entry.jail, entry.state, entry.expires ?? '', entry.reason ?? ''])
            )
      )
    })
}

/** What an entry is, in a word. @param now milliseconds */
export function stateOf(entry: BlocklistEntry, now: number): string {
  if (entry.pending === true) return asksForBlock(entry, now) ? 'pending block' : 'pending unblock'
  if (isExpired(entry, now)) return 'expired'
  return entry.active === false ? 'inactive' : 'active'
}

async function change(
  store: Store,
  want: 'block' | 'unblock',
  ips: readonly string[],
  flags: Record<string, unknown>,
  actor: AuditActor
): Promise<Told[]> {
  const server = await knownServer(store, flagText(flags, 'server'))
  const list = listOfJail(flagText(flags, 'jail'))
  const wanted = [...new Set(ips.map(text => address(text)))]
  const expires = endOfFlag(flags, Date.now())
  const reason = flagText(flags, 'reason')
  const tags = Array.isArray(flags.tag) ? flags.tag.map(String) : []
  if (reason.length > LIMITS.reason)
    throw new ProductError('BAD_INPUT', `--reason takes ${LIMITS.reason} characters`)
  if (tags.length > LIMITS.tags || tags.some(tag => tag === '' || tag.length > LIMITS.tag)) {
    throw new ProductError('BAD_INPUT', `--tag takes ${LIMITS.tags} tags of 1 to ${LIMITS.tag} characters`)
  }
  const refusal = want === 'block' ? await store.guard.forHost(server, undefined) : () => undefined
  const refused = new Map(wanted.map(ip => [ip, refusal(ip)]))
  const changes: EntryChange[] = wanted
    .filter(ip => refused.get(ip) === undefined)
    .map(ip => ({
      ip,
      want,
      source: 'manual',
      expires,
      reason,
      tags
    }))
  const outcomes = changes.length === 0 ? [] : await store.lists.change(server, list, changes, actor)
  for (const [ip, why] of await store.guard.recheck(server, list, changes, actor)) refused.set(ip, why)
  const done = new Map(changes.map((one, at) => [one.ip, outcomes[at]]))
  const still =
    want === 'unblock'
      ? await stillBlocked(store.lists, server, wanted, Date.now())
      : new Map<Address, never>()
  return wanted.map((ip): Told => {
    const why = refused.get(ip)
    if (why !== undefined) return { ip, outcome: 'refused', message: `${WORDS.refused}: ${why.words}` }
    const outcome = done.get(ip) ?? 'refused'
    const by = still.get(ip)
    if (by === undefined) return { ip, outcome, message: WORDS[outcome] }
    return { ip, outcome, message: `${WORDS[outcome]}; ${stillBlockedWords(by)}`, still: by }
  })
}

/** Days of events that are looked through for a jail's name. */
const DAYS_LOOKED_AT = 31

/** What is to be said of a jail that is on no list and in no recent event of the host: nothing keeps it from being a slip. */
async function strangeJail(store: Store, flags: Record<string, unknown>): Promise<string | undefined> {
  const server = await knownServer(store, flagText(flags, 'server'))
  const jail = flagText(flags, 'jail')
  const known = new Set<string>((await store.lists.names(server)).map(list => jailOfList(list)))
  const days = (await store.events.days(server)).sort().slice(-DAYS_LOOKED_AT)
  for (const day of days.reverse()) {
    if (known.has(jail)) return undefined
    for (const event of (await store.events.readOnce(server, day)).value) known.add(event.jail)
  }
  if (known.has(jail)) return undefined
  const like = nearest(jail, [...known])
  const meant = like === undefined ? '' : `; the nearest is ${printable(like)}`
  return `no list and no event of ${server} names the jail "${printable(jail)}" so far${meant}`
}
