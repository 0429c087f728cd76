import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { addBlockingCommands, stateOf } from '../../../server/cli/blocking.js'
import { commands } from '../../support/terminal.js'
import { ownFolder } from '../../support/own-folder.js'

const WEB = ['--server', 'web-1', '--jail', 'sshd']

async function blocking(t: Test) {
  const dir = ownFolder(t, { archive: { 'web-1': {}, 'db-1': {} }, settings: {} })
  const list = (server: string, jail: string) =>
    join(dir, 'archive', server, 'blocklists', `${jail}.blocklist.json`)
  return {
    dir,
    run: commands(dir, addBlockingCommands),
    read: async (server = 'web-1', jail = 'sshd') =>
      JSON.parse(await readFile(list(server, jail), 'utf8')) as BlocklistEntry[],
    write: async (server: string, jail: string, entries: object[]) => {
      await mkdir(join(list(server, jail), '..'), { recursive: true })
      await writeFile(list(server, jail), JSON.stringify(entries))
    },
    index: async () =>
      JSON.parse(await readFile(join(dir, 'archive', 'update.json'), 'utf8')) as Record<string, unknown>,
    files: async () => (await readdir(join(dir, 'archive'), { recursive: true })).filter(f => /json/.test(f))
  }
}

t.test('block makes pending entries with reason, tags and end, and marks the list for its host', async t => {
  const { run, read, index } = await blocking(t)
  const expires = '2999-01-31T12:00:00Z'
  const said = await run([
    ...['block', '203.0.113.9', '2001:DB8:0::/48', '198.51.100.7/24', ...WEB],
    ...['--reason', 'scans', '--tag', 'a', 'b', '--expires', expires]
  ])
  t.equal(said.error, undefined)
  t.equal(
    said.out,
    ['203.0.113.9', '2001:db8::/48', '198.51.100.0/24']
      .map(ip => `${ip} is to be blocked; waits for the host\n`)
      .join('')
  )
  const entries = await read()
  t.strictSame(
    entries.map(entry => entry.ip),
    ['203.0.113.9', '2001:db8::/48', '198.51.100.0/24']
  )
  for (const entry of entries) {
    t.match(entry, { active: true, pending: true, reason: 'scans', tags: ['a', 'b'], source: 'manual' })
    t.equal(Date.parse(entry.expires ?? ''), Date.parse(expires))
  }
  t.match(await index(), { 'web-1': { 'sshd.blocklist.json': true } })
})

t.test('block and unblock say what happened to each address, in words and as JSON', async t => {
  const { run, read, write } = await blocking(t)
  await write('web-1', 'sshd', [{ ip: '192.0.2.1', active: true, pending: false, jail: 'sshd' }])
  const outcomes = async (...words: string[]) =>
    (JSON.parse((await run([...words, ...WEB, '--json'])).out) as { ip: string; outcome: string }[]).map(
      one => `${one.ip} ${one.outcome}`
    )
  t.strictSame(await outcomes('block', '192.0.2.1', '203.0.113.2', '203.0.113.2'), [
    '192.0.2.1 already-blocked',
    '203.0.113.2 blocked'
  ])
  t.strictSame(await outcomes('unblock', '192.0.2.1', '203.0.113.9'), [
    '192.0.2.1 unblocked',
    '203.0.113.9 not-blocked'
  ])
  t.strictSame(await outcomes('unblock', '192.0.2.1'), ['192.0.2.1 already-unblocked'])
  t.match(await read(), [
    { ip: '192.0.2.1', active: false, pending: true },
    { ip: '203.0.113.2', active: true, pending: true }
  ])
  const { out } = await run(['unblock', '192.0.2.1', '203.0.113.9', ...WEB])
  t.equal(
    out,
    '192.0.2.1 waits to be let in already; nothing changed\n203.0.113.9 was not blocked; nothing changed\n'
  )
})

t.test('unblock says what keeps an address blocked', async t => {
  const { run, write } = await blocking(t)
  await write('web-1', 'sshd', [{ ip: '192.0.2.1' }])
  await write('web-1', 'nginx', [{ ip: '192.0.2.0/24' }])
  const { out } = await run(['unblock', '192.0.2.1', ...WEB])
  const words = 'is to be let in again; waits for the host; stays blocked there by 192.0.2.0/24 in nginx'
  t.equal(out, `192.0.2.1 ${words}\n`)
  t.match(JSON.parse((await run(['unblock', '192.0.2.1', ...WEB, '--json'])).out), [
    { outcome: 'already-unblocked', still: { ip: '192.0.2.0/24', jail: 'nginx' } }
  ])
})

