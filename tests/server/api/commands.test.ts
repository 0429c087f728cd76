import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { COMMAND_TYPES } from '../../../common/commands.js'
import { RUN_MS, WAIT_MS } from '../../../server/store/commands.js'
import { clientActor } from '../../../server/store/audit-row.js'
import { testApp, type TestApp } from '../../support/app.js'

const ACTOR = { kind: 'cli' as const, name: 'root', from: 'cli' }
const COMMANDS = '/api/v1/commands'

async function key(
  at: TestApp,
  role: 'read' | 'write' | 'admin',
  server?: string
): Promise<Record<string, string>> {
  const name = `${role}-${server ?? 'all'}`
  const secret = await at.app.store.keys.add(name, role, server as never, ACTOR)
  return { authorization: `Bearer ${secret}` }
}
const health = (server_id = 'web-1') => ({ server_id, command_type: 'health' })
interface Reply {
  success: boolean
  message: string
  command: { id: string; state: string; output: string | null }
  commands: { id: string; server_id: string }[]
}

t.test('a command goes its way: pending, given once, ended', async t => {
  const at = await testApp(t)
  const write = await key(at, 'write')
  const made = await at.post(COMMANDS, { ...health(), params: {} }, undefined, write)
  t.equal(made.statusCode, 201, made.body)
  const { id, state } = made.json<Reply>().command
  t.equal(state, 'pending')
  const store = at.app.store.commands
  t.match(await store.take('web-1' as never), [{ id, type: 'health', params: {} }])
  t.same(await store.take('web-1' as never), [], 'never twice')
  t.equal((await at.get(`${COMMANDS}/${id}`, undefined, write)).json<Reply>().command.state, 'running')
  t.same(
    await store.end('db-1' as never, [{ id, state: 'completed', output: 'x' }], '::1'),
    [],
    'not by another'
  )
  const output = `fine\u001b[2J\n${'x'.repeat(100_000)}`
  t.same(await store.end('web-1' as never, [{ id, state: 'completed', output }], '::1'), [id])
  t.same(await store.end('web-1' as never, [{ id, state: 'failed', output: '' }], '::1'), [], 'nor twice')
  const { command } = (await at.get(`${COMMANDS}/${id}`, undefined, write)).json<Reply>()
  t.equal(command.state, 'completed')
  t.match(command.output, /^fine\ufffd\[2J\nxxx/)
  t.equal(command.output?.length, 64 * 1024)
  const trail = await readFile(at.path('archive', 'web-1', 'audit.jsonl'), 'utf8')
  t.match(trail, /"kind":"key","name":"write-all".*"command-added"/)
  t.match(trail, /"kind":"client","name":"web-1".*"command-ended"/)
})

t.test('two processes give a command out once', async t => {
  const at = await testApp(t)
  const { Store } = await import('../../../server/store/store.js')
  const other = new Store({
    folders: at.app.config.folders,
    clock: () => at.clock.now,
    widest: { 4: 8, 6: 19 },
    onSetAside: () => undefined
  })
  for (let n = 0; n < 5; n++) await at.app.store.commands.add('web-1' as never, 'health', {}, ACTOR)
  const both = await Promise.all(
    [at.app.store, other, at.app.store, other].map(store => store.commands.take('web-1' as never))
  )
  const ids = both.flat().map(one => one.id)
  t.equal(ids.length, 5)
  t.equal(new Set(ids).size, 5)
})

t.test('nobody waits for ever', async t => {
  const at = await testApp(t)
  const store = at.app.store.commands
  const [a, b] = [
    await store.add('web-1' as never, 'health', {}, ACTOR),
    await store.add('db-1' as never, 'health', {}, ACTOR)
  ]
  await store.take('db-1' as never)
  at.clock.now += RUN_MS
  t.equal((await store.find(b.id)).command.state, 'timeout')
  t.equal((await store.find(a.id)).command.state, 'pending')
  t.same(await store.end('db-1' as never, [{ id: b.id, state: 'completed', output: '' }], ''), [], 'too late')
  at.clock.now += WAIT_MS
  t.same(await store.take('web-1' as never), [], 'nothing stale is given out')
  await at.app.store.housekeeping()
  t.match(await readFile(at.path('archive', 'web-1', 'commands.json'), 'utf8'), '"timeout"')
  const trail = await readFile(at.path('archive', 'db-1', 'audit.jsonl'), 'utf8')
  t.match(trail, /"kind":"server".*"command-ended".*"before":\{"state":"running"\}.*"state":"timeout"/)
})

t.test("browsers are told of each state, audited timeouts are the server's", async t => {
  const at = await testApp(t)
  await at.app.ready()
  const store = at.app.store.commands
  const told: unknown[] = []
  const reader = at.app.store.live.follow(note => {
    if (note.type === 'command_result') told.push(note.data.state)
  })
  t.teardown(() => at.app.store.live.unfollow(reader))
  const { id } = await store.add('web-1' as never, 'health', {}, ACTOR)
  await store.take('web-1' as never)
  await store.end('web-1' as never, [{ id, state: 'failed', output: '' }], '::1')
  await store.add('web-1' as never, 'health', {}, ACTOR)
  at.clock.now += WAIT_MS
  await store.add('web-1' as never, 'list_bans', {}, ACTOR)
  await reader.look()
  t.strictSame(told, ['pending', 'running', 'failed', 'pending', 'timeout', 'pending'])
  const trail = await readFile(at.path('archive', 'web-1', 'audit.jsonl'), 'utf8')
  const ends = trail.split('\n').filter(line => line.includes('"state":"timeout"'))
  t.equal(ends.length, 1)
  t.match(ends[0], /"kind":"server"/)
})

t.test('of the outputs the newest are kept, as far as the file stays small', async t => {
  const at = await testApp(t)
  const store = at.app.store.commands
  const ids: string[] = []
  for (let n = 0; n < 20; n++) {
    const { id } = await store.add('web-1' as never, 'health', {}, ACTOR)
    ids.push(id)
    await store.take('web-1' as never)
    at.clock.now += 1000
    await store.end('web-1' as never, [{ id, state: 'completed', output: 'x'.repeat(50_000) }], '::1')
  }
  const kept = (await store.list('web-1' as never)).filter(({ output = '' }) => output.length > 1000)
  t.strictSame(
    kept.map(({ id }) => id),
    ids.slice(-5)
  )
  t.ok((await readFile(at.path('archive', 'web-1', 'commands.json'))).length < 300_000)
  t.match((await store.find(ids[0] ?? '')).command, { state: 'completed', output: /dropped/ })
  const [alice, victor] = [await at.login('alice'), await at.login('victor')]
  const look = async (as: typeof alice) => (await at.get(`${COMMANDS}/${ids[19]}`, as)).json<Reply>().command
  t.equal((await look(alice)).output?.length, 50_000)
  t.equal((await look(victor)).output, undefined, 'what a host printed is for admins')
  const refused = await at.get(`${COMMANDS}/web-1~0123456789`, alice)
  t.match(refused.headers, { 'x-error-code': 'NOT_FOUND', 'x-error-detail': /no%20such/ })
})

t.test('the file stays small', async t => {
  const at = await testApp(t)
  const store = at.app.store.commands
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 50; n++) await store.add('web-1' as never, 'health', {}, ACTOR)
    await t.rejects(store.add('web-1' as never, 'health', {}, ACTOR), { code: 'CONFLICT' })
    for (
      let given = await store.take('web-1' as never);
      given.length > 0;
      given = await store.take('web-1' as never)
    ) {
      await store.end(
        'web-1' as never,
        given.map(({ id }) => ({ id, state: 'completed' as const, output: '' })),
        ''
      )
    }
  }
  t.equal((await store.list('web-1' as never)).length, 100)
})

