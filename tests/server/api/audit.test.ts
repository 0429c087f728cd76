import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { serialise } from '../../../common/json-file.js'
import { listOfJail, serverName } from '../../../common/names.js'
import { namesDataFile } from '../../../server/data-files.js'
import { clientActor, type AuditRow } from '../../../server/store/audit-row.js'
import type { HistoryStep } from '../../../server/store/audit-history.js'
import { testApp, type LoggedIn, type TestApp } from '../../support/app.js'

interface Page {
  rows: AuditRow[]
  next: string | null
  unreadable: number
}

const web1 = serverName('web-1')
const HOST = clientActor('web-1', '192.0.2.10')
const wish = (...ips: string[]) => ({ servers: ['web-1'], jails: ['sshd'], ips })

const start = async (t: Test) => {
  const at = await testApp(t)
  return { at, alice: await at.login('alice', { remoteAddress: '198.51.100.50' }) }
}
const page = async (at: TestApp, as: LoggedIn, query = '', of = 'servers/web-1/audit') => {
  const reply = await at.get(`/api/${of}${query}`, as)
  t.equal(reply.statusCode, 200, `${query}: ${reply.body.slice(0, 200)}`)
  return reply.json<Page>()
}
const sync = async (at: TestApp) => {
  await at.app.store.downloads.offer(web1, undefined, HOST, () => undefined)
  at.clock.now += 1000
  const list = listOfJail('sshd')
  const all = (await at.app.store.lists.read(web1, list)).value
  const entries = all.filter(one => one.active !== false).map(one => ({ ...one, pending: false }))
  const upload = { entries, text: serialise(entries, true) }
  await at.app.store.lists.syncBack(web1, list, upload, 'merge', HOST)
}

t.test('a block by the API is on record when the reply comes, with the user and the address', async t => {
  const { at, alice } = await start(t)
  await at.app.inject({
    method: 'POST',
    url: '/api/block',
    payload: { ...wish('203.0.113.9'), reason: 'scan' },
    headers: alice.headers,
    remoteAddress: '198.51.100.50'
  })
  const victor = await at.login('victor')
  t.match(await page(at, victor), {
    success: true,
    server: 'web-1',
    next: null,
    unreadable: 0,
    rows: [
      {
        what: 'block',
        time: '2026-03-01T12:00:00.000+00:00',
        actor: { kind: 'user', name: 'alice', from: '198.51.100.50' },
        jail: 'sshd',
        ip: '203.0.113.9',
        before: null,
        after: { active: true, pending: true, source: 'action_ban-ip', reason: 'scan' }
      }
    ]
  })
  t.strictSame((await page(at, victor)).rows.length, 1)
})

t.test('pages follow each other without a gap or a double while rows are added; filters narrow', async t => {
  const { at, alice } = await start(t)
  const ips = Array.from({ length: 25 }, (_, n) => `203.0.113.${n + 1}`)
  await at.post('/api/block', wish(...ips), alice)
  const seen: (string | undefined)[] = []
  let query = '?limit=10'
  for (let turn = 0; turn < 3; turn++) {
    const { rows, next } = await page(at, alice, query)
    seen.push(...rows.map(row => row.ip))
    query = `?limit=10&cursor=${next}`
    await at.post('/api/block', wish(`198.51.100.${turn + 1}`), alice)
    t.equal(next === null, turn === 2)
  }
  t.strictSame(seen, [...ips].reverse())
  const ofIp = async (query: string) => (await page(at, alice, query)).rows.map(row => row.ip)
  t.strictSame(await ofIp('?ip=203.0.113.07'.replace('07', '7')), ['203.0.113.7'])
  t.strictSame(await ofIp('?jail=nginx'), [])
  t.equal((await ofIp('?jail=sshd&limit=1000')).length, 28)
  t.strictSame(await ofIp('?since=2026-03-02'), [])
  t.equal((await ofIp('?since=2026-03-01T12:00:00Z')).length, 28)
})

t.test('bad questions are told what is wrong', async t => {
  const { at, alice } = await start(t)
  const rows: [string, number][] = [
    ['servers/web-1/audit?limit=0', 400],
    ['servers/web-1/audit?limit=x', 400],
    ['servers/web-1/audit?since=yesterday', 400],
    ['servers/web-1/audit?cursor=1.2.3', 400],
    ['servers/web-1/audit?cursor=../x', 400],
    ['servers/web-1/audit?ip=0x7f.1', 400],
    ['servers/web-1/audit?more=1', 400],
    ['servers/nobody/audit', 404],
    ['servers/..%2f..%2fsettings/audit', 404],
    ['servers/%00/audit', 404],
    ['servers/web-1/blocklists/sshd/history', 400],
    ['servers/web-1/blocklists/%0a/history?ip=203.0.113.9', 400],
    ['servers/nobody/blocklists/sshd/history?ip=203.0.113.9', 404]
  ]
  for (const [url, status] of rows) {
    const reply = await at.get(`/api/${url}`, alice)
    t.equal(reply.statusCode, status, url)
    t.match(reply.json(), { success: false, message: String })
  }
  t.strictSame((await page(at, alice, '?cursor=123.456')).rows, [], 'a cursor into a file that is gone')
})

