import { readFile, writeFile } from 'node:fs/promises'
import { hashSync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import type { LiveNote } from '../../../common/live-messages.js'
import type { StoredEvent } from '../../../server/store/same-event.js'
import { asBody, asFields, endpointApp, WEB1, type EndpointApp } from '../../support/endpoint.js'
import { ownFolder } from '../../support/own-folder.js'

const SECRET = 'a secret of fail2ban'
const CLIENTS = [
  { ...WEB1, password: hashSync(WEB1.password, 4), callback: hashSync(SECRET, 4), ip: '' },
  { username: 'old-1', password: hashSync('x', 4), uuid: 'u', ip: '' },
  { username: 'far-1', password: 'x', uuid: 'u', callback: hashSync(SECRET, 4), ip: '192.0.2.1' }
]
const BODY = {
  serverId: 'web-1',
  ip: '203.0.113.9',
  jail: 'sshd',
  hostname: 'web-1',
  failures: 5,
  logs: 'Failed'
}

async function start(t: Test): Promise<{
  at: EndpointApp
  notes: LiveNote[]
  call: (
    name: 'ban' | 'unban',
    body: unknown,
    secret?: string
  ) => Promise<{ status: number; message: string }>
  upload: (day: string, events: object[]) => Promise<void>
  day: (day: string) => Promise<StoredEvent[]>
}> {
  const at = await endpointApp(ownFolder(t), {}, JSON.stringify(CLIENTS))
  t.teardown(() => at.app.close())
  await at.app.ready()
  const notes: LiveNote[] = []
  const reader = at.app.store.live.follow(note => notes.push(note))
  t.teardown(() => at.app.store.live.unfollow(reader))
  return {
    at,
    notes,
    call: async (name, body, secret = SECRET) => {
      const headers = {
        'content-type': 'application/json',
        ...(secret === '' ? {} : { 'x-callback-secret': secret })
      }
      const payload = typeof body === 'string' ? body : JSON.stringify(body)
      const reply = await at.app.inject({ method: 'POST', url: `/api/${name}`, headers, payload })
      await reader.look()
      return { status: reply.statusCode, message: reply.json<{ message: string }>().message }
    },
    upload: async (day, events) => {
      const file = `fail2ban-events-${day}.json`
      const reply = await at.post('index.php', [...asFields(), ['file', JSON.stringify(events), file]])
      t.equal(reply.statusCode, 200, reply.body)
      await reader.look()
    },
    day: async day =>
      JSON.parse(
        await readFile(at.path('archive', 'web-1', 'fail2ban', `fail2ban-events-${day}.json`), 'utf8')
      ) as StoredEvent[]
  }
}

const event = (timestamp: string, action = 'Ban', ip = '203.0.113.9') => ({
  timestamp,
  action,
  ip,
  jail: 'sshd'
})

t.test(
  'a callback without the right secret is a 401, a bad one a 400, and neither leaves anything',
  async t => {
    const { at, call, notes } = await start(t)
    const rows: [number, string, unknown, string?][] = [
      [401, 'no secret', BODY, ''],
      [401, 'a wrong secret', BODY, 'wrong'],
      [401, 'an unknown server', { ...BODY, serverId: 'nobody' }],
      [401, 'a host from before callbacks', { ...BODY, serverId: 'old-1' }],
      [401, 'a host that may not come from here', { ...BODY, serverId: 'far-1' }],
      [401, 'a bad body and a wrong secret', { serverId: 'web-1' }, 'wrong'],
      [400, 'no server named', { ...BODY, serverId: undefined }],
      [401, 'no server named and no secret', {}, ''],
      [400, 'a server that is no text', { ...BODY, serverId: 7 }],
      [400, 'no JSON', '{"serverId":'],
      [400, 'no address', { ...BODY, ip: undefined }],
      [400, 'an address that is none', { ...BODY, ip: '203.0.113.999' }],
      [400, 'no jail', { ...BODY, jail: '' }],
      [400, 'failures that are no number', { ...BODY, failures: '5' }],
      [400, 'a day that is none', { ...BODY, time: '2026-02-30 10:00:00' }],
      [413, 'far too much', { ...BODY, logs: 'x'.repeat(100_000) }]
    ]
    for (const [status, what, body, secret] of rows)
      t.equal((await call('ban', body, secret)).status, status, what)
    t.equal(notes.length, 0)
    t.rejects(readFile(at.path('archive', 'web-1', 'fail2ban', 'fail2ban-events-20260301.json')))
    t.notMatch(JSON.stringify(at.logs), SECRET)
    t.match(at.logs[0], { event: 'auth_failure', what: 'callback', peer: '127.0.0.1' })
  }
)

t.test('guesses at a secret are limited per address', async t => {
  const { at, call } = await start(t)
  for (let n = 0; n < 20; n++) await call('ban', BODY, `guess ${n}`)
  t.equal((await call('ban', BODY)).status, 429)
  const sync = await at.post('update.php', asBody())
  t.equal(sync.statusCode, 200, 'a stale secret does not keep its host from syncing')
})

t.test('an event is stored and told once, whether the callback or the daily file comes first', async t => {
  const { call, upload, day, notes } = await start(t)
  const events = () => notes.filter(({ type }) => type === 'ban_event' || type === 'unban_event')
  t.match(await call('ban', { ...BODY, time: '2026-03-01 12:00:01' }), {
    status: 200,
    message: 'Event stored.'
  })
  t.match(events(), [
    {
      type: 'ban_event',
      data: { server: 'web-1', ip: '203.0.113.9', via: 'callback', failures: 5, logs: 'Failed' }
    }
  ])
  t.match(
    await call('ban', { ...BODY, time: '2026-03-01 12:00:01' }),
    { message: /known already/ },
    'sent twice'
  )
  // The client's file from before the ban: nothing is lost.
  const older = event('2026-03-01 11:00:00,000', 'Ban', '203.0.113.1')
  await upload('20260301', [older])
  t.match(await day('20260301'), [older, { ...event('2026-03-01 12:00:01'), via: 'callback' }])
  const logged = event('2026-03-01 12:00:00,512')
  await upload('20260301', [older, logged])
  t.strictSame(await day('20260301'), [older, logged], "the file is the client's own again")
  t.equal(events().filter(({ data }) => 'ip' in data && data.ip === '203.0.113.9').length, 1, 'told once')
  t.match(events()[1], { data: { via: 'file', ip: '203.0.113.1' } }, 'what no callback told of')

  // The file came first, with both the ban and its end.
  const unban = event('2026-03-01 12:00:30,000', 'Unban')
  const again = event('2026-03-01 12:00:40,000')
  await upload('20260301', [older, logged, unban])
  t.match(await call('unban', { ...BODY, time: '2026-03-01 12:00:31' }), { message: /known already/ })
  // A ban after the unban is another one, however soon it comes.
  t.match(await call('ban', { ...BODY, time: '2026-03-01 12:00:40' }), { message: 'Event stored.' })
  await upload('20260301', [older, logged, unban, again])
  t.strictSame(await day('20260301'), [older, logged, unban, again])
})

t.test('a ban of midnight is one event on both sides of it', async t => {
  const { at, call, upload, day } = await start(t)
  const logged = event('2026-02-28 23:59:59,900')
  await call('ban', { ...BODY, time: '2026-03-01 00:00:00' })
  await call('ban', { ...BODY, ip: '203.0.113.2', time: '2026-03-01 00:00:01' })
  t.equal((await day('20260301')).length, 2)
  await upload('20260228', [logged])
  t.match(await day('20260301'), [{ ip: '203.0.113.2' }])
  // As a server leaves it that was killed between the two files.
  const twin = { ...event('2026-03-01 00:00:00'), via: 'callback' }
  const next = at.path('archive', 'web-1', 'fail2ban', 'fail2ban-events-20260301.json')
  await writeFile(next, JSON.stringify([twin, ...(await day('20260301'))]))
  await upload('20260228', [logged])
  t.match(await day('20260301'), [{ ip: '203.0.113.2' }], 'the same upload once more')
  await upload('20260228', [logged, event('2026-02-28 23:59:59,950', 'Ban', '203.0.113.3')])
  t.match(await call('ban', { ...BODY, ip: '203.0.113.3', time: '2026-03-01 00:00:00' }), {
    message: /known/
  })
})

t.test('many callbacks at once are all stored, in their order', async t => {
  const { call, day } = await start(t)
  const ips = Array.from({ length: 200 }, (_, n) => `198.51.100.${n}`)
  const replies = await Promise.all(
    ips.map((ip, n) =>
      call('ban', { ...BODY, ip, time: `2026-03-01 12:00:${String(n % 60).padStart(2, '0')}` })
    )
  )
  t.ok(replies.every(({ status }) => status === 200))
  const stored = await day('20260301')
  t.equal(new Set(stored.map(({ ip }) => ip)).size, 200)
  t.strictSame(
    stored.map(({ timestamp }) => timestamp),
    stored.map(({ timestamp }) => timestamp).sort()
  )
})

t.test('no uploaded event can pose as a callback, and a day holds only so many of them', async t => {
  const { at, call, day } = await start(t)
  const posing = [{ ...event('2026-03-01 12:00:00'), via: 'callback' }]
  const file = 'fail2ban-events-20260301.json'
  const reply = await at.post('index.php', [...asFields(), ['file', JSON.stringify(posing), file]])
  t.equal(reply.statusCode, 400, reply.body)
  t.match(reply.body, /via/)
  await call('ban', { ...BODY, time: '2026-03-01 12:00:01' })
  const path = at.path('archive', 'web-1', 'fail2ban', file)
  await writeFile(path, JSON.stringify(Array.from({ length: 10_000 }, () => posing[0])))
  t.equal((await call('ban', { ...BODY, ip: '203.0.113.77', time: '2026-03-01 12:00:01' })).status, 409)
  t.equal((await day('20260301')).length, 10_000)
  t.equal((await call('ban', { ...BODY, time: '2026-03-02 12:00:01' })).status, 200, 'the next day')
})