t.test('what would lock somebody out is refused, the rest is done; all refused is an error', async t => {
  const { run, read, files, dir } = await blocking(t)
  await writeFile(join(dir, 'archive', 'whitelist.json'), '[{"ip":"198.51.100.0/24"}]')
  const some = await run(['block', '127.0.0.1', '203.0.113.1', ...WEB])
  t.equal(some.error, undefined)
  t.match(some.out, /^127\.0\.0\.1 was refused: .*loopback address$/m)
  t.match(some.out, /^203\.0\.113\.1 is to be blocked/m)
  t.match(await read(), [{ ip: '203.0.113.1' }])
  t.equal((await read()).length, 1)
  const before = await files()
  for (const [ip, why] of [
    ['::1', /loopback/],
    ['0.0.0.0', /not the address of anybody/],
    ['198.51.100.77', /on the whitelist/],
    ['10.0.0.0/7', /wider than \/8/],
    ['2000::/3', /wider than \/19/],
    ['0.0.0.0/0', /wider than/]
  ] as const) {
    const { error, out } = await run(['block', ip, ...WEB])
    t.match(out, why, ip)
    t.match(error, { code: 'CONFLICT', message: /everything was refused/ }, ip)
  }
  t.strictSame(await files(), before)
  t.equal((await run(['unblock', '127.0.0.1', ...WEB])).error, undefined, 'letting in is never refused')
})

t.test('the widest network is a setting', async t => {
  const { run } = await blocking(t)
  t.match((await run(['block', '11.0.0.0/8', ...WEB, '--widest4', '16'])).error, { code: 'CONFLICT' })
  const env = { F2BR_WIDEST4: '16' }
  t.match((await run(['block', '11.0.0.0/8', ...WEB], { env })).error, { code: 'CONFLICT' })
  t.equal((await run(['block', '11.0.0.0/8', ...WEB])).error, undefined)
})

t.test('bad input changes nothing, not even for the good addresses beside it', async t => {
  const { run, files } = await blocking(t)
  for (const [words, error] of [
    [['block', '203.0.113.1', '203.0.113.300', ...WEB], { code: 'BAD_ADDRESS', message: /203\.0\.113\.300/ }],
    [['block', '203.0.113.1/33', ...WEB], { code: 'BAD_ADDRESS' }],
    [['block', 'web.example', ...WEB], { code: 'BAD_ADDRESS' }],
    [['block', '1.2.3.4; reboot', ...WEB], { code: 'BAD_ADDRESS' }],
    [['unblock', 'x', ...WEB], { code: 'BAD_ADDRESS' }],
    [
      ['block', '203.0.113.1', '--server', 'web-9', '--jail', 'sshd'],
      { code: 'NOT_FOUND', message: /there is no host web-9; there are: db-1, web-1/ }
    ],
    [['block', '203.0.113.1', '--server', '../x', '--jail', 'sshd'], { code: 'BAD_NAME' }],
    [['block', '203.0.113.1', '--server', 'web-1', '--jail', ''], { code: 'BAD_NAME' }],
    [['block', '203.0.113.1', '--server', 'web-1', '--jail', 'a\nb'], { code: 'BAD_NAME' }],
    [['block', '203.0.113.1', ...WEB, '--expires', 'tomorrow'], { code: 'BAD_INPUT', message: /ISO 8601/ }],
    [['block', '203.0.113.1', ...WEB, '--expires', '2020-01-01T00:00:00Z'], { message: /in the past/ }],
    [['block', ...WEB], { code: 'commander.missingArgument' }],
    [['block', '203.0.113.1', '--jail', 'sshd'], { code: 'commander.missingMandatoryOptionValue' }],
    [['block', '203.0.113.1', '--server', 'web-1'], { code: 'commander.missingMandatoryOptionValue' }],
    [['unblock', '203.0.113.1', ...WEB, '--reason', 'x'], { code: 'commander.unknownOption' }],
    [['list'], { code: 'commander.missingMandatoryOptionValue' }],
    [['list', '--server', 'web-9'], { code: 'NOT_FOUND' }]
  ] as const)
    t.match((await run(words)).error, error, words.join(' '))
  t.strictSame(await files(), [])
})

