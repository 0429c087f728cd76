import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import t from 'tap'
import { Installation, type Ended } from '../support/installation.js'
import { NO_OLD_CLIENT, oldClientCycle } from '../support/old-client.js'
import { ownFolder } from '../support/own-folder.js'

const HASH = '$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'
const event = (ip: string) => ({ timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip, jail: 'sshd' })
const entry = (ip: string, more: object = {}) => ({
  ...{ ip, jail: 'sshd', source: 'action_ban-ip', timestamp: '2026-03-01T10:00:00+01:00', expires: null },
  ...{ reason: '', active: true, lastModified: '2026-03-01T10:00:00+01:00', tags: [], pending: false },
  ...more
})

interface Reply {
  servers: Record<string, unknown>[]
  users: number
  clients: number
  config: boolean
  problems: { file: string; what: string }[]
  passedOver: { file: string; why: string }[]
  done: Record<string, number>
  differs: string[]
}

/** A PHP installation as operators have it: two hosts, old and broken files among the good ones. */
async function oldSide(at: Installation): Promise<{ root: string; settings: string }> {
  const [root, settings] = [at.path('php'), at.path('Settings')]
  const put = async (path: string, content: unknown) => {
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  }
  const archive = (...parts: string[]) => join(root, 'archive', ...parts)
  await put(archive('web-1', 'fail2ban', 'fail2ban-events-20260301.json'), [event('192.0.2.1')])
  await put(archive('web-1', 'fail2ban', 'fail2ban-events-20260302.json'), '[{"timestamp": broken')
  await put(archive('web-1', 'blocklists', 'sshd.blocklist.json'), [
    entry('203.0.113.1'),
    entry('203.0.113.2', { active: false, pending: true }),
    { ip: '203.0.113.3' },
    { ip: 'not-an-address' }
  ])
  // As PHP's array_filter leaves it.
  await put(archive('db-1', 'blocklists', 'nginx.blocklist.json'), {
    '0': entry('2001:db8::1', { jail: 'nginx' }),
    '4': entry('203.0.113.9', { jail: 'nginx' })
  })
  await put(archive('db-1', 'blocklists', 'notes.txt'), 'mine')
  await put(archive('update.json'), { 'web-1': { 'sshd.blocklist.json': true } })
  await put(archive('old-flat.json'), [])
  await symlink('/etc', archive('linked'))
  await put(join(root, 'index.php'), '<?php')
  await put(join(settings, 'users.json'), [
    { username: 'alice', password: HASH, role: 'admin' },
    { username: 'bob', password: 'plain', role: 'viewer' }
  ])
  await put(join(settings, 'client-list.json'), [{ username: 'web-1', password: HASH, uuid: 'u-1', ip: '' }])
  await put(join(settings, 'fail2ban-report.config'), '[Warnings]\nenabled=true\nthreshold="5:20"\n')
  return { root, settings }
}

/** Every file below a folder with its bytes, mode and times. */
async function picture(folder: string): Promise<string[]> {
  const items = await readdir(folder, { recursive: true, withFileTypes: true })
  const lines = items.map(async item => {
    const path = join(item.parentPath, item.name)
    if (item.isSymbolicLink()) return `${path} link`
    const { mode, mtimeMs, ctimeMs, uid } = await stat(path)
    const text = item.isFile() ? await readFile(path, 'utf8') : ''
    return `${path} ${mode} ${mtimeMs} ${ctimeMs} ${uid} ${text}`
  })
  return (await Promise.all(lines)).sort()
}

const ours = (at: Installation) => [
  ...['--archive', at.path('archive'), '--own-settings', at.path('settings')],
  ...['--download', at.path('download'), '--temp', at.path('temp')]
]

