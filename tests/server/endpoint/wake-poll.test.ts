import { writeFile } from 'node:fs/promises'
import { hashSync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { endpointApp, WEB1 } from '../../support/endpoint.js'
import { ownFolder } from '../../support/own-folder.js'
import { opened } from '../../support/socket.js'

const ACTOR = { kind: 'cli', name: 'test', from: 'cli' } as const
const LIST = 'sshd.blocklist.json' as never
const POLL_MS = 50_000

/** The app on a port of its own, and polls to it. */
async function polled(t: Test, clients?: string) {
  const at = await endpointApp(ownFolder(t), {}, ...(clients === undefined ? [] : [clients]))
  t.teardown(() => at.app.close())
  const base = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/wake`
  const poll = async (
    query = '',
    more: Partial<typeof WEB1> = {},
    dispatcher = new Agent()
  ): Promise<{ status: number; text: string; seen: string | undefined; headers: object }> => {
    const reply = await request(`${base}/poll${query}`, { headers: basic(more), dispatcher })
    const text = await reply.body.text()
    await dispatcher.close()
    const seen = text === '' ? undefined : (JSON.parse(text) as { seen?: string }).seen
    return { status: reply.statusCode, text, seen, headers: reply.headers }
  }
  const change = (server: string, want: 'block' | 'unblock', ip = '203.0.113.9', app = at.app) =>
    app.store.lists.change(server as never, LIST, [{ ip: ip as never, want, source: 'test' }], ACTOR)
  /** Resolves when so many polls and sockets wait. */
  const waiting = async (number: number, app = at.app) => {
    while (app.live.hosts.size !== number) await new Promise(resolve => setTimeout(resolve, 5))
  }
  return { at, base, poll, change, waiting }
}

t.test(
  'a poll is answered when something is to be fetched, and after a bounded time if nothing is',
  async t => {
    const { at, poll, change, waiting } = await polled(t)
    const first = poll()
    await waiting(1)
    await change('db-1', 'block')
    t.equal(at.app.live.hosts.size, 1, "another host's list ends no wait")
    await change('web-1', 'block')
    const told = await first
    t.match(told, { status: 200, text: /^\{"type":"wake","seen":"[0-9a-f]{64}"\}$/ })
    t.match(told.headers, { 'cache-control': 'no-store' })
    t.equal(at.app.live.hosts.size, 0)

    const second = poll(`?seen=${told.seen}`)
    await waiting(1)
    at.clock.now += POLL_MS - 1
    // The server looks every second for waits to end.
    const looked = new Promise(resolve => setTimeout(() => resolve('waits on'), 1200))
    t.equal(await Promise.race([second, looked]), 'waits on')
    at.clock.now += 1
    t.match(await second, { status: 204, text: '' })
    t.equal(at.app.live.hosts.size, 0)
  }
)

t.test('nothing is lost between two polls, and nothing told of twice', async t => {
  const { at, poll, change, waiting } = await polled(t)
  await change('web-1', 'block')
  const first = await poll()
  t.match(first, { status: 200, seen: /./ }, 'what waited before it came is told at once')
  const stuck = poll(`?seen=${first.seen}`)
  await waiting(1)
  await change('web-1', 'block', '203.0.113.10')
  const second = await stuck
  t.not(second.seen, first.seen)
  await change('web-1', 'unblock', '203.0.113.10')
  await change('web-1', 'block', '203.0.113.10')
  const third = await poll(`?seen=${second.seen}`)
  t.match(third, { status: 200 }, 'a change between two polls, though the list then says what it said before')

  await at.post('update.php', new URLSearchParams({ ...WEB1, commands: 'all' }).toString())
  const handed = poll(`?seen=${third.seen}`)
  await waiting(1)
  const command = await at.app.store.commands.add('web-1' as never, 'health', {}, ACTOR)
  const fourth = await handed
  t.match(fourth, { status: 200 }, 'a list that was handed out and not synced back is no news')
  await at.post('update.php', new URLSearchParams({ ...WEB1, commands: 'all' }).toString())
  t.equal((await at.app.store.commands.find(command.id)).command.state, 'running')
  const fifth = await poll(`?seen=${fourth.seen}`)
  t.equal(fifth.seen, third.seen, 'the list alone is left, as it was')
})

t.test('a change made by another process on the archive ends a wait', async t => {
  const { at, poll, waiting } = await polled(t)
  const other = await endpointApp(at.dir)
  t.teardown(() => other.app.close())
  const first = poll()
  await waiting(1)
  const entry = { ip: '203.0.113.9' as never, want: 'block' as const, source: 'test' }
  await other.app.store.lists.change('web-1' as never, LIST, [entry], ACTOR)
  const told = await first
  t.equal(told.status, 200)
  const url = `${await other.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/wake/poll?seen=${told.seen}`
  const rest = request(url, { headers: basic() })
  await waiting(1, other.app)
  await at.app.store.commands.add('web-1' as never, 'health', {}, ACTOR)
  t.equal(
    ((await (await rest).body.json()) as { type: string }).type,
    'wake',
    'the mark holds at any process'
  )
})

t.test('credentials, addresses and marks of a poll are checked', async t => {
  const entry = { ...WEB1, password: hashSync(WEB1.password, 4), ip: '127.0.0.0/8' }
  const { at, base, poll, waiting } = await polled(t, JSON.stringify([entry]))
  t.equal((await request(`${base}/poll`)).statusCode, 401)
  t.match(await poll('', { password: 'wrong' }), { status: 403, text: /\(password\)/ })
  t.match(await poll('', { uuid: 'wrong' }), { status: 403, text: /user\/uuid/ })
  for (const query of [
    '?seen=x',
    `?seen=${'a'.repeat(65)}`,
    `?seen=${'A'.repeat(64)}`,
    '?seen=',
    '?wait=9'
  ]) {
    t.match(await poll(query), { status: 400, text: /"success":false,"message":"/ }, query)
  }
  t.equal((await request(`${base}/poll`, { method: 'POST', headers: basic() })).statusCode, 404)
  const first = poll()
  await waiting(1)
  await writeFile(at.path('settings', 'client-list.json'), JSON.stringify([{ ...entry, ip: '192.0.2.1' }]))
  t.match(await first, { status: 204 }, 'its wait ends as its entry changes')
  t.match(await poll(), { status: 403, text: /ip mismatch/ })
})

t.test('polls and WebSockets are counted together, and whoever goes is forgotten', async t => {
  const { at, base, poll, waiting } = await polled(t)
  const sockets = [await opened(base, basic()), await opened(base, basic())]
  const polls = []
  for (const held of [3, 4]) {
    polls.push(poll())
    await waiting(held)
  }
  const late = poll()
  await sockets[0]?.closed
  t.equal(at.app.live.hosts.size, 4, 'four of a host: the oldest goes')
  for (const { socket } of sockets) socket.terminate()
  await waiting(3)
  const host = new Agent()
  const left = poll('', {}, host)
  await waiting(4)
  const fifth = poll()
  t.match(await polls[0], { status: 204 }, 'be it a poll')
  await Promise.all([t.rejects(left), host.destroy()])
  await waiting(3)
  Object.defineProperty(at.app.live.hosts, 'full', { value: true })
  t.match(await poll(), { status: 503, text: /Too many live connections/ })
  await at.app.close()
  for (const one of [polls[1], late, fifth]) t.match(await one, { status: 204 }, 'as the server stops')
})

t.test('a server that can not look what waits says so', async t => {
  const { at, poll } = await polled(t)
  at.app.store.updates.of = () => Promise.reject(new Error('the disk is gone'))
  t.match(await poll(), { status: 500, text: /Internal error/ })
  t.equal(at.app.live.hosts.size, 0)
})

function basic(more: Partial<typeof WEB1> = {}): Record<string, string> {
  const { username, password, uuid } = { ...WEB1, ...more }
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  return { authorization, 'x-client-uuid': uuid }
}
