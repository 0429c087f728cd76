import { counted } from '../../common/counted.js'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { isoTime, localDay } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { eventsFileOfDay, serverName, type ServerName } from '../../common/names.js'
import { builtPages } from '../../common/package-root.js'
import { snapshotOf, type Snapshot } from '../api/snapshot.js'
import { readReportConfig } from '../store/report-config.js'
import { StaticCopy } from '../store/static-copy.js'
import { noSuchHost } from './known-host.js'
import { addFolderFlags, flagText, openStore, show, type Terminal } from './context.js'

const MOST_DAYS = 3650

/** `export`: the dashboard as a folder of static files. */
export function addExportCommand(program: Command, terminal: Terminal): void {
  addFolderFlags(program.command('export'))
    .description('write the dashboard with its data as a folder of static files, to look at only')
    .requiredOption('--out <DIR>', 'a new folder, or one that was written by this command')
    .option('--server <HOST…>', 'these hosts only; may be given more than once', collect, [])
    .option('--days <N>', 'days of events, today included', '30')
    .addHelpText(
      'after',
      '\nAny web server shows it, below any path, without Node.js. No user, password,\nkey, audit trail or name of an admin is in it; events, blocklists and whitelist\nare: close it to strangers as you would the dashboard.\n\nExamples:\n  fail2ban-report export --out /var/www/html/bans\n  fail2ban-report export --out ./copy --server web-1 --days 7'
    )
    .action(async (flags: Record<string, unknown>) => run(flags, terminal))
}

function collect(value: string, before: string[]): string[] {
  return [...before, value]
}

async function run(flags: Record<string, unknown>, terminal: Terminal): Promise<void> {
  const out = resolve(flagText(flags, 'out'))
  const days = /^\d{1,4}$/.test(flagText(flags, 'days')) ? Number(flags.days) : 0
  if (days < 1 || days > MOST_DAYS)
    throw new ProductError('BAD_INPUT', `--days takes a number from 1 to ${MOST_DAYS}`)
  const wanted = (flags.server as string[]).map(serverName)
  const now = Date.now()
  const oldest = eventsFileOfDay(localDay(now, days - 1))
  // The folder is written as whoever runs this; the archive is only read.
  const { store, folders } = openStore(flags, terminal, {
    asOwner: false,
    part: { oldest, servers: wanted.length === 0 ? undefined : wanted }
  })
  const servers = await store.hosts.names()
  const missing = wanted.find(name => !servers.includes(name))
  if (missing !== undefined) throw noSuchHost(missing, servers)
  const reportConfig = await readReportConfig(folders.settings)
  const made = isoTime(now)
  const copy = await StaticCopy.begin(out, builtPages(), made)
  const snapshot = await snapshotOf(store, reportConfig, () => now)
  try {
    await copyAll(copy, snapshot, servers, localDay(now))
  } finally {
    await snapshot.close()
  }
  const files = await copy.finish()
  show(flags, terminal, { out, made, servers, days, files }, () =>
    [
      `${counted(servers.length, 'host')} and up to ${counted(days, 'day')} are in ${out}.`,
      'Let any web server show it.'
    ].join('\n')
  )
}

/** Every question that the page asks; one without a file is answered with what that means. */
async function copyAll(
  copy: StaticCopy,
  snapshot: Snapshot,
  servers: readonly ServerName[],
  today: string
): Promise<void> {
  const add = async (path: string) => {
    const answer = await snapshot.answer(path)
    await copy.add(path, answer)
    return answer
  }
  // Look-ups and news take a server.
  await copy.add('settings', { ...(await snapshot.answer('settings')), lookups: [], hub: false })
  await copy.add('whitelist', await whitelistFor(snapshot, servers))
  const overview = (await add('servers')) as { servers: { name: string; lists: { jail: string }[] }[] }
  await add('statistics')
  // The overview's: fewer days, but its tiles and rows.
  await add(`statistics${query({ days: '8' })}`)
  const all = new Set([today])
  for (const server of servers) {
    await add(`statistics${query({ server })}`)
    const { days } = (await add(`days${query({ server })}`)) as { days: string[] }
    for (const day of new Set([...days, today])) {
      all.add(day)
      await add(`columns${query({ server, day })}`)
    }
  }
  for (const day of all) await add(`warnings${query({ day })}`)
  for (const { name, lists } of overview.servers) {
    for (const { jail } of lists) await add(`blocklists${query({ server: name, jail })}`)
  }
}

/** Who added an entry is a name to log in with. */
async function whitelistFor(snapshot: Snapshot, servers: readonly ServerName[]): Promise<unknown> {
  const reply = (await snapshot.answer('whitelist')) as {
    entries: { addedBy?: string; servers?: string[] | null }[]
  }
  const entries = reply.entries
    .filter(
      one => (one.servers ?? []).length === 0 || one.servers?.some(name => servers.some(has => has === name))
    )
    // Nor are other hosts anybody's business who is shown these.
    .map(one => ({
      ...one,
      addedBy: undefined,
      servers: one.servers?.filter(name => servers.some(has => has === name))
    }))
  return { ...reply, entries }
}

/** As the page spells a question. */
function query(values: Record<string, string>): string {
  return `?${new URLSearchParams(values).toString()}`
}
