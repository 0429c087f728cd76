import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { address } from '../../../common/address.js'
import { isoTime } from '../../../common/clock.js'
import { serialise } from '../../../common/json-file.js'
import { listOfJail, serverName } from '../../../common/names.js'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { MOST_UNASKED } from '../../../server/store/audit-drafts.js'
import type { Place } from '../../../server/store/audit-read.js'
import type { AuditDraft, AuditRow } from '../../../server/store/audit-row.js'
import { Store, type StoreOptions } from '../../../server/store/store.js'
import { ownFolder } from '../../support/own-folder.js'

const web1 = serverName('web-1')
const sshd = listOfJail('sshd')
const ALICE = { kind: 'user', name: 'alice', from: '192.0.2.7' } as const
const HOST = { kind: 'client', name: 'web-1', from: '192.0.2.10' } as const
const ip = (n: number) => address(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
const NOTE = 'audit-open-sshd.blocklist.jsonl'

interface At {
  store: Store
  dir: string
  clock: { now: number }
  delayed: unknown[]
  archive(...parts: string[]): string
  change(want: 'block' | 'unblock', ...ips: string[]): Promise<unknown>
  rows(): Promise<AuditRow[]>
  list(): Promise<BlocklistEntry[]>
  /** Hands out, and takes back what the host makes of it. */
  sync(make?: (entries: BlocklistEntry[]) => BlocklistEntry[]): Promise<void>
}

const start = (t: Test, more: Partial<StoreOptions> = {}, dir?: string): At => {
  const folder = dir ?? ownFolder(t, { archive: {}, download: {}, temp: {}, settings: {} })
  const at = (name: string) => join(folder, name)
  const clock = { now: Date.parse('2026-03-01T12:00:00Z') }
  const delayed: unknown[] = []
  const store = new Store({
    folders: { archive: at('archive'), download: at('download'), temp: at('temp'), settings: at('settings') },
    clock: () => clock.now,
    widest: { 4: 8, 6: 19 },
    onSetAside: () => undefined,
    onAuditDelayed: error => delayed.push(error),
    ...more
  })
  const list = async () => (await store.lists.read(web1, sshd)).value
  return {
    store,
    dir: folder,
    clock,
    delayed,
    archive: (...parts) => join(folder, 'archive', ...parts),
    change: (want, ...ips) =>
      store.lists.change(
        web1,
        sshd,
        ips.map(text => ({ ip: address(text), want, source: 'manual' })),
        ALICE
      ),
    rows: async () => (await store.trails.page(web1, {}, 1_000_000)).rows,
    list,
    sync: async (make = inForce) => {
      await store.downloads.offer(web1, undefined, HOST, () => undefined)
      const entries = make(await list())
      clock.now += 1000
      const upload = { entries, text: serialise(entries, true) }
      await store.lists.syncBack(web1, sshd, upload, 'merge', HOST)
    }
  }
}

/** What our client makes of a list: all in force, nothing of what was to be let in. */
const inForce = (entries: BlocklistEntry[]) =>
  entries.filter(one => one.active !== false).map(one => ({ ...one, pending: false }))
const brief = (rows: readonly AuditRow[]) =>
  rows.map(row => `${row.what} ${row.ip ?? row.count ?? ''}`.trim())

t.test('a change is told: who, from where, what, before and after', async t => {
  const at = start(t)
  await at.change('block', '10.0.0.1', '2001:DB8::1')
  await at.change('block', '10.0.0.1')
  await at.change('unblock', '10.0.0.1', '10.9.9.9')
  const rows = await at.rows()
  t.strictSame(brief(rows), ['unblock 10.0.0.1', 'block 2001:db8::1', 'block 10.0.0.1'])
  t.match(rows[0], { actor: ALICE, jail: 'sshd', before: { active: true }, after: { active: false } })
  t.match(rows[2], {
    time: '2026-03-01T12:00:00.000+00:00',
    actor: ALICE,
    before: null,
    after: { active: true, pending: true, source: 'manual' }
  })
  t.equal((await stat(at.archive('web-1', 'audit.jsonl'))).mode & 0o777, 0o640)
  t.strictSame((await readdir(at.archive('web-1'))).sort(), ['audit.jsonl', 'blocklists'], 'no note is left')
})

t.test('the loop is told: asked, handed out, in force; and the way back', async t => {
  const at = start(t)
  await at.change('block', '10.0.0.1')
  at.clock.now += 60_000
  await at.store.downloads.offer(web1, undefined, HOST, () => undefined)
  at.clock.now += 60_000
  await at.sync()
  t.match(await at.rows(), [
    {
      what: 'in-force',
      actor: HOST,
      time: '2026-03-01T12:02:01.000+00:00',
      asked: '2026-03-01T12:00:00.000+00:00',
      handedOut: '2026-03-01T12:02:00.000+00:00',
      before: { pending: true },
      after: { pending: false }
    },
    { what: 'handed-out', actor: HOST, count: 1, time: '2026-03-01T12:01:00.000+00:00' },
    { what: 'block' }
  ])
  t.equal((await at.rows()).length, 3, 'an offer repeated is told once')
  await at.change('unblock', '10.0.0.1')
  await at.sync()
  t.match((await at.rows())[0], { what: 'removed', before: { active: false, pending: true }, after: null })
  t.match((await at.rows())[0], { asked: '2026-03-01T12:02:01.000+00:00' })
  await at.sync()
  t.equal((await at.rows()).length, 6, 'a sync that changes nothing is not told')
})

t.test(
  "what was asked for after the hand-over is kept, and what a host changes by itself is the host's",
  async t => {
    const at = start(t)
    await at.change('block', '10.0.0.1')
    await at.sync(entries => {
      void at.change('block', '10.0.0.2')
      return [...inForce(entries), { ip: '10.0.0.3', pending: false }]
    })
    await at.store.downloads.offer(web1, undefined, HOST, () => undefined)
    at.clock.now += 1000
    await at.change('unblock', '10.0.0.1')
    const stale = inForce(await at.list()).concat({ ip: '10.0.0.1', pending: false })
    const before = await at.rows()
    const upload = { entries: stale, text: serialise(stale, true) }
    await at.store.lists.syncBack(web1, sshd, upload, 'merge', HOST)
    const rows = await at.rows()
    t.match(rows.slice(0, rows.length - before.length), [
      { what: 'kept', ip: '10.0.0.1', actor: HOST, after: { active: false } },
      { what: 'in-force', ip: '10.0.0.2' }
    ])
    t.match(
      before.filter(row => row.what === 'added'),
      [{ ip: '10.0.0.3', actor: HOST, before: null }]
    )
    await at.sync(entries => inForce(entries).map(one => ({ ...one, reason: 'by the host' })))
    t.ok((await at.rows()).some(row => row.what === 'changed' && row.after?.reason === 'by the host'))
  }
)

t.test('expiry, a list sent to index.php, and a list the server did not have are told', async t => {
  const at = start(t)
  const expires = isoTime(at.clock.now + 60_000)
  await at.store.lists.change(web1, sshd, [{ ip: ip(1), want: 'block', source: 'manual', expires }], ALICE)
  const entries = inForce(await at.list())
  await at.store.lists.confirm(web1, sshd, { entries, text: serialise(entries, true) }, HOST)
  at.clock.now += 120_000
  await at.store.lists.expireDue(web1, sshd)
  const other = listOfJail('nginx')
  await at.store.lists.confirm(web1, other, { entries, text: serialise(entries, true) }, HOST)
  t.match(await at.rows(), [
    { what: 'list-stored', jail: 'nginx', count: 1, actor: HOST },
    { what: 'expired', ip: '10.0.0.1', actor: { kind: 'server' }, before: { active: true, pending: false } },
    { what: 'in-force', ip: '10.0.0.1', asked: '2026-03-01T12:00:00.000+00:00' },
    { what: 'block', after: { expires } }
  ])
})

t.test('a taken-over host can not push the past out of its trail with changes nobody asked for', async t => {
  const at = start(t)
  await at.change('block', '10.255.0.1')
  const many = Array.from({ length: 5000 }, (_, n): BlocklistEntry => ({ ip: ip(n), pending: false }))
  await at.sync(entries => [...inForce(entries), ...many])
  const rows = await at.rows()
  t.equal(rows.length, MOST_UNASKED + 4, 'block, handed-out, in-force, the most, the rest in one')
  t.match(
    rows.find(row => row.count === 4000),
    { what: 'changed', actor: HOST }
  )
  t.ok(rows.some(row => row.what === 'in-force' && row.ip === '10.255.0.1'))
})

t.test('users and clients are told apart from lists, without any secret', async t => {
  const at = start(t)
  const { users, clients } = at.store
  await users.add('bob', 'a password of bob', 'viewer', ALICE)
  await users.setPassword('bob', 'another password of bob', ALICE)
  await users.remove('bob', ALICE)
  const made = await clients.add('web-1', ['192.0.2.1'], ALICE)
  const edited = await clients.edit(
    'web-1',
    { addresses: ['2001:db8::/32'], renew: true, renewUuid: true },
    ALICE
  )
  await clients.remove('web-1', ALICE)
  await t.rejects(users.remove('bob', ALICE), { code: 'NOT_FOUND' })
  const { rows } = await at.store.trails.page(undefined, {}, 100)
  t.match(rows.reverse(), [
    { what: 'user-added', user: 'bob', before: null, after: { role: 'viewer' } },
    { what: 'user-password', user: 'bob' },
    { what: 'user-removed', user: 'bob', before: { role: 'viewer' }, after: null },
    { what: 'client-added', server: 'web-1', after: { ip: '192.0.2.1' } },
    {
      what: 'client-edited',
      before: { ip: '192.0.2.1' },
      after: { ip: '2001:db8::/32', password: 'renewed', uuid: 'renewed' }
    },
    { what: 'client-removed', server: 'web-1' }
  ])
  t.equal(rows.length, 6)
  const text = await readFile(at.archive('audit.jsonl'), 'utf8')
  for (const secret of [
    'password of bob',
    made.password,
    made.uuid,
    edited.uuid,
    edited.password ?? '',
    '$2y$'
  ]) {
    t.notOk(text.includes(secret))
  }
  t.strictSame(await readdir(at.archive()), ['audit.jsonl'], 'a host that never synced gets no folder')
})

t.test('a process killed between change and line leaves what completes the trail', async t => {
  const row = (n: number): AuditDraft => ({ what: 'block', jail: 'sshd', ip: ip(n) })
  const next: BlocklistEntry[] = [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }]
  /** Everything up to the moment of the kill. */
  const killed = async (t: Test) => {
    const at = start(t)
    await at.change('block', '10.0.0.1')
    const path = at.archive('web-1', 'blocklists', sshd)
    const text = await readFile(path, 'utf8')
    const file = { path, to: serialise(next, true), current: { text, value: [], version: 'v' } }
    const change = at.store.audit.change(web1, file, next, ALICE, [row(2), row(3)])
    await change.before(file.to)
    const told = change.written
    return { at, path, file, told }
  }

  t.test('after the change: housekeeping appends the rows', async t => {
    const { at, path, file } = await killed(t)
    await writeFile(path, file.to)
    at.clock.now += 86_400_000
    await at.store.housekeeping()
    const rows = await at.rows()
    t.strictSame(brief(rows), ['block 10.0.0.3', 'block 10.0.0.2', 'block 10.0.0.1'])
    t.match(rows[0], { recovered: true, unconfirmed: undefined, time: '2026-03-01T12:00:00.000+00:00' })
    t.notOk((await readdir(at.archive('web-1'))).includes(NOTE))
  })

  t.test('after the change: the next change does so first', async t => {
    const { at, path, file } = await killed(t)
    await writeFile(path, file.to)
    await start(t, {}, at.dir).change('block', '10.0.0.4')
    t.strictSame(brief(await at.rows()), [
      'block 10.0.0.4',
      'block 10.0.0.3',
      'block 10.0.0.2',
      'block 10.0.0.1'
    ])
  })

  t.test('before the change: nothing is told that did not happen', async t => {
    const { at } = await killed(t)
    await at.store.housekeeping()
    t.strictSame(brief(await at.rows()), ['block 10.0.0.1'])
    t.notOk((await readdir(at.archive('web-1'))).includes(NOTE))
  })

  t.test('before a change of what this process wrote itself: nothing either', async t => {
    const at = start(t)
    await at.change('block', '10.0.0.1')
    await at.change('block', '10.0.0.9')
    const current = await at.store.lists.read(web1, sshd)
    const path = at.archive('web-1', 'blocklists', sshd)
    const change = at.store.audit.change(web1, { path, current }, next, ALICE, [row(2)])
    await change.before(serialise(next, true))
    await at.store.housekeeping()
    t.strictSame(brief(await at.rows()), ['block 10.0.0.9', 'block 10.0.0.1'])
  })

  t.test('while the note was written: the change had not begun', async t => {
    const { at, file } = await killed(t)
    const note = at.archive('web-1', NOTE)
    const whole = await readFile(note, 'utf8')
    for (const cut of [0, 5, whole.indexOf('\n') + 10, whole.length - 1]) {
      await writeFile(note, whole.slice(0, cut))
      await at.store.housekeeping()
      t.strictSame(brief(await at.rows()), ['block 10.0.0.1'], `cut at ${cut}`)
      t.notOk((await readdir(at.archive('web-1'))).includes(NOTE))
    }
    t.ok(file)
  })

  t.test('between two appended rows, or before the note was deleted: no row is told twice', async t => {
    const { at, path, file } = await killed(t)
    await writeFile(path, file.to)
    const note = await readFile(at.archive('web-1', NOTE), 'utf8')
    const [, first = '', second = ''] = note.split('\n')
    await appendFile(at.archive('web-1', 'audit.jsonl'), `${first}\n${second.slice(0, 20)}`)
    await at.store.housekeeping()
    t.strictSame(brief(await at.rows()), ['block 10.0.0.3', 'block 10.0.0.2', 'block 10.0.0.1'])
    await writeFile(at.archive('web-1', NOTE), note)
    await at.store.housekeeping()
    t.equal((await at.rows()).length, 3)
  })

  t.test('and other hands changed the list meanwhile: told, as unconfirmed', async t => {
    const { at, path } = await killed(t)
    await writeFile(path, '[]')
    await at.store.housekeeping()
    t.match((await at.rows())[0], { what: 'block', ip: '10.0.0.3', recovered: true, unconfirmed: true })
  })

  t.test('of a change of users', async t => {
    const at = start(t)
    await at.store.users.add('bob', 'a password of bob', 'viewer', ALICE)
    const path = join(at.dir, 'settings', 'users.json')
    const file = {
      path,
      current: { text: await readFile(path, 'utf8'), value: [], version: 'v' },
      to: '[]\n'
    }
    const rows = [{ what: 'user-removed' as const, user: 'bob' }]
    await at.store.audit.change(undefined, file, [], ALICE, rows).before(file.to)
    await writeFile(path, file.to)
    await at.store.housekeeping()
    t.match((await at.store.trails.page(undefined, {}, 1)).rows, [{ what: 'user-removed', recovered: true }])
    t.strictSame(await readdir(at.archive()), ['audit.jsonl'])
  })
  t.end()
})

