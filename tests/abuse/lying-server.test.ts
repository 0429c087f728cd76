import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readClientConfig, type ClientConfig } from '../../client/config/config.js'
import type { CycleResult } from '../../client/cycle/cycle.js'
import { ServerLink } from '../../client/server-link.js'
import { syncOnce } from '../../client/sync.js'
import { parseAddress } from '../../common/address.js'
import type { RunCommand } from '../../common/command.js'
import { execute, BIN } from '../support/installation.js'
import { ownFolder } from '../support/own-folder.js'

const LIST = 'sshd.blocklist.json'
type Answer = (request: IncomingMessage, response: ServerResponse, endpoint: string) => void

/** What a lying server says, and what a host did about it. */
interface Site {
  url: string
  dir: string
  /** What was asked of the server: endpoint and query. */
  asked: string[]
  config(flags?: Record<string, string>): Readonly<ClientConfig>
  cycle(flags?: Record<string, string>, run?: RunCommand): Promise<Cycle>
  inForce(): Promise<string[]>
}

interface Cycle {
  result: CycleResult
  lines: Record<string, unknown>[]
}

const json = (response: ServerResponse, value: unknown, status = 200) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))

/** A server that offers these lists and takes whatever it is sent. */
const offering =
  (lists: Record<string, unknown>): Answer =>
  (request, response, endpoint) => {
    request.resume()
    if (endpoint === 'update') json(response, { success: true, updates: Object.keys(lists) })
    else if (endpoint === 'download') {
      const name = new URL(request.url ?? '', 'http://x').searchParams.get('file') ?? ''
      const list = lists[name]
      if (list === undefined) json(response, { success: false, message: 'no' }, 404)
      else response.writeHead(200).end(typeof list === 'string' ? list : JSON.stringify(list))
    } else json(response, { success: true, message: 'ok', files: [LIST] })
  }

/** A hand-made server on loopback and a host that trusts it. */
async function site(t: Test, answer: Answer): Promise<Site> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const url = request.url ?? ''
    asked.push(url)
    answer(request, response, /endpoint\/(\w+)\.php/.exec(url)?.[1] ?? '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const dir = ownFolder(t, { home: { 'fail2ban.log': '' }, state: {} })
  const conf = join(dir, 'home', 'client.conf')
  await writeFile(conf, `server=${url}\nusername=web-1\npassword=hush-hush-hush\nuuid=u\n`, { mode: 0o600 })
  const config: Site['config'] = (flags = {}) =>
    readClientConfig({
      file: conf,
      env: {},
      flags: {
        log: join(dir, 'home', 'fail2ban.log'),
        state: join(dir, 'state'),
        firewall: 'dry-run',
        timeout: '2',
        ...flags
      }
    })
  return {
    url,
    dir,
    asked,
    config,
    cycle: async (flags, run) => {
      const lines: Record<string, unknown>[] = []
      const result = await syncOnce(config(flags), {
        report: (level, fields) => void lines.push({ level, ...fields }),
        ...(run === undefined ? {} : { run })
      })
      return { result, lines }
    },
    inForce: async () => {
      const file = join(dir, 'state', 'dry-run-firewall.json')
      return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as string[]).sort() : []
    }
  }
}

const block = (...ips: string[]) => ips.map(ip => ({ ip, jail: 'sshd', active: true, pending: true }))

