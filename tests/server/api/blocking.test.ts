import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { ProductError } from '../../../common/errors.js'
import { testApp, type LoggedIn, type TestApp } from '../../support/app.js'

interface Reply {
  success: boolean
  message: string
  results: { server: string; jail: string; ip: string; outcome: string; message: string }[]
}

const ONE = { servers: ['web-1'], jails: ['sshd'], ips: ['203.0.113.9'] }

const send = async (at: TestApp, what: 'block' | 'unblock', body: object, as: LoggedIn) => {
  const reply = await at.post(`/api/${what}`, body, as)
  return { status: reply.statusCode, ...reply.json<Reply>() }
}
const index = async (at: TestApp) =>
  JSON.parse(await readFile(at.path('archive', 'update.json'), 'utf8')) as unknown
const outcomes = (reply: Reply) => reply.results.map(one => one.outcome)

t.test('a block is pending and flagged for its client', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const wish = { ...ONE, reason: 'scans "ports"', expires: '2026-03-02T00:00:00+02:00', tags: ['scan'] }
  t.strictSame(await send(at, 'block', wish, alice), {
    status: 200,
    success: true,
    message: '203.0.113.9 in sshd on web-1 will be blocked; waits for web-1.',
    results: [
      {
        server: 'web-1',
        jail: 'sshd',
        ip: '203.0.113.9',
        outcome: 'blocked',
        message: 'will be blocked; waits for web-1'
      }
    ]
  })
  const now = '2026-03-01T12:00:00.000+00:00'
  t.strictSame(await at.readList('web-1', 'sshd'), [
    {
      ip: '203.0.113.9',
      jail: 'sshd',
      source: 'action_ban-ip',
      timestamp: now,
      expires: '2026-03-01T22:00:00.000+00:00',
      reason: 'scans "ports"',
      active: true,
      lastModified: now,
      tags: ['scan'],
      pending: true
    }
  ])
  t.strictSame(await index(at), { 'web-1': { 'sshd.blocklist.json': true } })
  const logged = at.lines.map(line => JSON.parse(line) as unknown)
  t.match(logged.at(-1), { event: 'block', user: 'alice', server: 'web-1', jail: 'sshd', blocked: 1 })
})

t.test('blocking what is blocked changes nothing, to the byte, and says so', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [
    { ip: '203.0.113.9', pending: false },
    { ip: '203.0.113.10', pending: true }
  ])
  const before = await at.bytes()
  const ips = ['203.0.113.9', '203.0.113.10', '203.0.113.9']
  const reply = await send(at, 'block', { ...ONE, ips }, alice)
  t.match(reply, { status: 200, success: true, message: '2 blocked already.' })
  t.strictSame(
    reply.results.map(one => one.message),
    ['is blocked already', 'is to be blocked already and waits for web-1']
  )
  t.strictSame(await at.bytes(), before)
})

t.test('an unblock is pending, asked again it says so, and of what was never blocked too', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [{ ip: '203.0.113.9', pending: false }])
  t.match(await send(at, 'unblock', ONE, alice), { status: 200, results: [{ outcome: 'unblocked' }] })
  t.match(await at.readList('web-1', 'sshd'), [{ active: false, pending: true }])
  t.strictSame(await index(at), { 'web-1': { 'sshd.blocklist.json': true } })
  const before = await at.bytes()
  t.match(await send(at, 'unblock', ONE, alice), {
    status: 200,
    results: [{ outcome: 'already-unblocked', message: 'is to be let in already and waits for web-1' }]
  })
  t.match(await send(at, 'unblock', { ...ONE, ips: ['203.0.113.77'] }, alice), {
    status: 200,
    results: [{ outcome: 'not-blocked', message: 'was not blocked' }]
  })
  t.strictSame(await at.bytes(), before)
  t.match(await send(at, 'block', ONE, alice), { results: [{ outcome: 'blocked' }] }, 'and back again')
})