t.test(
  'a trail that can not be written delays the rows, not the change; a note that can not refuses it',
  async t => {
    const at = start(t)
    await at.change('block', '10.0.0.1')
    const trail = at.archive('web-1', 'audit.jsonl')
    const kept = await readFile(trail, 'utf8')
    await unlink(trail)
    await mkdir(trail)
    await at.change('block', '10.0.0.2')
    t.match(at.delayed, [{ code: 'DISK' }])
    const before = await at.list()
    t.match(before, [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }], 'it happened, and was acknowledged')
    await t.rejects(at.change('block', '10.0.0.3'), { code: 'DISK', status: 507 }, 'no more until it is told')
    t.strictSame(await at.list(), before)
    await rmdir(trail)
    await writeFile(trail, kept)
    await at.store.housekeeping()
    t.strictSame(brief(await at.rows()), ['block 10.0.0.2', 'block 10.0.0.1'])
    await mkdir(at.archive('web-1', NOTE))
    await t.rejects(at.change('block', '10.0.0.3'), { code: 'DISK', status: 507 })
    t.strictSame(await at.list(), before)
  }
)

t.test('a link in the place of the trail leads nowhere', async t => {
  const at = start(t)
  await mkdir(at.archive('web-1'))
  const target = join(at.dir, 'settings', 'target')
  await writeFile(target, 'as it was\n')
  await symlink(target, at.archive('web-1', 'audit.jsonl'))
  await at.change('block', '10.0.0.1')
  t.equal(at.delayed.length, 1)
  t.equal(await readFile(target, 'utf8'), 'as it was\n')
  t.equal(await readlink(at.archive('web-1', 'audit.jsonl')), target)
  await t.rejects(at.rows(), { code: 'DISK' })
})