t.test('over-wide networks are not blocked: no wider than /8 and /19, unless set otherwise', async t => {
  const wide = ['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1', '44.0.0.0/7', '::/0', '2000::/3', '2a00::/18']
  const narrow = ['44.0.0.0/8', '2a00:2000::/19']
  const at = await site(t, offering({ [LIST]: block(...wide, ...narrow, '203.0.113.9') }))
  const { result } = await at.cycle()
  t.strictSame(await at.inForce(), ['203.0.113.9', ...narrow].sort())
  t.equal(result.skipped.length, wide.length)
  for (const { reason } of result.skipped)
    t.match(reason, /wider than \/(8|19), the widest network this host/)
  const list = JSON.parse(await readFile(join(at.dir, 'state', 'blocklists', LIST), 'utf8')) as {
    ip: string
    pending: boolean
  }[]
  for (const { ip, pending } of list)
    t.equal(pending, wide.includes(ip), `${ip}: what is not in force stays pending`)

  await at.cycle({ widest4: '24', widest6: '48' })
  t.strictSame(await at.inForce(), ['203.0.113.9'], 'narrower by setting, for what is in force already too')
  await at.cycle({ widest4: '7', widest6: '18' })
  t.strictSame(
    await at.inForce(),
    ['203.0.113.9', ...narrow, '44.0.0.0/7', '2a00::/18']
      .filter(one => one !== '44.0.0.0/8' && one !== '2a00:2000::/19')
      .sort()
  )
})

t.test('the host’s own addresses, loopback, the server’s and the whitelist are not blocked', async t => {
  const own = Object.values(networkInterfaces()).flatMap(list =>
    (list ?? []).map(item => item.address.split('%')[0]!)
  )
  const around = own.filter(ip => ip.includes('.')).map(ip => ip.replace(/\.\d+$/, '.0/24'))
  const loopback = ['127.0.0.1', '127.255.255.254', '127.0.0.0/8', '::1', '::ffff:127.0.0.1', '0.0.0.0', '::']
  const whitelist = ['198.51.100.7', '198.51.100.0/24', '2001:db8::/32', '2001:db8::1']
  const at = await site(
    t,
    offering({ [LIST]: block(...own, ...around, ...loopback, ...whitelist, '203.0.113.9') })
  )
  await at.cycle({ neverBlock: '198.51.100.7,2001:db8::/48' })
  t.strictSame(await at.inForce(), ['203.0.113.9'])
})

const PATHS = [
  '../../home/evil.blocklist.json',
  '..%2f..%2fhome%2fevil.blocklist.json',
  '/etc/cron.d/evil.blocklist.json',
  '..\\evil.blocklist.json',
  'evil\u0000.blocklist.json',
  'a/b.blocklist.json',
  '\u2025/evil.blocklist.json',
  '.blocklist.json',
  'sync.lock',
  'log-state.json',
  'dry-run-firewall.json',
  `${'x'.repeat(250)}.blocklist.json`,
  '$(touch evil).blocklist.json',
  '__proto__',
  ''
]

t.test(
  'names with path tricks are never asked for, and nothing is written outside the own folders',
  async t => {
    const lists = Object.fromEntries(PATHS.map(name => [name, block('203.0.113.66')]))
    const at = await site(t, (request, response, endpoint) => {
      if (endpoint === 'update') {
        request.resume()
        json(response, {
          success: true,
          updates: [...PATHS, LIST],
          restore: ['../../home/client.conf', ...PATHS]
        })
      } else offering({ ...lists, [LIST]: block('203.0.113.9') })(request, response, endpoint)
    })
    const before = await readdir(join(at.dir, 'home'))
    const conf = await readFile(join(at.dir, 'home', 'client.conf'), 'utf8')
    await at.cycle()
    t.strictSame(await at.inForce(), ['203.0.113.9'])
    const downloads = at.asked.filter(url => url.includes('download'))
    t.strictSame(downloads, [`/endpoint/download.php?file=${LIST}`])
    t.strictSame(await readdir(join(at.dir, 'home')), before)
    t.equal(await readFile(join(at.dir, 'home', 'client.conf'), 'utf8'), conf)
    t.strictSame((await readdir(at.dir)).sort(), ['home', 'state'])
    t.strictSame(await readdir(join(at.dir, 'state', 'blocklists')), [LIST])
  }
)

const CODE = [
  '$(touch PLACE)',
  '`touch PLACE`',
  '; touch PLACE',
  '| touch PLACE',
  '\n touch PLACE\n',
  '203.0.113.9 }; include "PLACE"; {',
  '203.0.113.9, 0.0.0.0/0',
  '@PLACE',
  '--file=PLACE',
  "'; require('fs').writeFileSync('PLACE')//"
]

