import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { ServerName } from '../../common/names.js'

/**
 * What waits for a host, as a mark (SHA-256, hex) that is another one whenever something else waits: lists to fetch, or
 * handed out and never synced back, each with its version; commands; another whitelist than the host last told of.
 * Undefined when nothing does. It is made of the archive alone: every server process comes to the same.
 */
export async function waitingFor(app: FastifyInstance, server: ServerName): Promise<string | undefined> {
  const { updates, lists, commands, whitelist, hosts } = app.store
  const waiting: string[] = []
  for (const list of (await updates.of(server)).keys()) {
    waiting.push(`list ${list} ${await lists.version(server, list)}`)
  }
  for (const { id, state } of await commands.list(server))
    if (state === 'pending') waiting.push(`command ${id}`)
  const told = (await hosts.read(server)).whitelist
  // A host that has never told of one takes none.
  if (told !== undefined) {
    const hash = await whitelist.hash(server)
    if (told.hash !== hash) waiting.push(`whitelist ${hash}`)
  }
  if (waiting.length === 0) return undefined
  return createHash('sha256').update(waiting.sort().join('\n')).digest('hex')
}
