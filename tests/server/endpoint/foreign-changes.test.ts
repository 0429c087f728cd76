import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { hashSync } from '@node-rs/bcrypt'
import t from 'tap'
import { asBody, endpointApp, WEB1, type EndpointApp } from '../../support/endpoint.js'
import { ownFolder } from '../../support/own-folder.js'

// What other processes change on the disk holds at the very next request, however often nothing was new before.

const LIST = 'sshd.blocklist.json'
const entry = (ip: string, more: object = {}) => ({ ip, active: true, pending: false, jail: 'sshd', ...more })
const listText = (...ips: string[]) => JSON.stringify(ips.map(ip => entry(ip)))
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

interface Offer {
  updates: string[]
  restore?: string[]
}

/** An app whose host has a list and has asked twice in vain; `poll` asks once more, as our client does. */
async function idle(
  dir: string
): Promise<EndpointApp & { poll: () => Promise<Offer>; old: () => Promise<Offer> }> {
  const at = await endpointApp(dir)
  t.teardown(() => at.app.close())
  await mkdir(at.path('archive', WEB1.username, 'blocklists'), { recursive: true })
  await writeFile(at.path('archive', WEB1.username, 'blocklists', LIST), listText('192.0.2.1'))
  const have = `${LIST}=${sha256(listText('192.0.2.1'))}`
  const poll = async () => (await at.post('update.php', asBody({ have }))).json<Offer>()
  const old = async () => (await at.post('update.php', asBody())).json<Offer>()
  for (let nr = 0; nr < 2; nr++) {
    t.strictSame(await poll(), { success: true, updates: [], restore: [] })
    t.strictSame(await old(), { success: true, updates: [] })
  }
  return { ...at, poll, old }
}

/** Replaces a file as another process would. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.other`, text)
  await rename(`${path}.other`, path)
}

const clientsOf = (at: EndpointApp) => at.path('settings', 'client-list.json')
const listOf = (at: EndpointApp, list = LIST) => at.path('archive', WEB1.username, 'blocklists', list)

t.test('a client list changed by another process', async t => {
  const hash = hashSync(WEB1.password, 4)
  const refused: [string, object[], string][] = [
    ['removed', [], 'Authentication failed (user/uuid).'],
    ['another uuid', [{ ...WEB1, password: hash, uuid: 'x' }], 'Authentication failed (user/uuid).'],
    ['another password', [{ ...WEB1, password: hashSync('x', 4) }], 'Authentication failed (password).'],
    [
      'another address',
      [{ ...WEB1, password: hash, ip: '192.0.2.9' }],
      'Authentication failed (ip mismatch).'
    ]
  ]
  for (const [what, clients, message] of refused) {
    const at = await idle(ownFolder(t))
    const before = await readFile(clientsOf(at), 'utf8')
    await replace(clientsOf(at), JSON.stringify(clients))
    const reply = await at.post('update.php', asBody())
    t.equal(reply.statusCode, 403, what)
    t.match(reply.json(), { success: false, message })
    await replace(clientsOf(at), before)
    t.strictSame(await at.old(), { success: true, updates: [] }, `${what}, taken back`)
  }
})

t.test('requests that come together with the one before the change are not let in behind it', async t => {
  const at = await idle(ownFolder(t))
  const first = at.post('update.php', asBody())
  await replace(clientsOf(at), '[]')
  const later = await Promise.all([1, 2, 3].map(() => at.post('update.php', asBody())))
  for (const reply of later) t.equal(reply.statusCode, 403)
  await first
})

t.test('a list changed, added or removed by another process', async t => {
  const changed = await idle(ownFolder(t))
  // The same size and time, as a copy that keeps times would make it.
  const { atime, mtime } = await stat(listOf(changed))
  await replace(listOf(changed), listText('192.0.2.2'))
  await utimes(listOf(changed), atime, mtime)
  t.match(await changed.poll(), { updates: [LIST] })

  const inPlace = await idle(ownFolder(t))
  await writeFile(listOf(inPlace), listText('192.0.2.3'))
  t.match(await inPlace.poll(), { updates: [LIST] })

  const added = await idle(ownFolder(t))
  await writeFile(listOf(added, 'nginx.blocklist.json'), '[]')
  t.match(await added.poll(), { updates: ['nginx.blocklist.json'] })

  const removed = await idle(ownFolder(t))
  await rm(listOf(removed))
  t.match(await removed.poll(), { updates: [], restore: [LIST] })
})

t.test('a list flagged by another process is offered, to hosts of both kinds', async t => {
  for (const which of ['poll', 'old'] as const) {
    const at = await idle(ownFolder(t))
    await replace(at.path('archive', 'update.json'), JSON.stringify({ [WEB1.username]: { [LIST]: true } }))
    t.match(await at[which](), { updates: [LIST] })
    t.match(await at[which](), { updates: [LIST] }, 'and again: it never came back')
  }
})

t.test('an entry that another process put on the whitelist is lifted and offered', async t => {
  const at = await idle(ownFolder(t))
  await replace(at.path('archive', 'whitelist.json'), JSON.stringify([{ ip: '192.0.2.0/24', servers: [] }]))
  t.match(await at.old(), { updates: [LIST] })
  t.match(await readFile(listOf(at), 'utf8'), /"active":false/)
})

t.test('an entry whose end comes is offered, though no file changed', async t => {
  const at = await idle(ownFolder(t))
  const expires = new Date(at.clock.now + 60_000).toISOString()
  await replace(listOf(at), JSON.stringify([entry('192.0.2.1', { expires })]))
  for (let nr = 0; nr < 2; nr++) t.strictSame(await at.old(), { success: true, updates: [] })
  at.clock.now += 60_001
  t.match(await at.old(), { updates: [LIST] })
})

t.test('a host that tells of another list than before is answered by what it tells', async t => {
  const at = await idle(ownFolder(t))
  const reply = await at.post('update.php', asBody({ have: `${LIST}=${'0'.repeat(64)}` }))
  t.match(reply.json(), { updates: [LIST] })
})

t.test('a copy that a killed server left goes with the next poll', async t => {
  const at = await idle(ownFolder(t))
  const copy = at.path('download', WEB1.username, 'blocklists', LIST)
  await mkdir(at.path('download', WEB1.username, 'blocklists'), { recursive: true })
  for (let nr = 0; nr < 2; nr++) {
    await writeFile(copy, '[]')
    t.strictSame(await at.old(), { success: true, updates: [] })
    await t.rejects(stat(copy), { code: 'ENOENT' })
  }
})
