import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addStatusCommand } from '../../../server/cli/status.js'
import { commands } from '../../support/terminal.js'
import { ownFolder } from '../../support/own-folder.js'

function status(t: Test) {
  const dir = ownFolder(t, { archive: {}, settings: {} })
  return {
    run: commands(dir, addStatusCommand),
    write: async (value: unknown, ...path: string[]) => {
      const file = join(dir, ...path)
      await mkdir(join(file, '..'), { recursive: true })
      await writeFile(file, JSON.stringify(value))
    }
  }
}

t.test('without hosts, status says how to add one', async t => {
  const { run } = status(t)
  t.match((await run(['status'])).out, /^No hosts yet\. Add one: +.* client add HOST --server-url https:/)
  t.equal((await run(['status', '--json'])).out, '[]\n')
})

t.test('status counts every list of every host, by what its entries are', async t => {
  const { run, write } = status(t)
  const entry = (ip: string, active: boolean, pending: boolean, expires: string | null = null) => ({
    ip,
    active,
    pending,
    expires
  })
  const list = [
    entry('192.0.2.1', true, false),
    entry('192.0.2.2', true, false, '2999-01-01T00:00:00Z'),
    entry('192.0.2.3', true, true),
    entry('192.0.2.4', false, true),
    entry('192.0.2.5', true, false, '2020-01-01T00:00:00Z'),
    entry('192.0.2.6', true, true, '2020-01-01T00:00:00Z'),
    entry('192.0.2.7', false, false)
  ]
  await write(list, 'archive', 'web-1', 'blocklists', 'sshd.blocklist.json')
  await write([], 'archive', 'web-1', 'blocklists', '_j_a_20b.blocklist.json')
  const lastSync = '2026-03-01T12:00:00.000+00:00'
  const whitelist = { at: lastSync, result: 'fail', hash: '', message: 'no \u001b fail2ban' }
  await write({ lastSync, whitelist }, 'archive', 'web-1', 'host.json')
  await write([{ username: 'db-1', password: 'x', uuid: 'u' }], 'settings', 'client-list.json')
  const none = { active: 0, pendingBlock: 0, pendingUnblock: 0, expired: 0 }
  t.strictSame(JSON.parse((await run(['status', '--json'])).out), [
    { server: 'db-1', lastSync: '', whitelist: '', jail: '', ...none },
    { server: 'web-1', lastSync, whitelist: 'failed: no \u001b fail2ban', jail: 'a b', ...none },
    {
      server: 'web-1',
      lastSync,
      whitelist: 'failed: no \u001b fail2ban',
      jail: 'sshd',
      active: 2,
      pendingBlock: 1,
      pendingUnblock: 2,
      expired: 1
    }
  ])
  const { out } = await run(['status'])
  t.match(out, /^host +last sync +whitelist +jail +active +to block +to unblock +expired$/m)
  t.match(out, /^db-1 +never +0 +0 +0 +0$/m)
  t.match(out, /^web-1 +2026-03-01\S+ +failed: no \ufffd fail2ban +sshd +2 +1 +2 +1$/m)
})

t.test('a corrupt list is set aside, told of, and does not hide the others', async t => {
  const { run, write } = status(t)
  await write([{ ip: '192.0.2.1', active: true }], 'archive', 'web-1', 'blocklists', 'b.blocklist.json')
  await write({ not: 'a list' }, 'archive', 'web-1', 'blocklists', 'a.blocklist.json')
  const { out, err, error } = await run(['status', '--json'])
  t.equal(error, undefined)
  t.match(err, /a\.blocklist\.json was corrupt \(.+\) and is now .+\.corrupt-/)
  t.match(JSON.parse(out), [
    { jail: 'a', active: 0 },
    { jail: 'b', active: 1 }
  ])
  const later = await run(['status'])
  t.match(
    later.err,
    /Corrupt and set aside: a\.blocklist\.json\.corrupt-\S+ of web-1/,
    'and as long as it lies there'
  )
})
