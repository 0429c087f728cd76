import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync, verifySync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import type { UserEntry } from '../../../common/shapes.js'
import { addUserCommands } from '../../../server/cli/users.js'
import { commands } from '../../support/terminal.js'
import { ownFolder } from '../../support/own-folder.js'

const GOOD = 'a long enough one'

function users(t: Test) {
  const dir = ownFolder(t, {})
  const file = join(dir, 'settings', 'users.json')
  return {
    dir,
    file,
    run: commands(dir, addUserCommands),
    stored: async () => JSON.parse(await readFile(file, 'utf8')) as UserEntry[],
    // Given, where a password isn't the point: bcrypt takes its time on purpose.
    given: async (...list: [name: string, role: 'admin' | 'viewer'][]) => {
      await mkdir(join(dir, 'settings'))
      const rows = list.map(([username, role]) => ({ username, password: hashSync(GOOD, 4), role }))
      await writeFile(file, JSON.stringify(rows), { mode: 0o600 })
    }
  }
}

t.test('user add keeps a hash that PHP verifies, and of the password nothing', async t => {
  const { run, stored, dir, file } = users(t)
  const said = await run(['user', 'add', 'alice', '--role', 'admin'], { input: `${GOOD}\r\nsecond line\n` })
  t.strictSame(said, { out: 'User alice (admin) may now log in.\n', err: '', error: undefined })
  const [user, ...others] = await stored()
  t.strictSame(others, [])
  t.match(user, { username: 'alice', role: 'admin', password: /^\$2y\$12\$.{53}$/ })
  t.ok(verifySync(GOOD, user?.password.replace('$2y$', '$2b$') ?? ''))
  t.notMatch(await readFile(file, 'utf8'), GOOD)
  t.equal((await stat(file)).mode & 0o777, 0o600)
  for (const [name, mode] of [
    ['settings', 0o700],
    ['temp', 0o700],
    ['archive', 0o750],
    ['download', 0o750]
  ] as const)
    t.equal((await stat(join(dir, name))).mode & 0o777, mode, name)
})

t.test('user add without --role makes a viewer; --json is for machines', async t => {
  const { run, stored } = users(t)
  const { out } = await run(['user', 'add', 'victor', '--json'], { input: GOOD })
  t.strictSame(JSON.parse(out), { username: 'victor', role: 'viewer' })
  t.match(await stored(), [{ username: 'victor', role: 'viewer' }])
})

t.test('a password that is missing, too short or too long is refused, and nobody is added', async t => {
  const { run, file } = users(t)
  for (const [input, message] of [
    ['', /no password came/],
    ['\n', /10 to 72 bytes/],
    ['short\n', /10 to 72 bytes/],
    ['123456789\n', /10 to 72 bytes/],
    ['ä'.repeat(37), /10 to 72 bytes/],
    [`nul\0${GOOD}`, /10 to 72 bytes/]
  ] as const) {
    const { error, out } = await run(['user', 'add', 'alice'], { input })
    t.match(error, { code: 'BAD_INPUT', message }, JSON.stringify(input))
    t.equal(out, '')
  }
  await t.rejects(stat(file), { code: 'ENOENT' })
})

t.test('at a terminal the password is asked for twice and not shown', async t => {
  const { run, stored } = users(t)
  const differ = await run(['user', 'add', 'alice'], { keys: [GOOD, 'another one here'] })
  t.match(differ.error, { code: 'BAD_INPUT', message: /the two passwords differ; nothing changed/ })
  const said = await run(['user', 'add', 'alice'], { keys: [GOOD, GOOD] })
  t.equal(said.error, undefined)
  t.equal(said.err, 'New password: \nThe same again: \n')
  const [user] = await stored()
  t.ok(verifySync(GOOD, user?.password.replace('$2y$', '$2b$') ?? ''))
})

t.test('the password is never taken from the command line', async t => {
  const { run, file } = users(t)
  for (const words of [
    ['user', 'add', 'alice', GOOD],
    ['user', 'add', 'alice', '--password', GOOD],
    ['user', 'passwd', 'alice', GOOD]
  ]) {
    const { error } = await run(words, { input: GOOD })
    t.match(error, { code: /commander\.(excessArguments|unknownOption)/ })
  }
  await t.rejects(stat(file), { code: 'ENOENT' })
})

