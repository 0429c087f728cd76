import { Command } from 'commander'
import t from 'tap'
import {
  addFlags,
  flagOf,
  readSettings,
  refuseUnknownEnv,
  setsAnything,
  setting
} from '../../common/settings.js'

const TABLE = {
  host: setting.host({ describe: 'address', fallback: '127.0.0.1' }),
  port: setting.integer({ describe: 'port', fallback: 8080, least: 0, most: 65535 }),
  basePath: setting.text({ describe: 'path', fallback: '/' }, 'PATH'),
  archive: setting.path({ describe: 'folder', fallback: '/a' }),
  mode: setting.oneOf(['merge', 'overwrite'], { describe: 'mode', fallback: 'merge' }),
  trustProxy: setting.addresses({ describe: 'proxies', fallback: [] }),
  link: setting.url({ describe: 'URL', fallback: '' }),
  password: { ...setting.text({ describe: 'secret', fallback: '' }), secret: true as const }
}
const read = (flags = {}, env = {}, file?: Record<string, string>) =>
  readSettings(TABLE, {
    flags,
    env,
    ...(file === undefined ? {} : { file: { name: 'x.conf', values: new Map(Object.entries(file)) } })
  })

t.test('what nobody says is the fallback, in a frozen object', async t => {
  const values = read()
  t.strictSame(values, {
    host: '127.0.0.1',
    port: 8080,
    basePath: '/',
    archive: '/a',
    mode: 'merge',
    trustProxy: [],
    link: '',
    password: ''
  })
  t.ok(Object.isFrozen(values))
})

t.test('flags go over environment, environment over file, file over fallback', async t => {
  const file = { port: '1', base_path: '/file', archive: '/file', mode: 'overwrite' }
  const env = { F2BR_PORT: '2', F2BR_BASE_PATH: '/env', PORT: '9' }
  t.match(read({ port: '3' }, env, file), {
    port: 3,
    basePath: '/env',
    archive: '/file',
    mode: 'overwrite',
    host: '127.0.0.1'
  })
})

t.test('one name makes flag, environment variable and key', async t => {
  t.equal(flagOf('trustProxy'), 'trust-proxy')
  t.strictSame(read({ trustProxy: '10.0.0.0/8' }).trustProxy, ['10.0.0.0/8'])
  t.strictSame(read({}, { F2BR_TRUST_PROXY: '10.0.0.1 ::1' }).trustProxy, ['10.0.0.1', '::1'])
  t.strictSame(read({}, {}, { trust_proxy: '10.0.0.1,::1,' }).trustProxy, ['10.0.0.1', '::1'])
})

t.test('a bad value names the setting, where it stands, and what is allowed', async t => {
  const bad: [flags: object, env: object, file: Record<string, string> | undefined, message: RegExp][] = [
    [{ port: '70000' }, {}, undefined, /--port: a whole number from 0 to 65535/],
    [{ port: '1e3' }, {}, undefined, /--port: a whole number/],
    [{ port: '-1' }, {}, undefined, /--port: a whole number/],
    [{ port: '' }, {}, undefined, /--port: a whole number/],
    [{}, { F2BR_MODE: 'both' }, undefined, /F2BR_MODE: one of merge, overwrite/],
    [{}, {}, { mode: 'constructor' }, /mode in x\.conf: one of merge, overwrite/],
    [{ host: 'a b' }, {}, undefined, /--host: an address or host name/],
    [{ host: '' }, {}, undefined, /--host: an address or host name/],
    [{ basePath: 'a\nb' }, {}, undefined, /--base-path: no control characters/],
    [{ archive: '' }, {}, undefined, /--archive: a path is needed/],
    [{ archive: 'a\0b' }, {}, undefined, /--archive: a path is needed/],
    [{}, { F2BR_TRUST_PROXY: '10.0.0.1, all' }, undefined, /F2BR_TRUST_PROXY: addresses or networks/],
    [{ link: 'javascript:alert(1)' }, {}, undefined, /--link: a URL that starts with https/],
    [{ link: 'https://a:b@c' }, {}, undefined, /--link: no user name or password/],
    [{}, {}, { colour: 'red' }, /colour in x\.conf: there is no such setting; the nearest is host/]
  ]
  for (const [flags, env, file, message] of bad)
    t.throws(() => read(flags, env, file), { code: 'CONFIG', message })
})