t.test('a block is for one host and one jail, whatever the jail is called', async t => {
  const { run, read, files } = await blocking(t)
  await run(['block', '203.0.113.1', '--server', 'web-1', '--jail', 'sshd'])
  await run(['block', '203.0.113.1', '--server', 'db-1', '--jail', 'my jail/../x'])
  t.strictSame((await files()).filter(file => file.includes('blocklists/')).sort(), [
    'db-1/blocklists/_j_my_20jail_2f_2e_2e_2fx.blocklist.json',
    'web-1/blocklists/sshd.blocklist.json'
  ])
  t.match(await read('db-1', '_j_my_20jail_2f_2e_2e_2fx'), [{ ip: '203.0.113.1', jail: 'my jail/../x' }])
  const listed = JSON.parse((await run(['list', '--server', 'db-1', '--json'])).out) as unknown[]
  t.match(listed, [{ ip: '203.0.113.1', jail: 'my jail/../x', state: 'pending block' }])
})

t.test('list shows every jail of a host or one, with the state of each entry', async t => {
  const { run, write } = await blocking(t)
  t.equal((await run(['list', '--server', 'web-1'])).out, 'No entries.\n')
  await write('web-1', 'sshd', [
    { ip: '192.0.2.1', active: true, pending: false, jail: 'sshd', reason: 'bad\u001b[2J' },
    { ip: '192.0.2.2', active: true, pending: true, expires: '2999-01-01T00:00:00Z' },
    { ip: '192.0.2.3', active: true, pending: false, expires: '2020-01-01T00:00:00Z' }
  ])
  await write('web-1', 'nginx', [{ ip: '192.0.2.4' }])
  await write('db-1', 'sshd', [{ ip: '192.0.2.5' }])
  const { out } = await run(['list', '--server', 'web-1'])
  t.match(out, /^ip +jail +state +expires +reason$/m)
  t.match(out, /^192\.0\.2\.1 +sshd +active +bad.\[2J$/m)
  t.match(out, /^192\.0\.2\.2 +sshd +pending block +2999-01-01T00:00:00Z$/m)
  t.match(out, /^192\.0\.2\.3 +sshd +expired/m)
  t.match(out, /^192\.0\.2\.4 +nginx +active$/m)
  t.notMatch(out, '192.0.2.5')
  t.notMatch(out, '\u001b')
  const one = JSON.parse(
    (await run(['list', '--server', 'web-1', '--jail', 'nginx', '--json'])).out
  ) as unknown
  t.match(one, [{ ip: '192.0.2.4', jail: 'nginx', state: 'active' }])
  t.strictSame(JSON.parse((await run(['list', '--server', 'web-1', '--jail', 'none', '--json'])).out), [])
})

t.test('the state of an entry in a word', async t => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  const past = '2026-03-01T11:59:59Z'
  for (const [entry, state] of [
    [{}, 'active'],
    [{ active: true, pending: false }, 'active'],
    [{ active: true, pending: true }, 'pending block'],
    [{ active: false, pending: true }, 'pending unblock'],
    [{ active: true, pending: true, expires: past }, 'pending unblock'],
    [{ active: true, expires: past }, 'expired'],
    [{ active: false }, 'inactive'],
    [{ active: true, expires: null }, 'active']
  ] as const)
    t.equal(stateOf({ ip: '192.0.2.1', ...entry }, now), state, JSON.stringify(entry))
})

t.test('a jail that nothing of the host names so far is blocked in, with a word', async t => {
  const { dir, run, write } = await blocking(t)
  const on = async (jail: string) => {
    const { err, error } = await run(['block', '203.0.113.9', '--server', 'web-1', '--jail', jail])
    t.equal(error, undefined, jail)
    return err
  }
  t.equal(await on('sshd'), 'note: no list and no event of web-1 names the jail "sshd" so far\n')
  t.equal(await on('sshd'), '', 'now a list does')
  t.match(await on('ss hd'), /^note: .* names the jail "ss hd" so far; the nearest is sshd\n$/)
  const days = join(dir, 'archive', 'web-1', 'fail2ban')
  await mkdir(days)
  const event = { timestamp: '2026-03-01 10:00:00,123', action: 'Ban', ip: '192.0.2.1', jail: 'postfix' }
  await writeFile(join(days, 'fail2ban-events-20260301.json'), JSON.stringify([event]))
  t.equal(await on('postfix'), '', 'an event does')
  await write('web-1', 'dovecot', [])
  t.equal(await on('dovecot'), '', 'an empty list does')
})

t.test('a list that was set aside as corrupt is told from an empty one', async t => {
  const { dir, run, write } = await blocking(t)
  await write('web-1', 'sshd', [])
  await writeFile(join(dir, 'archive', 'web-1', 'blocklists', 'sshd.blocklist.json'), '{"cut')
  for (const when of ['found', 'later']) {
    const { err, error } = await run(['list', '--server', 'web-1'])
    t.equal(error, undefined)
    t.match(err, /Corrupt and set aside: sshd\.blocklist\.json\.corrupt-/, when)
  }
})