t.test('an unblock tells what keeps the address blocked all the same', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [
    { ip: '203.0.113.9', pending: false },
    { ip: '203.0.113.0/24', pending: false },
    { ip: '198.51.100.0/24', active: false, pending: false },
    { ip: '198.51.100.7', pending: false },
    { ip: '192.0.2.1', pending: false }
  ])
  await at.writeList('web-1', 'nginx', [
    { ip: '192.0.2.1' },
    { ip: '192.0.2.0/24', expires: '2020-01-01T00:00:00Z' }
  ])
  await at.writeList('db-1', 'sshd', [{ ip: '198.51.100.0/24' }])
  t.match(await send(at, 'unblock', ONE, alice), {
    status: 200,
    message:
      '203.0.113.9 in sshd on web-1 will be let in again; waits for web-1, but stays blocked there by 203.0.113.0/24 in sshd.',
    results: [{ outcome: 'unblocked', still: { ip: '203.0.113.0/24', jail: 'sshd' } }]
  })
  const ips = ['203.0.113.10', '198.51.100.7', '192.0.2.1']
  const reply = await send(at, 'unblock', { ...ONE, ips }, alice)
  t.match(reply, { message: '1 not blocked before, 2 to be let in again; 2 still blocked by other entries.' })
  t.match(reply.results, [
    { outcome: 'not-blocked', still: { ip: '203.0.113.0/24' } },
    { outcome: 'unblocked', message: 'will be let in again; waits for web-1' },
    { outcome: 'unblocked', still: { ip: '192.0.2.1', jail: 'nginx' } }
  ])
  const jails = ['sshd', 'nginx']
  const all = await send(at, 'unblock', { ...ONE, jails, ips: ['192.0.2.1', '203.0.113.0/24'] }, alice)
  t.notOk(
    all.results.some(one => 'still' in one),
    'once all of it is let in, nothing is left to tell'
  )
})

t.test(
  'a block whose address comes onto the whitelist at that moment is lifted, and told as refused',
  async t => {
    const at = await testApp(t)
    const alice = await at.login()
    const { lists, whitelist } = at.app.store
    const change = lists.change.bind(lists)
    lists.change = async (...args) => {
      lists.change = change
      const wish = { ip: '203.0.113.0/28' as never, description: 'the office', expires: null, servers: [] }
      const { lifted } = await whitelist.add([wish], { kind: 'cli', name: 'test', from: 'cli' })
      t.strictSame(lifted, [], 'the block is not there yet')
      return change(...args)
    }
    const reply = await send(at, 'block', { ...ONE, ips: ['203.0.113.9', '192.0.2.1'] }, alice)
    t.match(reply.results, [
      {
        ip: '203.0.113.9',
        outcome: 'refused',
        message: /203\.0\.113\.0\/28: on the whitelist \(the office\)/
      },
      { ip: '192.0.2.1', outcome: 'blocked' }
    ])
    t.match(await at.readList('web-1', 'sshd'), [
      { ip: '203.0.113.9', active: false, pending: true },
      { ip: '192.0.2.1', active: true }
    ])
  }
)

t.test('many addresses in many lists are one write a list', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const ips = Array.from({ length: 1000 }, (_, n) => `198.51.${100 + (n >> 8)}.${n & 255}`)
  const { lists } = at.app.store
  const change = lists.change.bind(lists)
  const calls: string[] = []
  lists.change = (server, list, changes, actor) => {
    calls.push(`${server} ${list} ${changes.length}`)
    return change(server, list, changes, actor)
  }
  const wish = { servers: ['web-1', 'db-1'], jails: ['sshd', 'nginx'], ips }
  const reply = await send(at, 'block', wish, alice)
  t.match(reply, { status: 200, success: true, message: '4000 to be blocked.' })
  t.strictSame(calls, [
    'web-1 sshd.blocklist.json 1000',
    'web-1 nginx.blocklist.json 1000',
    'db-1 sshd.blocklist.json 1000',
    'db-1 nginx.blocklist.json 1000'
  ])
  t.equal((await at.readList('db-1', 'nginx')).length, 1000)
  const path = at.path('archive', 'web-1', 'blocklists', 'sshd.blocklist.json')
  const { ino, mtimeMs } = await stat(path)
  const again = await send(at, 'block', { ...wish, servers: ['web-1'] }, alice)
  t.match(again, { message: '2000 blocked already.' })
  t.match(await stat(path), { ino, mtimeMs }, 'not written at all')
})

t.test('addresses are stored in one spelling, each once', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const ips = ['2001:DB8:0::1', '2001:db8::1', ' 203.0.113.77/24 ', '::ffff:198.51.100.1']
  const reply = await send(
    at,
    'block',
    { ...ONE, ips, jails: ['sshd', 'sshd'], servers: ['web-1', 'web-1'] },
    alice
  )
  t.strictSame(
    reply.results.map(one => one.ip),
    ['2001:db8::1', '203.0.113.0/24', '198.51.100.1']
  )
})

