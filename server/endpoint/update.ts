import type { FastifyInstance } from 'fastify'
import { parseAddress } from '../../common/address.js'
import type { GivenCommand } from '../../common/commands.js'
import { isListName, printable, type ListName, type ServerName } from '../../common/names.js'
import { SharedLooks } from '../../common/shared-looks.js'
import { clientActor } from '../store/audit-row.js'
import type { HostReport } from '../store/hosts.js'
import type { Received } from './receive.js'
import { readWhitelistReport, whitelistState } from './whitelist-report.js'

/** Fields beyond the concept that our client sends and gets; old clients never see them. */
export interface UpdateReply {
  success: true
  updates: ListName[]
  /** Lists the server lost and asks back through index.php. Only for clients that told what they hold. */
  restore?: ListName[]
  /** SHA-256 (hex) of the whitelist as it is for this host. Only for clients that told of theirs. */
  whitelist?: string
  /** What the host is to do; each is given once. Only for clients that told which they take. */
  commands?: GivenCommand[]
}

const MOST_HELD = 2000
/** Who asks is known by then. */
const CREDENTIALS = new Set(['username', 'password', 'uuid'])

/**
 * update.php: says which lists to fetch and hands them out (sync-contract.md §3, §5.2). A host that asks the same twice at
 * a time (it gave up waiting, or two of its cycles met) gets one answer.
 */
export function listOffers(app: FastifyInstance): (received: Received, peer: string) => Promise<UpdateReply> {
  const looks = new SharedLooks<UpdateReply>()
  return (received, peer) => {
    const { server, fields } = received
    const asked = [...fields].filter(([name]) => !CREDENTIALS.has(name))
    const key = JSON.stringify([server, peer, ...asked])
    const offer = looks.at(key, () => offerLists(app, received, peer))
    return fields.has('commands') ? withCommands(app, server, offer) : offer
  }
}

async function withCommands(
  app: FastifyInstance,
  server: ServerName,
  offer: Promise<UpdateReply>
): Promise<UpdateReply> {
  return { ...(await offer), ...(await commandsOf(app, server)) }
}

async function offerLists(app: FastifyInstance, received: Received, peer: string): Promise<UpdateReply> {
  const { server, fields } = received
  const held = heldLists(fields.get('have'))
  const actor = clientActor(server, peer)
  const failed = (list: ListName, error: unknown) =>
    app.log.error({ event: 'list_not_offered', server, list, err: error }, 'a list could not be handed out')
  const [{ updates, restore }, known] = await Promise.all([
    app.store.downloads.offer(server, held, actor, failed),
    app.store.hosts.read(server)
  ])
  const report = reportOf(fields, peer, app.clock())
  const whitelist = await whitelistOf(app, received, report)
  await app.store.hosts.seen(server, report, updates.length === 0, known)
  return { success: true, updates, ...(held === undefined ? {} : { restore }), ...whitelist }
}

/** What waits for a host that takes commands. Asked for last: what is given out is given once. */
async function commandsOf(app: FastifyInstance, server: ServerName): Promise<{ commands?: GivenCommand[] }> {
  try {
    const commands = await app.store.commands.take(server)
    for (const { id, type } of commands) {
      app.log.info({ event: 'command_given', server, id, type }, 'a command was handed out')
    }
    return { commands }
  } catch (error) {
    // No command is worth a host that doesn't get its lists.
    app.log.error({ event: 'commands_not_given', server, err: error }, 'commands could not be handed out')
    return {}
  }
}

/** Says which whitelist holds for a host that tells of its own, and puts into `report` how the two compare. */
async function whitelistOf(
  app: FastifyInstance,
  { server, fields }: Received,
  report: HostReport
): Promise<{ whitelist?: string }> {
  const told = readWhitelistReport(fields.get('whitelist'))
  if (told === undefined) return {}
  try {
    const whitelist = await app.store.whitelist.hash(server)
    const inStep = told.result !== 'fail' && told.hash === whitelist
    // To ask, compare and find no difference is a sync.
    const result = inStep ? 'unchanged' : told.result
    report.whitelist = whitelistState({ ...told, result }, app.clock())
    return { whitelist }
  } catch (error) {
    // A corrupt whitelist must not keep the host from its lists.
    app.log.error({ event: 'whitelist_not_told', server, err: error }, 'the whitelist could not be read')
    return {}
  }
}

/** Reads `have`: `<list>=<sha256>` joined by commas; undefined when the client doesn't say. */
function heldLists(text: string | undefined): Map<ListName, string> | undefined {
  if (text === undefined) return undefined
  const held = new Map<ListName, string>()
  for (const item of text.split(',', MOST_HELD)) {
    const [name = '', hash = ''] = item.split('=', 2)
    if (isListName(name)) held.set(name, hash)
  }
  return held
}

function reportOf(fields: ReadonlyMap<string, string>, peer: string, now: number): HostReport {
  const report: HostReport = { peer }
  const addresses = fields.get('addresses')
  if (addresses !== undefined) {
    // Its own addresses are never blocked there: a network among them would be a whitelist of its own.
    const single = addresses.split(',', 200).filter(text => !text.includes('/'))
    report.addresses = single.flatMap(text => parseAddress(text.trim()) ?? [])
  }
  for (const name of ['version', 'firewall'] as const) {
    const value = fields.get(name)
    if (value !== undefined) report[name] = printable(value, 40)
  }
  const time = Number(fields.get('time') ?? NaN)
  // Whole seconds: the way over the network is part of the difference.
  if (Number.isFinite(time)) report.clockSkewMs = Math.round((time - now) / 1000) * 1000
  return report
}