t.test('good values of each kind', async t => {
  t.match(read({ host: '::1', archive: '/x/../y', link: 'https://reports.example/x' }), {
    host: '::1',
    archive: '/y',
    link: 'https://reports.example/x'
  })
  t.match(read({ host: 'reports.example' }), { host: 'reports.example' })
})

t.test('a secret is no flag, and never in an error', async t => {
  t.equal(read({ password: 'argv' }).password, '')
  t.equal(read({}, { F2BR_PASSWORD: 'env' }).password, 'env')
  try {
    read({}, { F2BR_PASSWORD: 'hunter2\n' })
    t.fail('refused')
  } catch (error) {
    t.match(String(error), /F2BR_PASSWORD/)
    t.notMatch(String(error), /hunter2/)
  }
})

t.test('flags are added to a command, secrets are not', async t => {
  const command = addFlags(new Command('serve'), TABLE)
  const help = command.helpInformation()
  t.match(help, /--trust-proxy <IP,CIDR,…>\s+proxies \[env:\s+F2BR_TRUST_PROXY\]/)
  t.notMatch(help, /password/i)
  command.parse(['--base-path', '/x', '--port', '1'], { from: 'user' })
  t.match(read(command.opts()), { basePath: '/x', port: 1 })
})

t.test('a variable of ours that names no setting is refused, and the nearest one is named', async t => {
  const other = { logFile: setting.path({ describe: 'file', fallback: '' }) }
  const check = (env: Record<string, string>) => refuseUnknownEnv(env, [TABLE, other], ['config'])
  const known = { F2BR_PORT: '1', F2BR_LOG_FILE: '/x', F2BR_CONFIG: 'y', F2BR_PASSWORD: 'z', PORT: '1' }
  t.doesNotThrow(() => check(known))
  t.ok(setsAnything(known))
  t.notOk(setsAnything({ PORT: '1', XF2BR_PORT: '1' }))
  for (const [name, meant] of [
    ['F2BR_PROT', 'F2BR_PORT'],
    ['F2BR_LOGFILE', 'F2BR_LOG_FILE'],
    ['F2BR_TRUSTED_PROXY', 'F2BR_TRUST_PROXY'],
    ['F2BR_CONFIGURATION', 'F2BR_CONFIG'],
    ['F2BR_port', 'F2BR_PORT']
  ] as const) {
    const message = new RegExp(`${name}: there is no such setting; the nearest is ${meant}$`)
    t.throws(() => check({ ...known, [name]: 'hunter2' }), { code: 'CONFIG', message })
  }
})

t.test('an allow-list: nobody by its own word only, never by an empty text', async t => {
  const table = { allow: setting.allowList({ describe: 'who may come' }) }
  const read = (text?: string) =>
    readSettings(table, { flags: text === undefined ? {} : { allow: text }, env: {} }).allow
  t.equal(read(), undefined)
  t.strictSame(read('none'), [])
  t.strictSame(read('10.1.2.3/8, ::ffff:192.0.2.1 2001:DB8::/32'), [
    '10.0.0.0/8',
    '192.0.2.1',
    '2001:db8::/32'
  ])
  for (const bad of ['', ' ', ',', 'none,10.0.0.1', '10.1', 'example.org', '10.0.0.0/33'])
    t.throws(
      () => read(bad),
      { code: 'CONFIG', message: /^Bad setting: --allow: addresses or networks/ },
      bad
    )
})
