import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rmdir, utimes, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { hashSync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { testApp } from '../../support/app.js'
import { Installation } from '../../support/installation.js'
import { HOST } from '../../support/one-host.js'
import { ownFolder } from '../../support/own-folder.js'
import { NO_SMALL_DISK, SmallDisk } from '../../support/small-disk.js'

const noDisk = NO_SMALL_DISK ?? false
const LIST = ['archive', 'web-1', 'blocklists', 'sshd.blocklist.json'] as const
const wish = (...ips: string[]) => ({ servers: ['web-1'], jails: ['sshd'], ips })

/** Holds a lock as a living process of another machine would: it touches it. @returns lets it go */
async function holdLock(t: Test, path: string): Promise<() => Promise<void>> {
  await mkdir(`${path}.lock`, { recursive: true })
  const touch = setInterval(
    () => void utimes(`${path}.lock`, new Date(), new Date()).catch(() => undefined),
    500
  )
  t.teardown(() => clearInterval(touch))
  return async () => {
    clearInterval(touch)
    await rmdir(`${path}.lock`)
  }
}

t.test('what was acknowledged with 200 is there after a kill -9 right behind the reply', async t => {
  const at = new Installation(ownFolder(t, { settings: {} }))
  const password = 'a password for the test'
  const users = [{ username: 'alice', password: hashSync(password, 4), role: 'admin' }]
  await writeFile(at.path('settings', 'users.json'), JSON.stringify(users))
  await writeFile(
    at.path('settings', 'client-list.json'),
    JSON.stringify([{ username: HOST, password: 'x', uuid: 'x' }])
  )
  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    fetch(`${at.url}/api/${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers }
    })
  t.teardown(() => at.stop('SIGKILL'))
  const acknowledged: string[] = []
  for (let round = 1; round <= 5; round++) {
    await at.serve()
    const login = await post('login', { username: 'alice', password })
    const { csrf } = (await login.json()) as { csrf: string }
    const cookie = login.headers.get('set-cookie')!.split(';', 1)[0]!
    const ips = Array.from({ length: 20 }, (_, n) => `203.0.${round}.${n}`)
    const reply = await post(
      'block',
      { servers: [HOST], jails: ['sshd'], ips },
      { cookie, 'x-csrf-token': csrf }
    )
    const killed = at.stop('SIGKILL')
    t.equal(reply.status, 200)
    await killed
    acknowledged.push(...ips)
    const list = await at.list(HOST, 'sshd')
    t.strictSame(
      list.filter(entry => entry.active === true && entry.pending === true).map(entry => entry.ip),
      acknowledged
    )
    t.strictSame(await at.index(), { [HOST]: { 'sshd.blocklist.json': true } })
  }
})

t.test('on a full or read-only disk a change is a 507, and nothing changes', { skip: noDisk }, async t => {
  const at = await testApp(t)
  const disk = await SmallDisk.mount(at.path('archive'))
  try {
    const as = await at.login()
    await at.post('/api/block', wish('203.0.113.1'), as)
    const before = await at.bytes()
    const faults = { full: () => disk.fill(), 'read-only': () => disk.makeReadOnly() }
    for (const [name, fault] of Object.entries(faults)) {
      await fault()
      t.notOk(disk.sound)
      const wishes = { block: '203.0.113.2', unblock: '203.0.113.1' }
      for (const [what, ip] of Object.entries(wishes)) {
        const reply = await at.post(`/api/${what}`, wish(ip), as)
        t.equal(reply.statusCode, 507, `${what} on a ${name} disk: ${reply.body}`)
        t.match(reply.json(), { success: false, message: /check space and permissions/ })
      }
      await disk.mend()
      t.strictSame(await at.bytes(), before, `${name}: not a byte changed, no copy is left`)
    }
    t.equal((await at.post('/api/block', wish('203.0.113.2'), as)).statusCode, 200)
  } finally {
    disk.unmount()
  }
})

for (const file of [LIST.slice(1), ['update.json']]) {
  t.test(
    `while ${file.at(-1)} stays locked, all who wait get a 503 with Retry-After in bounded time`,
    async t => {
      const at = await testApp(t)
      const as = await at.login()
      const release = await holdLock(t, at.path('archive', ...file))
      const since = performance.now()
      const ips = Array.from({ length: 10 }, (_, n) => `203.0.113.${n + 1}`)
      const waiting = ips.map(ip => at.post('/api/block', wish(ip), as))
      t.equal((await at.get('/healthz')).statusCode, 200, 'others are answered meanwhile')
      for (const reply of await Promise.all(waiting)) {
        t.equal(reply.statusCode, 503, reply.body)
        t.match(reply.headers['retry-after'], /^\d+$/)
      }
      t.ok(performance.now() - since < 25_000, `${Math.round(performance.now() - since)} ms`)
      await release()
      // The audit trail's notes of changes that were never made go with the next change, or by housekeeping.
      await at.app.store.housekeeping()
      t.strictSame(await at.bytes(), {}, 'nothing changed')
      t.equal((await at.post('/api/block', wish('203.0.113.2'), as)).statusCode, 200, 'and then it works')
    }
  )
}

t.test('a change whose lock another took over is a 503 and writes nothing', async t => {
  const at = await testApp(t)
  const as = await at.login()
  const releaseIndex = await holdLock(t, at.path('archive', 'update.json'))
  // The change holds its list's lock, has written its audit note and waits for the index.
  const change = at.post('/api/block', wish('203.0.113.1'), as)
  const lock = `${at.path(...LIST)}.lock`
  while (!existsSync(at.path('archive', 'web-1', 'audit-open-sshd.blocklist.jsonl'))) await delay(10)
  await rmdir(lock)
  await mkdir(lock)
  await releaseIndex()
  const reply = await change
  t.equal(reply.statusCode, 503, reply.body)
  t.match(reply.headers['retry-after'], /^\d+$/)
  await t.rejects(readFile(at.path(...LIST)), { code: 'ENOENT' })
  await rmdir(lock)
  t.equal((await at.post('/api/block', wish('203.0.113.1'), as)).statusCode, 200)
})

t.test('a lock that a killed process left is taken over while a request waits', async t => {
  const at = await testApp(t)
  const as = await at.login()
  await at.post('/api/block', wish('203.0.113.1'), as)
  const library = fileURLToPath(import.meta.resolve('proper-lockfile'))
  const script = `
    const { default: lockfile } = await import(process.argv[1])
    await lockfile.lock(process.argv[2], { realpath: false })
    process.stdout.write('locked')
    setInterval(() => undefined, 1000)`
  const args = ['--input-type=module', '-e', script, library, at.path(...LIST)]
  const holder = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { NODE_OPTIONS: '' }
  })
  await once(holder.stdout, 'data')
  holder.kill('SIGKILL')
  const reply = await at.post('/api/block', wish('203.0.113.2'), as)
  t.equal(reply.statusCode, 200, reply.body)
  const list = JSON.parse(await readFile(at.path(...LIST), 'utf8')) as BlocklistEntry[]
  t.strictSame(
    list.map(entry => entry.ip),
    ['203.0.113.1', '203.0.113.2']
  )
})