t.test('import takes a PHP installation over, tells what it found, and changes nothing there', async t => {
  const at = new Installation(ownFolder(t))
  const { root, settings } = await oldSide(at)
  const before = [...(await picture(root)), ...(await picture(settings))]
  const run = async (...more: string[]): Promise<{ ended: Ended; reply: Reply }> => {
    const ended = await at.cli([
      'import',
      '--from',
      root,
      '--settings',
      settings,
      '--json',
      ...ours(at),
      ...more
    ])
    return { ended, reply: JSON.parse(ended.out || '{}') as Reply }
  }

  const first = await run()
  t.equal(first.ended.code, 1, 'what could not be taken over is a failure for scripts')
  t.match(first.reply.servers, [
    { name: 'db-1', days: 0, lists: 1, entries: 2, withMissingFields: 0, noAddress: 0 },
    { name: 'web-1', days: 1, events: 1, lists: 1, entries: 4, withMissingFields: 2, noAddress: 1 }
  ])
  t.match(first.reply, { users: 2, clients: 1, config: true })
  t.strictSame(
    first.reply.problems.map(one => one.file),
    ['web-1/fail2ban/fail2ban-events-20260302.json', 'users.json']
  )
  t.notMatch(first.ended.out, /plain|\$2y/, 'no secret is told')
  t.strictSame(first.reply.passedOver.map(one => one.file).sort(), [
    'db-1/blocklists/notes.txt',
    'linked',
    'old-flat.json'
  ])
  t.strictSame(first.reply.done, { take: 6, same: 0, ours: 0, differs: 0 })
  t.strictSame([...(await picture(root)), ...(await picture(settings))], before, 'the old side is as it was')

  const list = ['web-1', 'blocklists', 'sshd.blocklist.json']
  const [theirs, mine] = await Promise.all(
    [join(root, 'archive', ...list), at.path('archive', ...list)].map(path => readFile(path, 'utf8'))
  )
  t.equal(mine, theirs, 'to the byte')
  t.strictSame(await at.index(), { 'web-1': { 'sshd.blocklist.json': true } }, 'what waited there waits here')
  t.equal((await stat(at.path('settings', 'users.json'))).mode & 0o777, 0o600)
  t.equal((await stat(at.path('settings', 'fail2ban-report.config'))).mode & 0o777, 0o600)
  const listed = await at.cli(['list', '--server', 'db-1', '--json', ...at.folders])
  t.match(listed.out, /2001:db8::1/)
  t.match((await at.cli(['audit', '--server', 'web-1', ...at.folders])).out, /list-stored/)

  const again = await run()
  t.strictSame(again.reply.done, { take: 0, same: 6, ours: 0, differs: 0 }, 'repeated: nothing to do')

  // Both sides go on for a while.
  await writeFile(
    join(root, 'archive', 'web-1', 'fail2ban', 'fail2ban-events-20260301.json'),
    JSON.stringify([event('192.0.2.1'), event('192.0.2.2')])
  )
  await at.cli(['block', '198.51.100.1', '--server', 'web-1', '--jail', 'sshd', ...at.folders])
  const nginx = join(root, 'archive', 'db-1', 'blocklists', 'nginx.blocklist.json')
  await at.cli(['block', '198.51.100.2', '--server', 'db-1', '--jail', 'nginx', ...at.folders])
  await writeFile(nginx, JSON.stringify([entry('203.0.113.77', { jail: 'nginx' })]))
  await at.cli(['client', 'remove', 'web-1', ...at.folders])
  const third = await run()
  t.strictSame(third.reply.done, { take: 1, same: 2, ours: 2, differs: 1 })
  t.strictSame(third.reply.differs, ['db-1/blocklists/nginx.blocklist.json'])
  t.match(await at.list('web-1', 'sshd'), [{}, {}, {}, {}, { ip: '198.51.100.1' }])
  t.equal((await at.list('db-1', 'nginx')).length, 3, 'ours was kept')
  t.notMatch(
    (await at.cli(['client', 'list', ...at.folders])).out,
    /web-1/,
    'who was removed here stays removed'
  )
  t.match(
    await readFile(at.path('archive', 'web-1', 'fail2ban', 'fail2ban-events-20260301.json'), 'utf8'),
    /192\.0\.2\.2/
  )
  t.match((await at.cli(['doctor', '--side', 'server', ...at.folders])).out, /the data files are whole/)
})

