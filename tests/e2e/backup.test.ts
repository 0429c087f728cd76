import { spawnSync } from 'node:child_process'
import { chmod, cp, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { BlocklistEntry } from '../../common/shapes.js'
import { BIN, Installation, execute } from '../support/installation.js'
import { writeFleet } from '../support/fleet.js'
import { HOST, block, oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'

const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

/** Every file below a folder, its mode and text. */
async function picture(folder: string): Promise<Record<string, string>> {
  const items = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(item =>
    item.isFile()
  )
  const lines = items.map(async item => {
    const path = join(item.parentPath, item.name)
    return [path.slice(folder.length), `${await mode(path)} ${await readFile(path, 'utf8')}`] as const
  })
  return Object.fromEntries((await Promise.all(lines)).sort())
}

t.test('a backup of a server under writes is whole, and a server goes on from it', async t => {
  const at = await oneHost(ownFolder(t))
  t.teardown(() => at.stop())
  await writeFleet(at.path('archive'), { servers: ['db-1'], days: 3, eventsPerDay: 3000, now: Date.now() })
  await block(at, 'block', '192.0.2.77')
  // Writers without a pause: blocks, and cycles of the host that hand out, sync back and send events.
  const stop = new AbortController()
  const blocks = (async () => {
    for (let n = 1; !stop.signal.aborted; n++)
      await block(at, 'block', `203.0.113.${n % 250}`, `198.51.100.${n % 250}`)
  })()
  const cycles = (async () => {
    while (!stop.signal.aborted) await at.cli(at.syncArgs('dry-run'))
  })()
  const copies: string[] = []
  for (let n = 0; n < 3; n++) {
    const out = at.path(n === 1 ? 'copy.tar.gz' : `copy-${n}`)
    const made = await at.cli(['backup', '--out', out, ...at.folders])
    t.equal(made.code, 0, made.err)
    copies.push(out)
  }
  // What people do without reading: a plain copy.
  const plain = at.path('plain')
  spawnSync('cp', ['-a', at.path('archive'), plain])
  stop.abort()
  await Promise.all([blocks, cycles])
  await at.stop()
  t.equal(await mode(copies[0]!), '700')
  t.equal(await mode(copies[1]!), '600', 'one file is nobody else’s')
  t.equal(await mode(join(copies[0]!, 'settings', 'client-list.json')), '600')

  for (const copy of copies) {
    const to = new Installation(at.path(`to-${copies.indexOf(copy)}`))
    // As a checkout has it.
    await mkdir(to.path('archive'), { recursive: true })
    await writeFile(to.path('archive', '.htaccess'), 'Require all denied')
    const restored = await to.cli(['restore', '--from', copy, ...to.folders])
    t.equal(restored.code, 0, restored.err)
    const doctor = await to.cli(['doctor', '--side', 'server', '--json', ...to.folders])
    t.match(doctor.out, /the data files are whole/)
    t.notMatch(doctor.out, /set aside|abandoned/)
    t.equal(await mode(to.path('settings', 'client-list.json')), '600')
    t.equal(await mode(to.path('archive', HOST, 'blocklists', 'sshd.blocklist.json')), '640')
    const trail = await readFile(to.path('archive', HOST, 'audit.jsonl'), 'utf8')
    t.doesNotThrow(() =>
      trail
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line) as unknown)
    )
    // Whatever was pending at that moment reaches the host: the server goes on from the copy.
    const known = (await to.list(HOST, 'sshd')).filter(entry => entry.active !== false)
    await to.serve()
    t.teardown(() => to.stop())
    const conf = (await readFile(at.path('client.conf'), 'utf8')).replace(
      /^server = .*$/m,
      `server = ${to.url}`
    )
    await writeFile(to.path('client.conf'), conf, { mode: 0o600 })
    await writeFile(to.path('fail2ban.log'), '')
    const synced = await to.cli(to.syncArgs('dry-run'))
    t.equal(synced.code, 0, synced.err)
    const inForce = JSON.parse(await readFile(to.path('state', 'dry-run-firewall.json'), 'utf8')) as string[]
    t.strictSame(
      known.map(entry => entry.ip).filter(ip => !inForce.includes(ip)),
      [],
      'all blocks are in force'
    )
    // A list that the copy caught between hand-over and sync-back, and that changed then, takes one cycle more (§5.1).
    t.match(await to.cli(to.syncArgs('dry-run')), { code: 0 })
    t.notOk((await to.list(HOST, 'sshd')).some(entry => entry.pending === true))
    await to.stop()
  }
  for (const list of (await readdir(join(plain, HOST, 'blocklists'))).filter(name =>
    name.endsWith('.json')
  )) {
    t.ok(JSON.parse(await readFile(join(plain, HOST, 'blocklists', list), 'utf8')) as BlocklistEntry[])
  }
})