t.test('half a line left by a killed writer costs that line and no other', async t => {
  const at = start(t)
  await at.change('block', '10.0.0.1')
  await appendFile(at.archive('web-1', 'audit.jsonl'), '{"id":"torn')
  await at.change('block', '10.0.0.2')
  await appendFile(at.archive('web-1', 'audit.jsonl'), `[]\n{"id":1}\n\n${'x'.repeat(3_000_000)}\n`)
  await at.change('block', '10.0.0.3')
  const page = await at.store.trails.page(web1, {}, 10)
  t.strictSame(brief(page.rows), ['block 10.0.0.3', 'block 10.0.0.2', 'block 10.0.0.1'])
  t.ok(page.unreadable >= 4)
})

t.test('several processes append while the files rotate and readers turn pages: each row once', async t => {
  const auditBytes = 6000
  const one = start(t, { auditBytes })
  const two = start(t, { auditBytes }, one.dir)
  const wanted: string[] = []
  const write = async (at: At, from: number) => {
    for (let n = from; n < from + 40; n++) {
      wanted.push(ip(n))
      await at.change('block', ip(n))
    }
  }
  let writing = true
  const read = async () => {
    while (writing) {
      const seen: string[] = []
      let next: Place | undefined
      do {
        const page = await one.store.trails.page(web1, {}, 7, next)
        seen.push(...page.rows.map(row => row.id))
        next = page.next
      } while (next !== undefined)
      t.equal(new Set(seen).size, seen.length, 'no row twice')
    }
  }
  const reading = read()
  await Promise.all([write(one, 0), write(two, 1000)])
  writing = false
  await reading
  const files = (await readdir(one.archive('web-1'))).filter(name => name.startsWith('audit'))
  t.ok(files.length > 3, files.join(' '))
  t.strictSame((await one.rows()).map(row => row.ip).sort(), wanted.sort())
  for (const name of files) {
    const text = await readFile(one.archive('web-1', name), 'utf8')
    t.ok(text.endsWith('\n'))
    t.ok(
      text
        .split('\n')
        .slice(0, -1)
        .every(line => line.startsWith('{"id":') && line.endsWith('}'))
    )
  }
})