t.test('nobody locks themselves out: refusals are told, the others are done', async t => {
  const at = await testApp(t)
  const alice = await at.login('alice', { remoteAddress: '198.51.100.50' })
  await mkdir(at.path('archive', 'web-1'), { recursive: true })
  await writeFile(at.path('archive', 'web-1', 'host.json'), JSON.stringify({ addresses: ['100.64.7.7'] }))
  await writeFile(at.path('archive', 'whitelist.json'), JSON.stringify([{ ip: '198.18.0.0/15' }]))
  const ips = ['127.0.0.1', '100.64.7.0/24', '198.51.100.50', '198.18.3.4', '10.0.0.0/7', '203.0.113.9']
  const reply = await at.app.inject({
    method: 'POST',
    url: '/api/block',
    headers: alice.headers,
    payload: { servers: ['web-1', 'db-1'], jails: ['sshd'], ips },
    remoteAddress: '198.51.100.50'
  })
  t.equal(reply.statusCode, 200)
  const body = reply.json<Reply>()
  t.match(body, { success: true, message: '9 refused, 3 to be blocked.' })
  t.strictSame(
    body.results.slice(0, 6).map(one => one.outcome),
    ['refused', 'refused', 'refused', 'refused', 'refused', 'blocked']
  )
  t.match(body.results[1]?.message, /^refused: .*web-1's own address/)
  t.match(body.results[2]?.message, /the address you are connected from/)
  t.match(body.results[7], { server: 'db-1', ip: '100.64.7.0/24', outcome: 'blocked' })
  t.strictSame(
    (await at.readList('web-1', 'sshd')).map(entry => entry.ip),
    ['203.0.113.9']
  )
  const before = await at.bytes()
  const all = await send(at, 'block', { ...ONE, ips: ['127.0.0.1', '::1'] }, alice)
  t.match(all, { status: 409, success: false, message: '2 refused.', results: [{ outcome: 'refused' }, {}] })
  t.strictSame(await at.bytes(), before)
  await at.writeList('web-1', 'sshd', [{ ip: '127.0.0.1' }])
  t.match(await send(at, 'unblock', { ...ONE, ips: ['127.0.0.1'] }, alice), {
    results: [{ outcome: 'unblocked' }]
  })
})

t.test('bad input is refused as a whole, before anything changes', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [{ ip: '203.0.113.1' }])
  const before = await at.bytes()
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
  const rows: [object, number, RegExp?][] = [
    [{ ...ONE, ips: ['203.0.113.9', 'nonsense'] }, 400, /network: nonsense$/],
    [{ ...ONE, ips: ['0x7f.1'] }, 400, /0x7f\.1/],
    [{ ...ONE, ips: ['203.0.113.9; drop'] }, 400],
    [{ ...ONE, ips: ['fe80::1%eth0'] }, 400],
    [{ ...ONE, ips: ['203.0.113.9\n'.repeat(2)] }, 400],
    [{ ...ONE, ips: [''] }, 400],
    [{ ...ONE, ips: [] }, 400],
    [{ ...ONE, ips: [1] }, 400],
    [{ ...ONE, ips: '203.0.113.9' }, 400],
    [{ ...ONE, ips: many(10_001) }, 400],
    [{ ...ONE, ips: many(10_000), jails: Array.from({ length: 11 }, (_, n) => `j${n}`) }, 400, /at most/],
    [
      { ...ONE, jails: Array.from({ length: 501 }, (_, n) => `j${n}`), servers: ['web-1', 'db-1'] },
      400,
      /at most/
    ],
    [{ ...ONE, servers: ['web-1', 'nope'] }, 404, /there is no server nope/],
    [{ ...ONE, servers: ['..'] }, 404],
    [{ ...ONE, servers: [] }, 400],
    [{ ...ONE, jails: ['sshd', 'a\u0000b'] }, 400, /control characters/],
    [{ ...ONE, jails: ['x'.repeat(250)] }, 400, /too long/],
    [{ ...ONE, jails: [] }, 400],
    [{ ...ONE, expires: '2026-03-01T12:00:00Z' }, 400, /in the past/],
    [{ ...ONE, expires: '2026-03-01T13:00:00+02:00' }, 400, /in the past/],
    [{ ...ONE, expires: '2027-01-01T00:00:00' }, 400, /such as 2027/],
    [{ ...ONE, expires: '1 Jan 2030' }, 400, /such as 2027/],
    [{ ...ONE, expires: '2027-13-01T00:00:00Z' }, 400, /such as 2027/],
    [{ ...ONE, expires: 1893456000 }, 400],
    [{ ...ONE, reason: 'x'.repeat(1001) }, 400],
    [{ ...ONE, tags: 'x' }, 400],
    [{ ...ONE, active: false }, 400],
    [{ servers: ['web-1'], jails: ['sshd'] }, 400],
    [[], 400]
  ]
  for (const [body, status, message] of rows) {
    const reply = await send(at, 'block', body, alice)
    t.equal(reply.status, status, JSON.stringify(body).slice(0, 90))
    t.equal(reply.success, false)
    t.match(reply.message, message ?? String)
  }
  const unblock = await send(at, 'unblock', { ...ONE, reason: 'unblocks have none' }, alice)
  t.equal(unblock.status, 400)
  t.strictSame(await at.bytes(), before)
  for (const expires of [null, '2026-03-02', '2026-03-01T12:00:01Z']) {
    t.equal(
      (await send(at, 'block', { ...ONE, jails: [`e${String(expires).length}`], expires }, alice)).status,
      200
    )
  }
})

