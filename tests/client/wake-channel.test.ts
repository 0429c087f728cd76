import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, request as httpRequest, type ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { hashSync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { WebSocketServer, type WebSocket } from 'ws'
import { holdWakeChannel, type WakeOptions } from '../../client/wake-channel.js'
import { WEB1, endpointApp, type EndpointApp } from '../support/endpoint.js'
import { ownFolder } from '../support/own-folder.js'
import { opened, openSocket } from '../support/socket.js'

type Line = { event: string } & Record<string, unknown>

/** Holds a channel to a URL until the test's end. @returns what was told and how often it was woken */
function hold(t: Test, url: string, more: Partial<WakeOptions> = {}) {
  const stop = new AbortController()
  const lines: Line[] = []
  const waiting: (() => void)[] = []
  const state = {
    woken: 0,
    lines,
    stop: () => stop.abort(),
    done: Promise.resolve(),
    next: () => Promise.resolve()
  }
  // Resolves at the next wake or line.
  state.next = () => new Promise(resolve => waiting.push(resolve))
  const tell = () => waiting.splice(0).forEach(resolve => resolve())
  state.done = holdWakeChannel({
    ...WEB1,
    url,
    ca: undefined,
    timeout: 2000,
    wake: () => {
      state.woken++
      tell()
    },
    report: (level, fields) => {
      lines.push({ level, ...fields })
      tell()
    },
    signal: stop.signal,
    ...more
  })
  t.teardown(async () => {
    stop.abort()
    await state.done
  })
  return state
}

async function until(state: { next: () => Promise<void> }, reached: () => boolean): Promise<void> {
  while (!reached()) await state.next()
}

/** A server that lets everybody in. */
async function fake(
  t: Test,
  port = 0
): Promise<{ server: WebSocketServer; url: string; accepted: () => Promise<WebSocket> }> {
  const server = new WebSocketServer({ port, host: '127.0.0.1' })
  await once(server, 'listening')
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  const accepted = async () => ((await once(server, 'connection')) as [WebSocket])[0]
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, accepted }
}

const QUICK = { first: 20, most: 40, refusedFirst: 20, refusedMost: 40 }

t.test(
  'a host that waits is told to come when one of its lists is to be fetched, and nothing else',
  async t => {
    const at = await endpointApp(ownFolder(t))
    t.teardown(() => at.app.close())
    const url = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/wake`
    const actor = { kind: 'cli', name: 'test', from: 'cli' } as const
    const change = (server: string, want: 'block' | 'unblock') =>
      at.app.store.lists.change(
        server as never,
        'sshd.blocklist.json' as never,
        [{ ip: '203.0.113.9' as never, want, source: 'test' }],
        actor
      )
    const host = hold(t, url)
    await until(host, () => host.lines.length > 0)
    t.match(host.lines, [{ level: 'info', event: 'wake_channel', state: 'open' }])
    await change('db-1', 'block')
    t.equal(host.woken, 0, "another host's list")
    await change('web-1', 'block')
    await until(host, () => host.woken > 0)
    t.equal(host.woken, 1)

    const late = await opened(url, basic())
    await late.heard('wake')
    t.strictSame(late.said, [{ type: 'wake' }], 'also of what waited before it came')
    await at.post('update.php', new URLSearchParams(WEB1).toString())
    const later = await opened(url, basic())
    await later.heard('wake')
    t.strictSame(later.said, [{ type: 'wake' }], 'and of what was handed out and never synced back')
    for (const { socket } of [late, later]) socket.terminate()
  }
)

t.test('a host that comes to wait is told of commands and of another whitelist than its own', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const url = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/wake`
  const { whitelist, commands } = at.app.store
  const actor = { kind: 'cli', name: 'test', from: 'cli' } as const
  const report = async () => {
    const hash = await whitelist.hash('web-1' as never)
    const told = JSON.stringify({ result: 'success', hash })
    await at.post('update.php', new URLSearchParams({ ...WEB1, commands: 'all', whitelist: told }).toString())
  }
  const wish = { ip: '203.0.113.9' as never, description: '', expires: null, servers: [] }
  await report()
  const idle = await opened(url, basic())
  await whitelist.add([wish], actor)
  await idle.heard('wake')
  t.equal(idle.said.length, 1, 'nothing waited before')
  const second = await opened(url, basic())
  await second.heard('wake')
  await report()
  const third = await opened(url, basic())
  await commands.add('web-1' as never, 'whitelist_sync', {}, actor)
  await third.heard('wake')
  t.equal(third.said.length, 1, 'its whitelist is the same now')
  const fourth = await opened(url, basic())
  await fourth.heard('wake')
  for (const { socket } of [idle, second, third, fourth]) socket.terminate()
})

