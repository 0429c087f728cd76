import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readClientConfig } from '../../client/config/config.js'
import type { CycleResult, Step } from '../../client/cycle/cycle.js'
import { syncOnce } from '../../client/sync.js'
import { address } from '../../common/address.js'
import { listName, serverName } from '../../common/names.js'
import type { BlocklistEntry } from '../../common/shapes.js'
import { endpointApp, WEB1 } from '../support/endpoint.js'
import { gone } from '../support/gone.js'
import { ownFolder } from '../support/own-folder.js'

const ACTOR = { kind: 'cli' as const, name: 'root', from: 'cli' }
const [SERVER, SSHD] = [serverName(WEB1.username), listName('sshd.blocklist.json')]
const SIZE = 2000
/** What a request or reply with a few changes has room in, and a list of that size has not. */
const FEW_BYTES = 10_000
const old = Array.from({ length: SIZE }, (_, n) => `100.${64 + (n >> 8)}.${n & 255}.9`)

interface Exchange {
  endpoint: string
  asked: number
  replied: number
}

/** A server and a client as users have them, in one process; the host holds a list of 2000 blocks already. */
async function site(t: Test) {
  const dir = ownFolder(t, { host: { 'fail2ban.log': '' } })
  const at = await endpointApp(dir)
  t.teardown(() => at.app.close())
  const exchanges: Exchange[] = []
  at.app.server.on('request', (request, response) => {
    const { socket } = request
    const [read, written] = [socket.bytesRead, socket.bytesWritten]
    response.once('finish', () => {
      const endpoint = /(\w+)\.php/.exec(request.url ?? '')?.[1] ?? ''
      exchanges.push({ endpoint, asked: socket.bytesRead - read, replied: socket.bytesWritten - written })
    })
  })
  await at.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = at.app.server.address() as AddressInfo
  const state = join(dir, 'host', 'state')
  const config = readClientConfig({
    flags: {
      server: `http://127.0.0.1:${port}`,
      username: WEB1.username,
      log: join(dir, 'host', 'fail2ban.log'),
      firewall: 'dry-run',
      state
    },
    env: { F2BR_PASSWORD: WEB1.password, F2BR_UUID: WEB1.uuid }
  })
  const told: string[] = []
  const cycle = (onStep: (step: Step) => void = () => undefined): Promise<CycleResult> => {
    exchanges.length = 0
    return syncOnce(config, {
      report: (_, { event }) => void told.push(event),
      onStep
    })
  }
  const change = (want: 'block' | 'unblock', ...ips: string[]) =>
    at.app.store.lists.change(
      SERVER,
      SSHD,
      ips.map(ip => ({ ip: address(ip), want, source: 'test' })),
      ACTOR
    )
  const files = {
    server: at.path('archive', WEB1.username, 'blocklists', SSHD),
    host: join(state, 'blocklists', SSHD)
  }
  const entries = async () => JSON.parse(await readFile(files.server, 'utf8')) as BlocklistEntry[]
  const firewall = async () =>
    (JSON.parse(await readFile(join(state, 'dry-run-firewall.json'), 'utf8')) as string[]).sort()
  /** Both sides hold the same bytes, the firewall what they ask for, and nothing is under way. */
  const inStep = async (t: Test, blocked: string[], about: string) => {
    t.equal(await readFile(files.host, 'utf8'), await readFile(files.server, 'utf8'), `${about}: same bytes`)
    const list = await entries()
    t.strictSame(list.map(({ ip }) => ip).sort(), [...blocked].sort(), `${about}: the list`)
    t.notOk(
      list.some(entry => entry.pending !== false),
      `${about}: nothing is pending`
    )
    t.strictSame(await firewall(), [...blocked].sort(), `${about}: the firewall`)
    t.strictSame(JSON.parse(await readFile(at.path('archive', 'update.json'), 'utf8')), {}, `${about}: index`)
    await gone(at.path('download', WEB1.username, 'blocklists', SSHD))
  }
  await change('block', ...old)
  t.strictSame((await cycle()).failures, [])
  await inStep(t, old, 'the first cycle')
  return { at, exchanges, cycle, change, files, entries, inStep, told }
}

const called = (exchanges: readonly Exchange[]) => exchanges.map(({ endpoint }) => endpoint)