t.test('an expired block may be blocked anew, with a new end', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await send(at, 'block', { ...ONE, expires: '2026-03-01T12:30:00Z' }, alice)
  at.clock.now += 29 * 60_000
  const later = await at.login()
  t.strictSame(outcomes(await send(at, 'block', ONE, later)), ['already-blocked'])
  at.clock.now += 60_000
  t.strictSame(outcomes(await send(at, 'block', { ...ONE, expires: '2026-03-02' }, later)), ['blocked'])
  t.match(await at.readList('web-1', 'sshd'), [{ expires: '2026-03-02T00:00:00.000+00:00', pending: true }])
})

t.test('when the first write fails nothing has changed and the error says so', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  let calls = 0
  at.app.store.lists.change = async () => {
    calls++
    throw new ProductError('DISK', 'no space')
  }
  const reply = await at.post('/api/block', { ...ONE, jails: ['a', 'b'] }, alice)
  t.equal(reply.statusCode, 507)
  t.strictSame(reply.json(), {
    success: false,
    message: 'The file could not be written; nothing changed: no space'
  })
  t.equal(calls, 1, 'the second would meet the same')
})

t.test('when a later write fails the results tell which', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const { lists } = at.app.store
  const change = lists.change.bind(lists)
  lists.change = async (server, list, changes, actor) => {
    if (list.startsWith('b.')) throw new ProductError('LOCK_TIMEOUT')
    return change(server, list, changes, actor)
  }
  const reply = await send(at, 'block', { ...ONE, jails: ['a', 'b', 'c'] }, alice)
  t.match(reply, { status: 200, success: false, message: '1 to be blocked, 2 failed.' })
  t.strictSame(outcomes(reply), ['blocked', 'failed', 'failed'])
  t.match(reply.results[1]?.message, /in use by another process/)
  t.match(reply.results[2]?.message, /was not tried/)
  t.match(
    at.lines.map(line => JSON.parse(line) as Record<string, unknown>).filter(line => line.level === 50),
    [{ jail: 'b', failed: 1, err: { message: String } }]
  )
})

t.test('a list that was set aside stops only itself', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  await at.writeList('web-1', 'sshd', [])
  const path = at.path('archive', 'web-1', 'blocklists', 'sshd.blocklist.json')
  await writeFile(`${path}.corrupt-2026-03-01T110000`, 'x')
  await rm(path)
  const both = await send(at, 'block', { ...ONE, jails: ['sshd', 'nginx'] }, alice)
  t.match(both, { status: 200, success: false, results: [{ outcome: 'failed' }, { outcome: 'blocked' }] })
  t.match(both.results[0]?.message, /set aside/)
  t.equal((await send(at, 'block', ONE, alice)).status, 409, 'alone it is an error')
})

t.test('a list never grows beyond what can be read back', async t => {
  const at = await testApp(t)
  const alice = await at.login()
  const entries = Array.from({ length: 500_000 }, (_, n) => ({
    ip: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
  }))
  await at.writeList('web-1', 'sshd', entries)
  const reply = await send(at, 'block', ONE, alice)
  t.match(reply, { status: 409, success: false, message: /at most 500000 entries/ })
  t.match(await send(at, 'unblock', { ...ONE, ips: ['10.0.0.0'] }, alice), { status: 200 })
})
