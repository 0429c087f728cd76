import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync, verifySync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { readClientConfig } from '../../../client/config/config.js'
import type { ClientEntry } from '../../../common/shapes.js'
import { addClientCommands } from '../../../server/cli/clients.js'
import { commands } from '../../support/terminal.js'
import { ownFolder } from '../../support/own-folder.js'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
/** 24 random bytes. */
const STRONG = /^[A-Za-z0-9_-]{32}$/

interface Made {
  username: string
  password: string
  uuid: string
  config: string
}

function clients(t: Test) {
  const dir = ownFolder(t, {})
  const file = join(dir, 'settings', 'client-list.json')
  const run = commands(dir, addClientCommands)
  return {
    dir,
    file,
    run,
    stored: async () => JSON.parse(await readFile(file, 'utf8')) as ClientEntry[],
    given: async (...names: string[]) => {
      await mkdir(join(dir, 'settings'))
      const rows = names.map(username => ({ username, password: hashSync('x', 4), uuid: `u-${username}` }))
      await writeFile(file, JSON.stringify(rows), { mode: 0o600 })
    }
  }
}

t.test('client add prints, once, a configuration that the client reads as it is', async t => {
  const { run, stored, file, dir } = clients(t)
  const said = await run(['client', 'add', 'web-1', '--server-url', 'https://reports.example/F2B/'])
  t.equal(said.error, undefined)
  t.match(said.out, /Save this on the host as .*client\.conf, mode 0600/)
  t.match(said.out, /shown only now/)
  const conf = join(dir, 'client.conf')
  await writeFile(conf, said.out.slice(said.out.indexOf('server =')), { mode: 0o600 })
  const config = readClientConfig({ file: conf, flags: {}, env: {} })
  t.match(config, {
    username: 'web-1',
    password: STRONG,
    uuid: UUID,
    urls: { update: 'https://reports.example/F2B/endpoint/update.php' },
    warnings: []
  })
  const [entry, ...others] = await stored()
  t.strictSame(others, [])
  t.match(entry, { username: 'web-1', uuid: config.uuid, password: /^\$2y\$12\$/, ip: '' })
  t.ok(verifySync(config.password, entry?.password.replace('$2y$', '$2b$') ?? ''))
  t.notMatch(await readFile(file, 'utf8'), config.password)
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.notMatch((await run(['client', 'list', '--json'])).out, config.password)
})

t.test(
  'client add --json gives the same for machines, and says where the URL goes when none is given',
  async t => {
    const { run, stored } = clients(t)
    const ips = ['client', 'add', 'db-1', '--ip', '192.0.2.10, 2001:DB8::1/64', '--json']
    const made = JSON.parse((await run(ips)).out) as Made
    t.match(made, { username: 'db-1', password: STRONG, uuid: UUID })
    const [, secret = ''] = /^callback_secret = (\S+)$/m.exec(made.config) ?? []
    t.match(secret, STRONG)
    t.equal(
      made.config,
      `server = https://your-server.example/Fail2Ban-Report\nusername = db-1\npassword = ${made.password}\nuuid = ${made.uuid}\ncallback_secret = ${secret}\n`
    )
    const plain = await run(['client', 'add', 'web-2'])
    t.match(plain.out, /Put the URL that the host reaches this server by behind "server ="/)
    const [first, second] = await stored()
    t.strictSame(first?.ip, ['192.0.2.10', '2001:db8::/64'])
    t.not(first?.uuid, second?.uuid)
    t.not(first?.password, second?.password)
  }
)

t.test('bad names, addresses and URLs, and hosts there are already, are refused', async t => {
  const { run, given, stored } = clients(t)
  await given('web-1')
  for (const [words, error] of [
    [['../web'], { code: 'BAD_NAME' }],
    [['a b'], { code: 'BAD_NAME' }],
    [[''], { code: 'BAD_NAME' }],
    [['x'.repeat(65)], { code: 'BAD_NAME' }],
    [['web-1'], { code: 'CONFLICT', message: /there is a client web-1 already; edit or remove it/ }],
    [['db-1', '--ip', '192.0.2.300'], { code: 'BAD_ADDRESS', message: /192\.0\.2\.300/ }],
    [['db-1', '--ip', '10.0.0.0/33'], { code: 'BAD_ADDRESS' }],
    [['db-1', '--server-url', 'reports.example'], { code: 'BAD_INPUT', message: /--server-url: a URL/ }],
    [['db-1', '--server-url', 'ftp://a.example'], { code: 'BAD_INPUT', message: /--server-url: a URL/ }],
    [['db-1', '--server-url', 'https://u:p@a.example'], { code: 'BAD_INPUT', message: /no user name/ }],
    [[], { code: 'commander.missingArgument' }]
  ] as const)
    t.match((await run(['client', 'add', ...words])).error, error, JSON.stringify(words))
  t.match(await stored(), [{ username: 'web-1' }])
})

