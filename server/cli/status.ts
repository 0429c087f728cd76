import type { Command } from 'commander'
import { jailOfList, type ServerName } from '../../common/names.js'
import { ownCommand } from '../../common/own-command.js'
import { asksForBlock, isExpired } from '../../common/shapes.js'
import type { WhitelistState } from '../store/kinds.js'
import type { Store } from '../store/store.js'
import { addFolderFlags, openStore, show, type Terminal } from './context.js'
import { table } from './table.js'

interface ListStatus {
  server: ServerName
  lastSync: string
  /** The host's copy of the whitelist, in words; empty when it never told. */
  whitelist: string
  jail: string
  active: number
  pendingBlock: number
  pendingUnblock: number
  expired: number
}

/** `status`: hosts and lists at a glance. */
export function addStatusCommand(program: Command, terminal: Terminal): void {
  addFolderFlags(program.command('status'))
    .description(
      'hosts and their lists at a glance; polls that bring nothing new move the last sync on once a minute'
    )
    .addHelpText('after', '\nExample:\n  fail2ban-report status --json')
    .action(async (flags: Record<string, unknown>) => {
      const { store } = openStore(flags, terminal)
      const rows = await statusOf(store)
      for (const server of new Set(rows.map(row => row.server))) {
        for (const name of await store.setAside(server))
          terminal.err(
            `Corrupt and set aside: ${name} of ${server}; what it held is not counted. "fail2ban-report doctor" says more`
          )
      }
      show(flags, terminal, rows, () =>
        rows.length === 0
          ? `No hosts yet. Add one:  ${ownCommand()} client add HOST --server-url https://YOUR-SERVER`
          : table(
              ['host', 'last sync', 'whitelist', 'jail', 'active', 'to block', 'to unblock', 'expired'],
              rows.map(row => [
                row.server,
                row.lastSync || 'never',
                row.whitelist,
                row.jail,
                String(row.active),
                String(row.pendingBlock),
                String(row.pendingUnblock),
                String(row.expired)
              ])
            )
      )
    })
}

async function statusOf(store: Store): Promise<ListStatus[]> {
  const now = Date.now()
  const rows: ListStatus[] = []
  for (const server of await store.hosts.names()) {
    const host = await store.hosts.read(server)
    const { lastSync = '' } = host
    const whitelist = await whitelistInWords(store, server, host.whitelist)
    const lists = await store.lists.names(server)
    if (lists.length === 0) rows.push({ server, lastSync, whitelist, jail: '', ...NONE })
    for (const list of lists) {
      const counts = { ...NONE }
      for (const entry of (await store.lists.read(server, list)).value) {
        if (entry.pending === true) counts[asksForBlock(entry, now) ? 'pendingBlock' : 'pendingUnblock']++
        else if (asksForBlock(entry, now)) counts.active++
        else if (isExpired(entry, now)) counts.expired++
      }
      rows.push({ server, lastSync, whitelist, jail: jailOfList(list), ...counts })
    }
  }
  return rows
}

async function whitelistInWords(
  store: Store,
  server: ServerName,
  state: WhitelistState | undefined
): Promise<string> {
  if (state === undefined) return ''
  // A corrupt whitelist is told of by `whitelist list` and doctor; it hides no host.
  const hash = await store.whitelist.hash(server).catch(() => undefined)
  if (state.result === 'fail') return `failed: ${state.message ?? 'the host does not say why'}`
  return state.hash === hash ? 'in step' : 'waits for the host'
}

const NONE = { active: 0, pendingBlock: 0, pendingUnblock: 0, expired: 0 }