t.test('text from the server is never run, nor does it reach the firewall’s language', async t => {
  const at = await site(t, (request, response, endpoint) => {
    const place = join(at.dir, 'home', 'evil')
    const code = CODE.map(text => text.replaceAll('PLACE', place))
    const entries = [
      ...code.map(ip => ({ ip: ip.slice(0, 64), jail: 'sshd', active: true })),
      ...code.map((text, nr) => ({
        ip: `203.0.113.${nr + 1}`,
        jail: text,
        source: text,
        reason: text,
        tags: [text],
        command: text,
        active: true
      }))
    ]
    offering({ [LIST]: entries })(request, response, endpoint)
  })
  const runs: { words: string; input: string }[] = []
  const run: RunCommand = async (program, args, options) => {
    runs.push({ words: [program, ...args].join(' '), input: options?.input ?? '' })
    const absent = { code: 1, stdout: '', stderr: 'Error: No such file or directory' }
    return args.includes('list') && args.includes('table') ? absent : { code: 0, stdout: '', stderr: '' }
  }
  const { result } = await at.cycle({ firewall: 'nftables' }, run)
  t.equal(result.skipped.length, CODE.length)
  const words = new Set(runs.map(one => one.words))
  for (const one of words)
    t.match(one, /^nft (-j )?(-[cst] )?(list (table inet fail2ban_report|ruleset inet)|-f -)$/)
  const [load = ''] = runs.map(one => one.input).filter(input => input !== '')
  t.notMatch(load, /touch|include|evil|require/)
  const elements = [...load.matchAll(/elements = \{\n([^}]*)\n\}/g)].flatMap(found => found[1]!.split(',\n'))
  t.equal(elements.length, CODE.length)
  for (const one of elements) t.ok(parseAddress(one) === one && one !== '0.0.0.0', one)
  t.notOk(existsSync(join(at.dir, 'home', 'evil')))
})