t.test('client list shows hosts and where they may sync from, never a hash', async t => {
  const { run, file, given } = clients(t)
  t.equal((await run(['client', 'list'])).out, 'No hosts yet.\n')
  await given()
  const rows = [
    { username: 'web-1', password: '$2y$x', uuid: 'u-1', ip: ['192.0.2.1', '2001:db8::/64'] },
    { username: 'db-1', password: '$2y$x', uuid: 'u-2' }
  ]
  await writeFile(file, JSON.stringify(rows))
  const { out } = await run(['client', 'list'])
  t.match(out, /^web-1 {2}u-1 {3}192\.0\.2\.1, 2001:db8::\/64$/m)
  t.match(out, /^db-1 {3}u-2 {3}anywhere$/m)
  t.notMatch(out, '$2y$')
  t.strictSame(JSON.parse((await run(['client', 'list', '--json'])).out), [
    { username: 'web-1', uuid: 'u-1', ip: ['192.0.2.1', '2001:db8::/64'] },
    { username: 'db-1', uuid: 'u-2', ip: '' }
  ])
})

t.test('client edit changes what it is told to, and nothing else', async t => {
  const { run, stored, given, file } = clients(t)
  await given('web-1', 'db-1')
  const [before, other] = await stored()
  t.match((await run(['client', 'edit', 'web-1'])).error, { code: 'BAD_INPUT', message: /nothing to change/ })

  t.equal((await run(['client', 'edit', 'web-1', '--ip', '192.0.2.1'])).out, 'Host web-1 is changed.\n')
  t.strictSame(await stored(), [{ ...before, ip: '192.0.2.1' }, other])
  await run(['client', 'edit', 'web-1', '--ip', ''])
  t.strictSame(await stored(), [{ ...before, ip: '' }, other])

  const renewed = await run(['client', 'edit', 'web-1', '--renew-password'])
  const password = /^password = (.+)$/m.exec(renewed.out)?.[1] ?? ''
  t.match(password, STRONG)
  t.notMatch(renewed.out, 'uuid')
  const [changed] = await stored()
  t.ok(verifySync(password, changed?.password.replace('$2y$', '$2b$') ?? ''))
  t.equal(changed?.uuid, before?.uuid)

  const uuid = await run(['client', 'edit', 'web-1', '--renew-uuid', '--json'])
  t.match(JSON.parse(uuid.out), { username: 'web-1', uuid: UUID })
  t.notMatch(uuid.out, 'password')
  t.match(await stored(), [{ uuid: UUID, password: changed?.password }, other ?? {}])
  t.equal((await stat(file)).mode & 0o777, 0o600)

  t.match((await run(['client', 'edit', 'eve', '--renew-uuid'])).error, { code: 'NOT_FOUND' })
  t.match((await run(['client', 'edit', 'web-1', '--ip', 'x'])).error, { code: 'BAD_ADDRESS' })
})

t.test('client remove takes the right to sync and leaves the archive', async t => {
  const { run, stored, given, dir } = clients(t)
  await given('web-1', 'db-1')
  await mkdir(join(dir, 'archive', 'web-1'), { recursive: true })
  t.equal(
    (await run(['client', 'remove', 'web-1'])).out,
    'Host web-1 may no longer sync. Its archive was kept.\n'
  )
  t.match(await stored(), [{ username: 'db-1' }])
  t.equal((await stored()).length, 1)
  t.ok((await stat(join(dir, 'archive', 'web-1'))).isDirectory())
  t.match((await run(['client', 'remove', 'web-1'])).error, { code: 'NOT_FOUND' })
})