t.test('a server that can not look what waits for a host sends it away, and goes on', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const url = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/wake`
  at.app.store.updates.of = () => Promise.reject(new Error('the disk is gone'))
  const host = await opened(url, basic())
  t.match(await host.closed, { code: 1011 })
  t.match(at.logs.at(-1), { event: 'wake_failed', server: 'web-1' })
})

t.test('the credentials, addresses and limits of the endpoints hold on the wake channel', async t => {
  const entry = { ...WEB1, password: hashSync(WEB1.password, 4), ip: '127.0.0.0/8' }
  const at = await endpointApp(ownFolder(t), { basePath: '/base' }, JSON.stringify([entry]))
  t.teardown(() => at.app.close())
  const url = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/base/api/v1/wake`
  const write = (one: object) => writeFile(at.path('settings', 'client-list.json'), JSON.stringify([one]))
  t.match(await openSocket(url, {}), { status: 401 })
  t.match(await openSocket(url, basic({ password: 'wrong' })), { status: 403, body: /\(password\)/ })
  t.match(await openSocket(url, basic({ uuid: 'wrong' })), { status: 403, body: /user\/uuid/ })
  t.match(
    at.logs.filter(({ event }) => event === 'auth_failure'),
    [{ what: 'client', peer: '127.0.0.1' }, {}]
  )
  const host = await opened(url, basic())
  await write({ ...entry, ip: '192.0.2.1' })
  t.match(await host.closed, { code: 4401 }, 'its address is no longer allowed')
  t.match(await openSocket(url, basic()), { status: 403, body: /ip mismatch/ })
  for (let n = 0; n < 20; n++) await openSocket(url, basic({ password: 'wrong' }))
  t.match(await openSocket(url, basic()), { status: 429 })
})

t.test('it comes back when the connection breaks, and stops at once when told to', async t => {
  const { server, url, accepted } = await fake(t)
  let coming = accepted()
  const host = hold(t, url, { times: QUICK })
  for (const end of ['close', 'terminate', 'close'] as const) {
    const socket = await coming
    coming = accepted()
    socket[end]()
  }
  const last = await coming
  last.send('{"type":"wake"}')
  last.send('{"type":"other"}')
  last.send('no JSON')
  await until(host, () => host.woken > 0)
  host.stop()
  const begun = performance.now()
  await host.done
  t.ok(performance.now() - begun < 3000)
  t.equal(host.woken, 1)
  t.equal(server.clients.size <= 1, true)
})

t.test('a server that falls silent is left, one that never answers is not waited for', async t => {
  const { url, accepted } = await fake(t)
  const coming = accepted()
  const host = hold(t, url, { times: { ...QUICK, silence: 100 } })
  await coming
  await accepted()
  const silent = 'HTTP 426; WebSocket: the server has fallen silent'
  t.match(host.lines, [{ state: 'open' }, { state: 'closed', reason: silent }], 'nor do polls help')

  const deaf = createServer().listen(0, '127.0.0.1')
  await once(deaf, 'listening')
  t.teardown(() => deaf.close())
  const other = hold(t, `http://127.0.0.1:${(deaf.address() as AddressInfo).port}/`, {
    timeout: 100,
    times: { ...QUICK, silence: 100 }
  })
  await until(other, () => other.lines.length > 0)
  t.match(other.lines, [
    { level: 'info', state: 'closed', reason: /^UND_ERR_HEADERS_TIMEOUT; WebSocket: .*timed out/ }
  ])
})

t.test('refused credentials are told once, as an error, without a secret', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const url = `${await at.app.listen({ host: '127.0.0.1', port: 0 })}/api/v1/wake`
  const host = hold(t, url, { password: 'wrong and secret', times: QUICK })
  while (at.logs.filter(({ event }) => event === 'auth_failure').length < 4) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  t.equal(host.lines.length, 1)
  t.match(host.lines, [{ level: 'error', event: 'wake_refused', message: /HTTP 403.*client list/ }])
  t.notMatch(JSON.stringify(host.lines), /secret|horse/)
  const none = hold(t, url.replace('wake', 'nothing'), { times: QUICK })
  await until(none, () => none.lines.length > 0)
  t.match(none.lines, [{ level: 'info', reason: 'HTTP 404' }], 'a server without the channel is no error')
})