t.test('a few changes of a long list travel alone, there and back', async t => {
  const { at, exchanges, cycle, change, inStep } = await site(t)
  await change('block', '203.0.113.1', '203.0.113.2')
  await change('unblock', old[0]!, old[77]!)
  const result = await cycle()
  t.match(result, { added: 2, removed: 2, downloaded: [SSHD], syncedBack: [SSHD], failures: [] })
  t.strictSame(called(exchanges), ['update', 'download', 'syncback'])
  for (const { endpoint, asked, replied } of exchanges) {
    t.ok(asked < FEW_BYTES, `${endpoint} is asked in ${asked} bytes`)
    t.ok(replied < FEW_BYTES, `${endpoint} replies in ${replied} bytes`)
  }
  const left = old.filter((_, n) => n !== 0 && n !== 77)
  await inStep(t, [...left, '203.0.113.1', '203.0.113.2'], 'by changes')
  const trail = await readFile(at.path('archive', WEB1.username, 'audit.jsonl'), 'utf8')
  const rows = trail.trimEnd().split('\n').slice(-4)
  t.strictSame(
    rows.map(row => (JSON.parse(row) as { what: string }).what).sort(),
    ['in-force', 'in-force', 'removed', 'removed'],
    'the trail tells what a whole list would have'
  )
  t.match(await cycle(), { downloaded: [], syncedBack: [], failures: [] }, 'and then there is rest')
  t.strictSame(called(exchanges), ['update'])
})

t.test(
  'a block made during the cycle is kept: the whole list goes back, and the next cycle applies it',
  async t => {
    const { at, exchanges, cycle, change, entries, inStep } = await site(t)
    await change('block', '203.0.113.1')
    const { uploads } = at.app.store
    const withRoom = uploads.withRoom.bind(uploads)
    uploads.withRoom = async (bytes, work) => {
      uploads.withRoom = withRoom
      await change('block', '203.0.113.2')
      return withRoom(bytes, work)
    }
    const result = await cycle()
    t.match(result, { syncedBack: [SSHD], failures: [] })
    const back = exchanges.filter(({ endpoint }) => endpoint === 'syncback')
    t.equal(back.length, 2, 'changes, then the whole list')
    t.ok(back[0]!.asked < FEW_BYTES && back[1]!.asked > FEW_BYTES)
    t.match(
      (await entries()).filter(({ pending }) => pending !== false),
      [{ ip: '203.0.113.2', pending: true }],
      'what came meanwhile waits'
    )
    t.match(JSON.parse(await readFile(at.path('archive', 'update.json'), 'utf8')), {
      [WEB1.username]: { [SSHD]: true }
    })
    t.match(await cycle(), { added: 1, failures: [] })
    await inStep(t, [...old, '203.0.113.1', '203.0.113.2'], 'then')
  }
)

t.test(
  'a copy of the host that is not what the server thinks: the whole list is fetched, in the same cycle',
  async t => {
    const { exchanges, cycle, change, files, inStep, told } = await site(t)
    const [first, second, ...rest] = JSON.parse(await readFile(files.host, 'utf8')) as BlocklistEntry[]
    await writeFile(files.host, JSON.stringify([second, first, ...rest]))
    await change('block', '203.0.113.1')
    t.match(await cycle(), { added: 1, downloaded: [SSHD], syncedBack: [SSHD], failures: [] })
    t.ok(told.includes('changes_do_not_fit'))
    t.strictSame(called(exchanges), ['update', 'download', 'update', 'download', 'syncback'])
    t.ok(exchanges[3]!.replied > FEW_BYTES, 'whole')
    t.ok(exchanges[4]!.asked < FEW_BYTES, 'what the host changed in it goes back alone')
    await inStep(t, [...old, '203.0.113.1'], 'by the whole list')
  }
)

t.test('a host that lost its copy gets the whole list', async t => {
  const { exchanges, cycle, change, files, inStep } = await site(t)
  await writeFile(files.host, '[')
  await change('block', '203.0.113.1')
  t.match(await cycle(), { added: 1, failures: [] })
  t.ok(exchanges[1]!.replied > FEW_BYTES)
  await inStep(t, [...old, '203.0.113.1'], 'by the whole list')
})

t.test('a list that another hand wrote on the server reaches the host to the byte', async t => {
  const { cycle, entries, files, inStep } = await site(t)
  const list = await entries()
  list[5]!.reason = 'by hand {'
  list.push({ ...list[0]!, ip: '203.0.113.1', pending: true })
  await writeFile(files.server, JSON.stringify(list, null, 4))
  t.match(await cycle(), { added: 1, failures: [] })
  await inStep(t, [...old, '203.0.113.1'], 'by hand')
})

t.test('a cycle of changes that ends after any step is healed by the next one', async t => {
  const { cycle, change, inStep } = await site(t)
  const blocked = new Set(old)
  const STEPS: Step[] = ['events', 'asked', 'downloaded', 'applied', 'settled', 'synced-back']
  for (const [round, ends] of STEPS.entries()) {
    const [fresh, gone] = [`203.0.113.${round}`, old[round]!]
    await change('block', fresh)
    await change('unblock', gone)
    blocked.add(fresh)
    blocked.delete(gone)
    await t.rejects(
      cycle(step => {
        if (step === ends) throw new Error('ended here')
      }),
      { message: 'ended here' }
    )
    t.strictSame((await cycle()).failures, [], ends)
    await inStep(t, [...blocked], ends)
  }
})