t.test('import --in-place copies nothing and says how to use the folders', async t => {
  const at = new Installation(ownFolder(t))
  const { root, settings } = await oldSide(at)
  const before = await picture(at.dir)
  const ended = await at.cli(['import', '--from', root, '--settings', settings, '--in-place', ...ours(at)])
  t.match(ended.out, `--archive ${root}/archive --settings ${settings}`)
  t.match(ended.out, /web-1 +1 +1 +1 +4 +2 +1/)
  t.strictSame(await picture(at.dir), before)
})

t.test('import refuses what is no installation, and what is its own', async t => {
  const at = new Installation(ownFolder(t, { empty: {} }))
  const { root } = await oldSide(at)
  const refused = async (args: string[], why: RegExp) => {
    const ended = await at.cli(['import', ...args])
    t.equal(ended.code, 2, ended.out)
    t.match(ended.err, why)
  }
  await refused([], /--from/)
  await refused(['--from', at.path('nowhere'), ...ours(at)], /no web root.*ENOENT/)
  await refused(['--from', at.path('empty'), ...ours(at)], /no web root/)
  await refused(['--from', root, '--settings', at.path('nowhere'), ...ours(at)], /no settings folder/)
  await refused(['--from', root, '--archive', join(root, 'archive')], /own archive; --in-place/)
  await refused(['--from', root, '--archive', join(root, 'archive', 'web-1')], /own archive/)
})

const root = process.getuid?.() === 0 ? false : 'needs root'
t.test(
  'root reads settings closed to all others and writes as the owner of our files',
  { skip: root },
  async t => {
    const at = new Installation(ownFolder(t, { archive: {}, settings: {}, download: {}, temp: {} }))
    const old = await oldSide(at)
    const OTHER = 65534
    for (const name of ['archive', 'settings', 'download', 'temp']) await chown(at.path(name), OTHER, OTHER)
    await chmod(old.settings, 0o700)
    const ended = await at.cli([
      'import',
      '--from',
      old.root,
      '--settings',
      old.settings,
      '--json',
      ...ours(at)
    ])
    t.match(JSON.parse(ended.out), { users: 2, clients: 1, done: { take: 6 } })
    for (const path of [
      'settings/users.json',
      'settings/take-over.json',
      'archive/web-1/blocklists',
      'archive/update.json'
    ]) {
      t.equal((await stat(at.path(path))).uid, OTHER, path)
    }
  }
)

t.test(
  'the old client of a host goes on unchanged with the server that was filled',
  { skip: NO_OLD_CLIENT },
  async t => {
    const at = new Installation(ownFolder(t, { work: {} }))
    t.teardown(() => at.stop())
    const { root, settings } = await oldSide(at)
    const password = 'the password it has had all along'
    // As PHP's password_hash writes it.
    const hash = hashSync(password, 4).replace('$2b$', '$2y$')
    const clients = [{ username: 'web-1', password: hash, uuid: 'u-1', ip: '' }]
    await writeFile(join(settings, 'client-list.json'), JSON.stringify(clients))
    const list = join(root, 'archive', 'web-1', 'blocklists', 'sshd.blocklist.json')
    await writeFile(list, JSON.stringify([entry('203.0.113.1'), entry('203.0.113.7', { pending: true })]))
    await at.cli(['import', '--from', root, '--settings', settings, ...ours(at)])
    await at.serve()
    const who = { username: 'web-1', password, uuid: 'u-1' }
    const cycle = await oldClientCycle(`${at.url}/endpoint`, who, at.path('work'))
    t.equal(cycle.code, 0, cycle.err)
    t.strictSame(
      (await at.list('web-1', 'sshd')).map(({ ip, pending }) => ({ ip, pending })),
      [
        { ip: '203.0.113.1', pending: false },
        { ip: '203.0.113.7', pending: false }
      ],
      'what waited on the old side was fetched and came back'
    )
    t.notMatch(await at.index(), { 'web-1': {} }, 'nothing waits for it any more')
  }
)