t.test('bad names, bad roles and users there are already are refused', async t => {
  const { run, given, stored } = users(t)
  await given(['alice', 'admin'])
  for (const [words, error] of [
    [['-x'], { code: 'commander.unknownOption' }],
    [['.hidden'], { code: 'BAD_NAME' }],
    [['a b'], { code: 'BAD_NAME' }],
    [['a\nb'], { code: 'BAD_NAME' }],
    [['x'.repeat(65)], { code: 'BAD_NAME' }],
    [['bob', '--role', 'king'], { code: 'BAD_INPUT', message: /--role: one of admin, viewer/ }],
    [['alice'], { code: 'CONFLICT', message: /there is a user alice already; use passwd/ }]
  ] as const)
    t.match((await run(['user', 'add', ...words], { input: GOOD })).error, error, JSON.stringify(words))
  t.match(await stored(), [{ username: 'alice' }])
})

t.test('user list shows names and roles, never a hash', async t => {
  const { run, given } = users(t)
  t.equal((await run(['user', 'list'])).out, 'No users yet.\n')
  await given(['alice', 'admin'], ['bob', 'viewer'])
  t.equal(
    (await run(['user', 'list'])).out,
    ['user   role', '-----  ------', 'alice  admin', 'bob    viewer', ''].join('\n')
  )
  t.strictSame(JSON.parse((await run(['user', 'list', '--json'])).out), [
    { username: 'alice', role: 'admin' },
    { username: 'bob', role: 'viewer' }
  ])
})

t.test('user passwd changes that password and nothing else, nor the mode of the file', async t => {
  const { run, given, stored, file } = users(t)
  await given(['alice', 'admin'], ['bob', 'viewer'])
  const before = await stored()
  const said = await run(['user', 'passwd', 'bob'], { input: 'another long one\n' })
  t.equal(said.out, 'bob has a new password; open sessions have ended.\n')
  const after = await stored()
  t.strictSame(after[0], before[0])
  t.ok(verifySync('another long one', after[1]?.password.replace('$2y$', '$2b$') ?? ''))
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.match((await run(['user', 'passwd', 'bob'], { input: 'weak' })).error, { code: 'BAD_INPUT' })
  t.match((await run(['user', 'passwd', 'eve'], { input: GOOD })).error, {
    code: 'NOT_FOUND',
    message: /there is no "eve"/
  })
  t.strictSame(await stored(), after)
})

t.test('user remove takes one away, but not the last admin', async t => {
  const { run, given, stored } = users(t)
  await given(['alice', 'admin'], ['bob', 'viewer'], ['carol', 'admin'])
  t.equal((await run(['user', 'remove', 'alice'])).out, 'User alice is removed.\n')
  t.match((await run(['user', 'remove', 'carol'])).error, {
    code: 'CONFLICT',
    message: /carol is the last admin; add another one first/
  })
  t.match((await run(['user', 'remove', 'alice'])).error, { code: 'NOT_FOUND' })
  t.strictSame(
    (await stored()).map(user => user.username),
    ['bob', 'carol']
  )
  t.strictSame(JSON.parse((await run(['user', 'remove', 'bob', '--json'])).out), { username: 'bob' })
})

t.test('a corrupt users.json is told of and left as it is', async t => {
  const { run, given, file } = users(t)
  await given()
  await writeFile(file, '[{"username":')
  for (const words of [['add', 'bob'], ['list'], ['passwd', 'bob'], ['remove', 'bob']])
    t.match((await run(['user', ...words], { input: GOOD })).error, { code: 'FILE_CORRUPT' }, words.join(' '))
  t.equal(await readFile(file, 'utf8'), '[{"username":')
})

t.test('what can be told before a password is asked for is told before', async t => {
  const { run, given, stored } = users(t)
  await given(['alice', 'admin'])
  const before = await stored()
  for (const [words, keys, code, asked] of [
    [['add', 'alice'], [GOOD, GOOD], 'CONFLICT', 0],
    [['add', 'a b'], [GOOD, GOOD], 'BAD_NAME', 0],
    [['passwd', 'nobody'], [GOOD, GOOD], 'NOT_FOUND', 0],
    [['passwd', 'alice'], ['short', 'short'], 'BAD_INPUT', 1]
  ] as const) {
    const { err, error } = await run(['user', ...words], { keys })
    t.match(error, { code }, words.join(' '))
    t.equal(err.split(': ').length - 1, asked, `${words.join(' ')}: questions`)
  }
  t.strictSame(await stored(), before)
})