t.test(
  'where a proxy lets no WebSocket through, the host polls, and tries a WebSocket now and then',
  async t => {
    const at = await endpointApp(ownFolder(t))
    t.teardown(() => at.app.close())
    let blocks = 0
    const backend = new URL(await at.app.listen({ host: '127.0.0.1', port: 0 }))
    for (const [what, refuse] of [
      ['HTTP 403', (socket: Socket) => socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')],
      ['HTTP 200', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')],
      ['HTTP 502', (socket: Socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n')],
      ['socket hang up', (socket: Socket) => socket.destroy()]
    ] as const) {
      let tries = 0
      const proxy = createHttpServer((request, reply) => {
        const { url: path, headers } = request
        const passed = httpRequest({ host: backend.hostname, port: backend.port, path, headers }, answer => {
          reply.writeHead(answer.statusCode ?? 0, answer.headers)
          answer.pipe(reply)
        })
        reply.on('close', () => passed.destroy())
        passed.on('error', () => reply.destroy())
        passed.end()
      })
      proxy.on('upgrade', (_request, socket: Socket) => {
        tries++
        // The host may have gone meanwhile, which is no matter to a proxy.
        socket.on('error', () => undefined)
        refuse(socket)
      })
      proxy.listen(0, '127.0.0.1')
      await once(proxy, 'listening')
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/api/v1/wake`
      const host = hold(t, url, { times: { ...QUICK, socketAgain: 1 } })
      for (let nr = 1; nr <= 3; nr++) {
        await block(at, `203.0.113.${++blocks}`)
        await until(host, () => host.woken >= nr)
      }
      t.match(host.lines, [{ level: 'info', event: 'wake_channel', state: 'open', by: 'long-poll' }], what)
      t.equal(host.lines.length, 1)
      t.ok(tries >= 2, 'a WebSocket was tried again')
      host.stop()
      await host.done
      proxy.close()
    }
  }
)

t.test('polls that fail are told of once, and repeated after a pause', async t => {
  const replies: [string, (reply: ServerResponse) => void, RegExp][] = [
    ['polls that do not wait', reply => reply.writeHead(204).end(), /let no poll wait/],
    ['another page', reply => reply.end('<html>log in</html>'), /none of this product/],
    ['a mark that is none', reply => reply.end('{"type":"wake","seen":"../x"}'), /none of this product/],
    ['a reply without end', reply => reply.end('x'.repeat(5000)), /longer than 1024 bytes/],
    ['a redirect', reply => reply.writeHead(302, { location: '/' }).end(), /HTTP 302/],
    ['an end in the middle', reply => reply.destroy(), /UND_ERR_SOCKET/]
  ]
  for (const [what, answer, reason] of replies) {
    let polls = 0
    const server = createHttpServer((request, reply) => {
      polls += Number(request.url?.includes('/poll'))
      answer(reply)
    })
    server.on('upgrade', (_request, socket: Socket) => socket.destroy())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/wake`
    const begun = performance.now()
    const host = hold(t, url, {
      times: { ...QUICK, first: 100, most: 100, refusedFirst: 100, refusedMost: 100 }
    })
    while (polls < 4) await once(server, 'request')
    t.ok(performance.now() - begun > 30, `${what}: with pauses`)
    t.match(host.lines, [{ level: 'info', state: 'closed', reason }])
    t.equal(host.lines.length, 1)
    t.equal(host.woken, 0)
    host.stop()
    await host.done
    server.close()
  }
})

t.test('a server that answers each poll at once can not drive a host either', async t => {
  const server = createHttpServer((_request, reply) => reply.end('{"type":"wake"}'))
  server.on('upgrade', (_request, socket: Socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  let polls = 0
  server.on('request', () => polls++)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/wake`
  const host = hold(t, url, { times: { ...QUICK, burst: 3, refill: 60 } })
  const begun = performance.now()
  await until(host, () => host.woken >= 5)
  t.ok(performance.now() - begun > 100)
  t.ok(polls <= 7, `${polls} polls`)
  host.stop()
  await host.done
})

t.test('a server can not drive a host from cycle to cycle', async t => {
  const { url, accepted } = await fake(t)
  const coming = accepted()
  const host = hold(t, url, { times: { burst: 3, refill: 60 } })
  const socket = await coming
  const begun = performance.now()
  for (let n = 0; n < 500; n++) socket.send('{"type":"wake"}')
  await until(host, () => host.woken > 3)
  t.ok(performance.now() - begun > 50)
  t.equal(host.woken, 4, 'three at once, and one for all the rest')
})

/** Has an address blocked on web-1. */
async function block(at: EndpointApp, ip: string): Promise<void> {
  const actor = { kind: 'cli', name: 'test', from: 'cli' } as const
  const changes = [{ ip: ip as never, want: 'block' as const, source: 'test' }]
  await at.app.store.lists.change('web-1' as never, 'sshd.blocklist.json' as never, changes, actor)
}

function basic(more: Partial<typeof WEB1> = {}): Record<string, string> {
  const { username, password, uuid } = { ...WEB1, ...more }
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  return { authorization, 'x-client-uuid': uuid }
}