t.test('blocklists: whoever is logged in. Users and clients: admins. Nobody else anything', async t => {
  const { at, alice } = await start(t)
  await at.app.store.users.add('bob', 'a password of bob', 'viewer', {
    kind: 'cli',
    name: 'root',
    from: 'cli'
  })
  const victor = await at.login('victor')
  const urls = ['servers/web-1/audit', 'servers/web-1/blocklists/sshd/history?ip=203.0.113.9', 'audit']
  for (const url of urls) {
    t.equal((await at.get(`/api/${url}`)).statusCode, 401, url)
    t.equal((await at.get(`/api/${url}`, victor)).statusCode, url === 'audit' ? 403 : 200, url)
    t.equal((await at.get(`/api/${url}`, alice)).statusCode, 200, url)
  }
  t.match(await page(at, alice, '', 'audit'), {
    rows: [{ what: 'user-added', user: 'bob', actor: { kind: 'cli', name: 'root', from: 'cli' } }]
  })
  t.strictSame((await page(at, alice, '?server=web-1', 'audit')).rows, [])
  t.strictSame((await page(at, victor)).rows, [], "no host's trail tells of users")
})

t.test("one entry's history: who, when asked, handed out, in force, and let in again", async t => {
  const { at, alice } = await start(t)
  const history = async (ip = '203.0.113.9') => {
    const reply = await at.get(`/api/servers/web-1/blocklists/sshd/history?ip=${ip}`, alice)
    t.equal(reply.statusCode, 200)
    return reply.json<{ history: HistoryStep[] }>().history
  }
  const time = (minute: number, second = 0) => `2026-03-01T12:0${minute}:0${second}.000+00:00`
  const user = { kind: 'user', name: 'alice' }
  t.strictSame(await history(), [])
  await at.post('/api/block', wish('203.0.113.9', '203.0.113.10'), alice)
  t.match(await history(), [
    { what: 'block', by: user, asked: time(0), handedOut: null, done: null, doneBy: null }
  ])
  at.clock.now += 60_000
  await at.app.store.downloads.offer(web1, undefined, HOST, () => undefined)
  t.match(await history(), [{ what: 'block', asked: time(0), handedOut: time(1), done: null }])
  at.clock.now += 60_000
  await sync(at)
  t.match(await history(), [
    { what: 'block', by: user, asked: time(0), handedOut: time(2), done: time(2, 1), doneBy: HOST }
  ])
  await at.post('/api/unblock', wish('203.0.113.9'), alice)
  await sync(at)
  await at.post('/api/block', wish('203.0.113.11'), alice)
  await sync(at)
  t.match(await history(), [
    { what: 'unblock', by: user, asked: time(2, 1), done: time(2, 2), doneBy: HOST },
    { what: 'block', by: user, done: time(2, 1) }
  ])
  t.equal((await history()).length, 2)
  t.match(await history('203.0.113.10'), [{ what: 'block', done: time(2, 1) }])
})

t.test('what hosts and logs say is data in the reply', async t => {
  const { at, alice } = await start(t)
  const reason = '</script><img src=x onerror=alert(1)>\u001b[31m\u202e=cmd|x\n{"id":"forged"}'
  await at.post('/api/block', { ...wish('203.0.113.9'), reason }, alice)
  const text = await readFile(at.path('archive', 'web-1', 'audit.jsonl'), 'utf8')
  t.equal(text.split('\n').length, 2, 'one line, whatever is in it')
  const reply = await at.get('/api/servers/web-1/audit', alice)
  t.match(reply.headers['content-type'], /^application\/json/)
  t.equal(reply.json<Page>().rows[0]?.after?.reason, reason)
  await appendFile(
    at.path('archive', 'web-1', 'audit.jsonl'),
    '{"__proto__":{"admin":true},"id":"x","time":"x","what":"block","actor":{"kind":"user","name":"x","from":"x"},"after":{"__proto__":{"a":1}}}\n' +
      '{"id":"x","time":"x","what":"format","actor":{"kind":"user","name":"x","from":"x"}}\n'
  )
  const after = await page(at, alice)
  t.equal(after.unreadable, 1, 'a row of no known kind')
  t.equal(after.rows.length, 2)
  t.notOk('admin' in {})
})

t.test(
  'a trail is never served as a file, nor is a host or jail with a file’s name kept from its trail',
  async t => {
    const { at, alice } = await start(t)
    await at.post('/api/block', wish('203.0.113.9'), alice)
    for (const path of [
      '/archive/web-1/audit.jsonl',
      '/audit.jsonl',
      '/audit%2ejsonl',
      '/audit.jsonl.1',
      '/audit.JSONL.8',
      '/audit%252ejsonl.1',
      '/audit-open-sshd.blocklist.jsonl',
      '/audit.jsonl.lock'
    ]) {
      t.ok(namesDataFile(path), path)
      t.equal((await at.get(path, alice)).statusCode, 404, path)
    }
    for (const name of ['example.sh', 'db.json']) {
      await mkdir(at.path('archive', name, 'blocklists'), { recursive: true })
    }
    await writeFile(at.path('archive', 'example.sh', 'audit.jsonl'), '')
    t.equal((await at.get('/api/servers/example.sh/audit', alice)).statusCode, 200)
    const url = '/api/servers/example.sh/blocklists/my.log/history?ip=203.0.113.9'
    t.equal((await at.get(url, alice)).statusCode, 200)
    t.equal((await at.get('/api/servers/example.sh', alice)).statusCode, 404)
  }
)