t.test('who may do what', async t => {
  const at = await testApp(t)
  const [alice, victor] = [await at.login('alice'), await at.login('victor')]
  const [read, write, admin, bound] = [
    await key(at, 'read'),
    await key(at, 'write'),
    await key(at, 'admin'),
    await key(at, 'write', 'web-1')
  ]
  const reload = { server_id: 'web-1', command_type: 'fail2ban_reload' }
  const cases: [string, Promise<{ statusCode: number }>, number][] = [
    ['nobody', at.post(COMMANDS, health()), 401],
    ['nobody looks', at.get(COMMANDS), 401],
    ['a wrong key', at.post(COMMANDS, health(), undefined, { authorization: 'Bearer f2br_x' }), 401],
    ['a wrong key beside a session', at.post(COMMANDS, health(), alice, { authorization: 'Bearer x' }), 401],
    ['a key that reads', at.post(COMMANDS, health(), undefined, read), 403],
    ['it looks', at.get(COMMANDS, undefined, read), 200],
    ['a key that writes', at.post(COMMANDS, health(), undefined, write), 201],
    ['no reload', at.post(COMMANDS, reload, undefined, write), 403],
    ['an admin key', at.post(COMMANDS, reload, undefined, admin), 201],
    ['a bound key', at.post(COMMANDS, health(), undefined, bound), 201],
    ['another host', at.post(COMMANDS, health('db-1'), undefined, bound), 403],
    ['another host, looking', at.get(`${COMMANDS}?server_id=db-1`, undefined, bound), 403],
    ['an admin', at.post(COMMANDS, health(), alice), 201],
    ['an admin without the token', at.post(COMMANDS, health(), undefined, { cookie: alice.cookie }), 403],
    ['from another site', at.post(COMMANDS, health(), alice, { origin: 'https://evil.example' }), 403],
    ['a viewer', at.post(COMMANDS, health(), victor), 403],
    ['a viewer looks', at.get(COMMANDS, victor), 200]
  ]
  for (const [who, reply, status] of cases) t.equal((await reply).statusCode, status, who)
  await at.app.store.commands.add('db-1' as never, 'health', {}, ACTOR)
  const seen = (await at.get(COMMANDS, undefined, bound)).json<Reply>().commands
  t.ok(seen.length > 0 && seen.every(one => one.server_id === 'web-1'), 'a bound key sees its host only')
  const [other] = await at.app.store.commands.list('db-1' as never)
  t.equal((await at.get(`${COMMANDS}/${other?.id}`, undefined, bound)).statusCode, 403)
  await at.app.store.keys.remove('write-all', ACTOR)
  t.equal((await at.post(COMMANDS, health(), undefined, write)).statusCode, 401, 'removed is removed')
})