t.test('old files go when there are too many, the newest rows stay', async t => {
  const at = start(t, { auditBytes: 1 })
  for (let n = 0; n < 12; n++) await at.change('block', ip(n))
  const files = (await readdir(at.archive('web-1'))).filter(name => name.startsWith('audit'))
  t.equal(files.length, 9)
  t.strictSame(
    brief(await at.rows()),
    Array.from({ length: 9 }, (_, n) => `block ${ip(11 - n)}`)
  )
  await unlink(at.archive('web-1', 'audit.jsonl.3'))
  t.equal((await at.rows()).length, 8, 'a gap stops no reader')
})

t.test('100,000 addresses in one change are one write, and are read back page by page', async t => {
  const at = start(t)
  const { files } = at.store
  const locked = files.locked.bind(files)
  let appends = 0
  files.locked = (path, work) => {
    if (path.endsWith('audit.jsonl')) appends++
    return locked(path, work)
  }
  const ips = Array.from({ length: 100_000 }, (_, n) => ip(n))
  const begun = performance.now()
  await at.change('block', ...ips)
  t.comment(`${Math.round(performance.now() - begun)} ms`)
  t.equal(appends, 1)
  let next: Place | undefined
  let pages = 0
  const seen: string[] = []
  do {
    const page = await at.store.trails.page(web1, {}, 1000, next)
    seen.push(...page.rows.map(row => row.ip ?? ''))
    next = page.next
    pages++
  } while (next !== undefined)
  t.ok(pages >= 100 && pages <= 101, `${pages} pages`)
  t.strictSame(seen.reverse(), ips)
  const found = await at.store.trails.page(web1, { ip: ip(77_777), jail: 'sshd' }, 10)
  t.strictSame(brief(found.rows), [`block ${ip(77_777)}`])
  const syncing = performance.now()
  await at.sync()
  t.comment(`sync-back ${Math.round(performance.now() - syncing)} ms`)
  t.strictSame((await at.store.trails.history(web1, 'sshd', ip(5))).length, 1)
})

t.test('filters: since, jail, server', async t => {
  const at = start(t)
  await at.change('block', '10.0.0.1')
  at.clock.now += 3 * 86_400_000
  await at.store.lists.change(web1, listOfJail('nginx'), [{ ip: ip(2), want: 'block', source: 'x' }], ALICE)
  const page = async (filter: object) => brief((await at.store.trails.page(web1, filter, 10)).rows)
  t.strictSame(await page({ since: at.clock.now }), ['block 10.0.0.2'])
  t.strictSame(await page({ since: at.clock.now - 4 * 86_400_000 }), ['block 10.0.0.2', 'block 10.0.0.1'])
  t.strictSame(await page({ jail: 'sshd' }), ['block 10.0.0.1'])
  t.strictSame(await page({ server: 'web-1' }), [])
})