t.test(
  'restore overwrites nothing unasked, keeps what was there, and refuses what is no whole backup',
  async t => {
    const at = new Installation(ownFolder(t, { empty: {} }))
    await at.cli(['client', 'add', 'web-1', ...at.folders])
    await at.cli(['block', '203.0.113.1', '--server', 'web-1', '--jail', 'sshd', ...at.folders])
    await symlink('/etc', at.path('archive', 'web-1', 'link'))
    await mkdir(at.path('archive', 'web-1', 'blocklists', 'nginx.blocklist.json.lock'))
    await chmod(at.path('archive', 'web-1', 'blocklists', 'sshd.blocklist.json'), 0o600)
    const backup = await at.cli(['backup', '--out', at.path('b'), '--json', ...at.folders])
    t.match(JSON.parse(backup.out), { leftOut: [at.path('archive', 'web-1', 'link')] })
    const first = { ...(await picture(at.path('archive'))), ...(await picture(at.path('settings'))) }
    delete first['/update.json']

    const again = await at.cli(['backup', '--out', at.path('b'), ...at.folders])
    t.equal(again.code, 1)
    t.match(again.err, /name another place/)

    await at.cli(['block', '203.0.113.2', '--server', 'web-1', '--jail', 'sshd', ...at.folders])
    const now = await picture(at.path('archive'))
    const refused = await at.cli(['restore', '--from', at.path('b'), ...at.folders])
    t.equal(refused.code, 1)
    t.match(refused.err, /there is data in .*--replace/)
    t.strictSame(await picture(at.path('archive')), now, 'nothing was touched')

    const replaced = await at.cli(['restore', '--from', at.path('b'), '--replace', '--json', ...at.folders])
    t.equal(replaced.code, 0, replaced.err)
    t.strictSame({ ...(await picture(at.path('archive'))), ...(await picture(at.path('settings'))) }, first)
    const { aside } = JSON.parse(replaced.out) as { aside: string[] }
    t.strictSame(
      await picture(aside.find(path => path.includes('archive'))!),
      now,
      'what was there is beside'
    )
    const status = await at.cli(['status', '--json', ...at.folders])
    t.match(status.out, /"pendingBlock": 1/)

    for (const from of ['empty', 'nowhere', 'nowhere.tar.gz']) {
      const bad = await at.cli(['restore', '--from', at.path(from), '--replace', ...at.folders])
      t.equal(bad.code, 2, bad.err)
    }
    await cp(at.path('b'), at.path('cut'), { recursive: true })
    await writeFile(at.path('cut', 'fail2ban-report-backup.json'), '{"product":"fail2ban-report","files":99}')
    const cut = await at.cli(['restore', '--from', at.path('cut'), '--replace', ...at.folders])
    t.match(cut.err, /not whole: \d of 99/)
    t.strictSame(
      (await readdir(at.dir)).filter(name => name.includes('restoring')),
      [],
      'and leaves nothing behind'
    )
    const help = await execute([process.execPath, BIN, 'restore', '--help'])
    t.match(help.out, /--replace/)
  }
)

t.test('restore refuses under a running server, and what is cut or is not there in words', async t => {
  const at = new Installation(ownFolder(t, {}))
  await at.cli(['client', 'add', 'web-1', ...at.folders])
  await at.cli(['backup', '--out', at.path('b.tar.gz'), ...at.folders])
  const restore = async (from: string) =>
    at.cli(['restore', '--from', at.path(from), '--replace', ...at.folders])
  await at.serve()
  t.teardown(() => at.stop())
  const before = await picture(at.path('settings'))
  const refused = await restore('b.tar.gz')
  t.equal(refused.code, 1)
  t.match(refused.err, /a server runs on .*archive.*stop it first/)
  t.strictSame(await picture(at.path('settings')), before, 'nothing was touched')
  t.strictSame(
    (await readdir(at.dir)).filter(name => /restor|before/.test(name)),
    []
  )
  await at.stop()
  const done = await restore('b.tar.gz')
  t.equal(done.code, 0, done.err)
  t.notMatch(done.err, /Looking/, 'a server that was stopped left no mark')

  const whole = await readFile(at.path('b.tar.gz'))
  await writeFile(at.path('cut.tar.gz'), whole.subarray(0, whole.length / 2))
  t.match((await restore('cut.tar.gz')).err, /cut\.tar\.gz is no whole backup: it is cut, damaged/)
  t.match((await restore('nowhere')).err, /nowhere does not exist/)
  t.match((await restore('nowhere.tar.gz')).err, /nowhere\.tar\.gz does not exist/)
  const out = await at.cli(['backup', '--out', at.path('no', 'such', 'b.tar.gz'), ...at.folders])
  t.match(out.err, /the folder \S+such does not exist/)
})