t.test('keys are kept as hashes, are on record, and wrong ones are limited', async t => {
  const at = await testApp(t)
  const { authorization = '' } = await key(at, 'read')
  const secret = authorization.slice('Bearer '.length)
  const file = await readFile(at.path('settings', 'api-keys.json'), 'utf8')
  t.notMatch(file, secret)
  t.notMatch(file, secret.slice(5))
  t.match(await readFile(at.path('archive', 'audit.jsonl'), 'utf8'), /"key-added","key":"read-all"/)
  t.notMatch(await readFile(at.path('archive', 'audit.jsonl'), 'utf8'), secret.slice(5))
  let status = 0
  for (let n = 0; n < 21; n++) {
    status = (await at.get(COMMANDS, undefined, { authorization: `Bearer wrong${n}` })).statusCode
  }
  t.equal(status, 429)
  t.equal((await at.get(COMMANDS, undefined, { authorization })).statusCode, 429, 'the right one too')
  at.clock.now += 61_000
  t.equal((await at.get(COMMANDS, undefined, { authorization })).statusCode, 200)
  t.match(at.lines.join(''), /"event":"auth_failure","what":"key","peer":"127.0.0.1"/)
  t.notMatch(at.lines.join(''), /wrong1|f2br_/)
  await writeFile(at.path('settings', 'api-keys.json'), '{')
  t.equal(
    (await at.get(COMMANDS, undefined, { authorization })).statusCode,
    500,
    'a corrupt file opens no door'
  )
})

t.test('parameters are checked', async t => {
  const at = await testApp(t)
  const admin = await key(at, 'admin')
  const give = (command_type: string, params: unknown, server_id = 'web-1') =>
    at.post(COMMANDS, { server_id, command_type, params }, undefined, admin)
  const good: [string, unknown][] = [
    ['ban_ip', { jail: 'sshd', ip: '203.0.113.9' }],
    ['unban_ip', { jail: 'Odd jail.näme_1', ip: '2001:DB8::1' }],
    ['jail_status', { jail: 'sshd' }],
    ['list_bans', {}]
  ]
  for (const [type, params] of good)
    t.equal((await give(type, params)).statusCode, 201, JSON.stringify(params))
  const bad: [string, unknown][] = [
    ['ban_ip', { jail: 'sshd' }],
    ['ban_ip', { jail: 'sshd', ip: '203.0.113.0/24' }],
    ['ban_ip', { jail: '--all', ip: '203.0.113.9' }],
    ['ban_ip', { jail: 'a\nb', ip: '203.0.113.9' }],
    ['ban_ip', { jail: 'sshd', ip: '203.0.113.9', more: 'x' }],
    ['ban_ip', { jail: ['sshd'], ip: '203.0.113.9' }],
    ['jail_status', { jail: '' }],
    ['jail_status', { jail: 'x'.repeat(257) }],
    ['health', { jail: 'sshd' }],
    ['rm', {}],
    ['constructor', {}]
  ]
  for (const [type, params] of bad)
    t.equal((await give(type, params)).statusCode, 400, JSON.stringify([type, params]))
  t.equal((await give('health', {}, 'nobody')).statusCode, 404)
  t.equal((await give('health', {}, '../web-1')).statusCode, 404)
  for (const ip of ['127.0.0.1', '0.0.0.0']) {
    const reply = await give('ban_ip', { jail: 'sshd', ip })
    t.equal(reply.statusCode, 409, ip)
  }
  await at.app.store.whitelist.add(
    [{ ip: '192.0.2.7' as never, description: 'office', expires: null, servers: [] }],
    ACTOR
  )
  t.match(
    (await give('ban_ip', { jail: 'sshd', ip: '192.0.2.7' })).json<Reply>().message,
    /whitelist \(office\)/
  )
  for (const id of ['x', 'web-1~', 'web-1~0123456789', '..~0123456789', '%2e%2e~0123456789'])
    t.equal((await at.get(`${COMMANDS}/${id}`, undefined, admin)).statusCode, 404, id)
  t.equal(COMMAND_TYPES.length, 9)
})

t.test('a corrupt file runs nothing twice', async t => {
  const at = await testApp(t)
  const store = at.app.store.commands
  const { id } = await store.add('web-1' as never, 'health', {}, ACTOR)
  await store.take('web-1' as never)
  await writeFile(at.path('archive', 'web-1', 'commands.json'), '[{')
  t.same(await store.take('web-1' as never), [])
  t.same(
    await store.end(
      'web-1' as never,
      [{ id, state: 'completed', output: '' }],
      clientActor('web-1', '').from
    ),
    []
  )
  t.match(await at.app.store.setAside('web-1' as never), [/commands\.json\.corrupt/])
})
