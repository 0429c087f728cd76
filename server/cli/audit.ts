import { counted } from '../../common/counted.js'
import type { Command } from 'commander'
import { address } from '../../common/address.js'
import { timeOf } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { jailOfList, listOfJail, printable, type ServerName } from '../../common/names.js'
import type { AuditRow } from '../store/audit-row.js'
import type { AuditFilter } from '../store/audit-trails.js'
import type { Store } from '../store/store.js'
import { knownServer } from './known-host.js'
import { addFolderFlags, flagText, openStore, type Terminal } from './context.js'

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A row and the host it is about; none for one of users. */
type Found = AuditRow & { server?: string }

/** `audit`: who did what to which list, client or user, newest first. */
export function addAuditCommand(program: Command, terminal: Terminal): void {
  addFolderFlags(program.command('audit'))
    .description('show who did what to lists, hosts and users, newest first')
    .option('--server <NAME>', 'one host only')
    .option('--jail <JAIL>', 'one jail only')
    .option('--ip <IP>', 'one address or network only')
    .option('--since <TIME>', 'nothing older: ISO 8601, or such as 30m, 24h, 7d')
    .option('--limit <N>', 'at most so many rows; 0 for all', '100')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report audit --since 24h\n  fail2ban-report audit --server web-1 --jail sshd --ip 203.0.113.9\n  fail2ban-report audit --limit 0 --json'
    )
    .action(async (flags: Record<string, unknown>) => {
      const filter: AuditFilter = {
        jail: flags.jail === undefined ? undefined : jailOfList(listOfJail(flagText(flags, 'jail'))),
        ip: flags.ip === undefined ? undefined : address(flagText(flags, 'ip')),
        since: flags.since === undefined ? undefined : sinceOf(flagText(flags, 'since'), Date.now())
      }
      const limit = limitOf(flagText(flags, 'limit'))
      const { store } = openStore(flags, terminal)
      const server =
        flags.server === undefined ? undefined : await knownServer(store, flagText(flags, 'server'))
      const printer = flags.json === true ? new JsonPrinter(terminal) : new TextPrinter(terminal)
      let unreadable = 0
      let shown = 0
      for await (const row of newestFirst(
        await trailsOf(store, server, filter, lines => (unreadable += lines))
      )) {
        printer.row(row)
        if (++shown === limit) break
      }
      printer.end(shown)
      if (unreadable > 0) terminal.err(`${unreadable} lines could not be read and were passed over`)
    })
}

/** The trails to be read: a host's own, and that of users and clients as far as it is about the host. */
async function trailsOf(
  store: Store,
  server: ServerName | undefined,
  filter: AuditFilter,
  unreadable: (lines: number) => void
): Promise<AsyncGenerator<Found, void, undefined>[]> {
  const hosts = server === undefined ? await store.hosts.names() : [server]
  const ofHosts = hosts.map(async function* (host): AsyncGenerator<Found, void, undefined> {
    for await (const row of store.trails.rows(host, filter, unreadable)) yield { ...row, server: host }
  })
  return [...ofHosts, store.trails.rows(undefined, { ...filter, server }, unreadable)]
}

/** Merges trails; of each no more is in memory than the piece it is read by. */
async function* newestFirst(
  trails: readonly AsyncGenerator<Found, void, undefined>[]
): AsyncGenerator<Found, void, undefined> {
  const heads: { row: Found; rest: AsyncGenerator<Found, void, undefined> }[] = []
  for (const rest of trails) {
    const { value } = await rest.next()
    if (value !== undefined) heads.push({ row: value, rest })
  }
  for (;;) {
    const newest = heads.reduce(
      (at, head, other) => (at < 0 || isLater(head.row, heads[at]?.row) ? other : at),
      -1
    )
    const head = heads[newest]
    if (head === undefined) return
    yield head.row
    const { value } = await head.rest.next()
    if (value === undefined) heads.splice(newest, 1)
    else head.row = value
  }
}

function isLater(one: Found, other: Found | undefined): boolean {
  return timeOf(one.time) > timeOf(other?.time)
}

/** One array, a row a line, printed as the rows come. */
class JsonPrinter {
  #first = true

  constructor(private readonly terminal: Terminal) {}

  row(row: Found): void {
    this.terminal.out(`${this.#first ? '[' : ','}${escaped(JSON.stringify(row))}`)
    this.#first = false
  }

  end(): void {
    this.terminal.out(this.#first ? '[]' : ']')
  }
}

/** The same JSON value, with what could steer a terminal written as escapes. */
function escaped(json: string): string {
  return json.replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, found =>
    Array.from(
      { length: found.length },
      (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`
    ).join('')
  )
}

class TextPrinter {
  constructor(private readonly terminal: Terminal) {}

  row(row: Found): void {
    const who =
      `${row.actor.kind} ${row.actor.name}${row.actor.from === 'cli' ? '' : ` ${row.actor.from}`}`.trim()
    const where = [row.server, row.jail].filter(text => text !== undefined).join(' ')
    const cells = [
      when(row.time),
      row.what.padEnd(14),
      where,
      row.ip ?? row.user ?? row.key ?? commandOf(row),
      `by ${who}`,
      details(row)
    ]
    this.terminal.out(
      cells
        .filter(cell => cell !== '')
        .map(cell => printable(cell, 300))
        .join('  ')
    )
  }

  end(shown: number): void {
    if (shown === 0) this.terminal.out('Nothing is on record.')
  }
}

function details(row: AuditRow): string {
  const names = new Set([...Object.keys(row.before ?? {}), ...Object.keys(row.after ?? {})])
  const changes = [...names].map(name => {
    const [from, to] = [row.before?.[name], row.after?.[name]].map(value =>
      value === undefined || value === null ? '' : JSON.stringify(value)
    )
    if (from === '') return `${name}=${to ?? ''}`
    return to === '' ? `${name} was ${from ?? ''}` : `${name}: ${from ?? ''} -> ${to ?? ''}`
  })
  return [
    ...(row.count === undefined ? [] : [counted(row.count, 'entry', 'entries')]),
    ...(row.asked === undefined ? [] : [`asked ${when(row.asked)}`]),
    ...(row.handedOut === undefined ? [] : [`handed out ${when(row.handedOut)}`]),
    ...changes,
    ...(row.unconfirmed === true ? ['unconfirmed'] : row.recovered === true ? ['recovered'] : [])
  ].join(', ')
}

function limitOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new ProductError('BAD_INPUT', '--limit takes a number; 0 for all')
  return Number(text)
}

function sinceOf(text: string, now: number): number {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  const time = unit === undefined ? timeOf(text) : now - Number(count) * UNITS[unit as keyof typeof UNITS]
  if (Number.isNaN(time)) {
    throw new ProductError(
      'BAD_INPUT',
      '--since takes a time such as 2027-01-31T12:00:00Z, or such as 30m, 24h, 7d'
    )
  }
  return time
}

/** To the second; the trail's times are UTC. */
function when(time: string): string {
  return `${time.slice(0, 19)}Z`
}

/** The type of the command that a row is about. */
function commandOf({ what, after }: Found): string {
  return what.startsWith('command-') && typeof after?.type === 'string' ? after.type : ''
}