t.test('hostile text in replies reaches a terminal with its control characters replaced', async t => {
  const evil = '\u001b[2J\u001b]0;x\u0007\u009b31m\u202e\r\nok'
  const at = await site(t, (request, response, endpoint) => {
    request.resume()
    if (endpoint === 'update') json(response, { success: true, updates: [LIST, evil] })
    else if (endpoint === 'download')
      json(response, [
        { ip: evil, active: true },
        { ip: '203.0.113.9', active: true }
      ])
    else if (endpoint === 'syncback')
      json(response, { success: true, files: [evil], errors: [{ file: evil, message: evil }] })
    else json(response, { success: false, message: evil }, 400)
  })
  const words = [
    'sync',
    '--config',
    join(at.dir, 'home', 'client.conf'),
    '--state',
    join(at.dir, 'state'),
    '--log',
    join(at.dir, 'home', 'fail2ban.log'),
    '--firewall',
    'dry-run'
  ]
  for (const more of [[], ['--json']]) {
    const { out, err } = await execute([process.execPath, BIN, ...words, ...more])
    t.match(out + err, /not_an|not an address|not taken back/)
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    t.notMatch(out + err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  }
})

t.test(
  'a list that is a bomb, of a wrong shape or too large is refused, and the old one stays in force',
  async t => {
    let list: unknown = block('203.0.113.9')
    const at = await site(t, (request, response, endpoint) =>
      offering({ [LIST]: list })(request, response, endpoint)
    )
    await at.cycle()
    const rows: [string, unknown][] = [
      ['depth', `[{"ip":"203.0.113.10","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}]`],
      ['width', `[${'{},'.repeat(600_000)}{}]`],
      ['no list', '{"ip":"203.0.113.10"}'],
      ['HTML', '<html><body>502</body></html>'],
      ['half', '[{"ip":"203.0.1'],
      ['nothing', ''],
      ['endless', `[${' '.repeat(65 * 1024 * 1024)}]`]
    ]
    for (const [what, text] of rows) {
      list = text
      const { result } = await at.cycle()
      t.equal(result.failures.length, 1, what)
      t.match(result.failures[0], /sshd\.blocklist\.json|longer than/)
      t.strictSame(await at.inForce(), ['203.0.113.9'], what)
    }
  }
)

t.test('many large lists together are refused before they fill disk and memory', async t => {
  const names = Array.from({ length: 5 }, (_, nr) => `list${nr}.blocklist.json`)
  const large = `[{"ip":"203.0.113.9","active":true}${' '.repeat(60 * 1024 * 1024)}]`
  const at = await site(t, offering(Object.fromEntries(names.map(name => [name, large]))))
  const { result } = await at.cycle()
  t.strictSame(result.downloaded, names.slice(0, 4))
  t.match(result.failures, [/would fill more than 268435456 bytes/])
  t.strictSame(await at.inForce(), ['203.0.113.9'])
})

t.test('redirects are not followed: credentials go to the configured server only', async t => {
  const stolen: string[] = []
  const thief = createServer((request, response) => {
    stolen.push(request.url ?? '')
    request.resume()
    json(response, { success: true, updates: [] })
  })
  thief.listen(0, '127.0.0.1')
  await once(thief, 'listening')
  t.teardown(() => thief.close())
  const port = (thief.address() as AddressInfo).port
  for (const status of [301, 302, 307, 308]) {
    const at = await site(t, (request, response) => {
      request.resume()
      response.writeHead(status, { location: `http://127.0.0.1:${port}/` }).end()
    })
    const { result } = await at.cycle()
    t.equal(result.failures.length, 1, String(status))
  }
  t.strictSame(stolen, [])
})

t.test('a server that drips its reply, or never ends it, cannot hold a cycle for ever', async t => {
  const timers: NodeJS.Timeout[] = []
  t.teardown(() => timers.forEach(clearInterval))
  const rows: Record<string, Answer> = {
    drip: (request, response) => {
      request.resume()
      response.writeHead(200)
      timers.push(setInterval(() => response.write(' '), 20))
    },
    silence: request => void request.resume(),
    'endless headers': (request, response) => {
      request.resume()
      response.socket?.write('HTTP/1.1 200 OK\r\n')
      timers.push(setInterval(() => response.socket?.write('x: y\r\n'), 20))
    },
    '1xx for ever': (request, response) => {
      request.resume()
      timers.push(setInterval(() => response.writeProcessing(), 20))
    }
  }
  for (const [what, answer] of Object.entries(rows)) {
    const at = await site(t, answer)
    const link = new ServerLink({
      ...{ urls: at.config().urls, username: 'web-1', password: 'x', uuid: 'u', caFile: undefined },
      ...{ timeout: 1000, total: 1500, pauses: [1, 1, 1] }
    })
    await t.rejects(link.ask({}), { code: 'NETWORK' }, what)
    await t.rejects(link.ask({}), { code: 'NETWORK' }, `${what}: nor the next request`)
    link.close()
  }
})

t.test('a cycle whose server only drips still keeps the firewall in line with the lists it has', async t => {
  let drip = false
  const timers: NodeJS.Timeout[] = []
  t.teardown(() => timers.forEach(clearInterval))
  const at = await site(t, (request, response, endpoint) => {
    if (!drip) return offering({ [LIST]: block('203.0.113.9') })(request, response, endpoint)
    request.resume()
    timers.push(setInterval(() => response.write(' '), 50))
  })
  await at.cycle()
  await writeFile(join(at.dir, 'state', 'dry-run-firewall.json'), '[]')
  drip = true
  const config = { ...at.config(), timeout: 100 }
  const result = await syncOnce(config, { report: () => undefined })
  t.not(result.failures.length, 0)
  t.strictSame(await at.inForce(), ['203.0.113.9'])
})
