import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { request } from 'undici'
import { NO_APACHE } from '../support/apache.js'
import { PASSWORDS } from '../support/app.js'
import { behindApache, SET_UPS, type BehindApache } from '../support/behind-apache.js'
import { browserOf, NO_BROWSER, open } from '../support/browser.js'
import { execute } from '../support/installation.js'
import { logged } from '../support/logged.js'
import { NO_OLD_CLIENT, oldClientCycle } from '../support/old-client.js'
import { watchOn } from '../support/watching-host.js'

const skip = NO_APACHE || NO_OLD_CLIENT
const LIST = ['--server', 'web-1', '--jail', 'sshd']
const MEGABYTES_20 = 20 * 1024 * 1024

/** GET by Apache. @param path below the base path */
async function get({ agent, url }: BehindApache, path: string, headers: Record<string, string> = {}) {
  const { statusCode: status, headers: got, body } = await request(url + path, { dispatcher: agent, headers })
  return { status, location: got.location, text: await body.text() }
}

const curl = async ({ ca }: BehindApache, ...args: string[]) => {
  const ended = await execute(['curl', '-sS', '--cacert', ca, '-w', '\n%{http_code}', ...args])
  const lines = ended.out.split('\n')
  return { status: Number(lines.pop()), text: lines.join('\n') + ended.err }
}

const logIn = (password: string, ...more: string[]) => [
  ...['-H', 'content-type: application/json', '-d', JSON.stringify({ username: 'alice', password })],
  ...more
]

/** Our client waits on the wake channel, and has a block in force at once: unwoken it would come in an hour. */
async function wakes(t: Test, { at, ca }: BehindApache, ip: string): Promise<void> {
  await writeFile(at.path('fail2ban.log'), '')
  await writeFile(at.path('client.log'), '')
  const config = await readFile(at.path('client.conf'), 'utf8')
  await writeFile(at.path('client.conf'), `${config}\nca_file = ${ca}\n`)
  const client = watchOn(at)
  t.teardown(() => void client.kill('SIGKILL'))
  await logged(at.dir, at.path('client.log'), /"event":"wake_channel","state":"open"/)
  await logged(at.dir, at.path('client.log'), /"step":"synced-back"/)
  const begun = performance.now()
  await at.cli(['block', ip, ...LIST, ...at.folders])
  await logged(at.path('state'), at.path('state', 'dry-run-firewall.json'), new RegExp(`"${ip}\\b`))
  t.comment(`in force ${Math.round(performance.now() - begun)} ms after the command began`)
  const ended = once(client, 'exit')
  client.kill('SIGTERM')
  t.strictSame(await ended, [0, null])
}

for (const setUp of SET_UPS) {
  t.test(`${setUp}: WebSockets work where Apache has mod_proxy_wstunnel, too`, { skip }, async t => {
    const behind = await behindApache(t, setUp, undefined, ['proxy_wstunnel'])
    await behind.at.addHost('web-1')
    await wakes(t, behind, '203.0.113.1')
  })

  t.test(`${setUp}: everything works below a path of an Apache with TLS`, { skip }, async t => {
    const behind = await behindApache(t, setUp)
    const { at, apache, url } = behind

    t.match(await apache.configtest(), { code: 0, err: /Syntax OK/ })
    t.match(
      await get(behind, '?view=events'),
      { status: 301, location: /\/Fail2Ban-Report\/\?view=events$/ },
      'the path without its slash'
    )
    const page = await get(behind, '/')
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!)
    t.ok(assets.length >= 2)
    for (const path of assets) t.equal((await get(behind, `/${path.replace(/^\.\//, '')}`)).status, 200, path)
    t.match(await get(behind, '/healthz'), { status: 200, text: '{"status":"ok"}' })
    t.match(await get(behind, '/../index.html'), { text: 'another page of this site' })
    t.equal((await get(behind, 's/')).status, 404, 'nothing else of the site is ours')
    t.equal((await request(`${behind.plainUrl}/healthz`)).statusCode, 403, 'no password goes over plain HTTP')

    // The bash client, and one file of 20 MB.
    const old = await at.addHost('web-1')
    await at.cli(['block', '203.0.113.1', ...LIST, ...at.folders])
    const cycle = await oldClientCycle(`${url}/endpoint`, old, at.dir, behind.ca)
    t.equal(cycle.code, 0, cycle.err)
    t.match(await at.list('web-1', 'sshd'), [{ ip: '203.0.113.1', active: true, pending: false }])
    const event = '{"timestamp":"2026-03-02 10:00:00,123","action":"Ban","ip":"192.0.2.1","jail":"sshd"}'
    const events = Array.from({ length: Math.floor(MEGABYTES_20 / event.length) - 1 }, () => event)
    const large = at.path('fail2ban-events-20260302.json')
    await writeFile(large, `[${events.join()}]`)
    const who = Object.entries(old).filter(([name]) => ['username', 'password', 'uuid'].includes(name))
    const fields = who.flatMap(([name, value]) => ['-F', `${name}=${value}`])
    const sent = await curl(behind, ...fields, '-F', `file=@${large}`, `${url}/endpoint/index.php`)
    t.match(sent, { status: 200, text: /Events file stored/ })

    await wakes(t, behind, '203.0.113.2')

    // A server that was away is asked again at once.
    await at.stop()
    t.equal((await get(behind, '/healthz')).status, 503)
    await behind.serveAgain()
    t.equal((await get(behind, '/healthz')).status, 200)
  })

  t.test(`${setUp}: the client's own address counts, and no other that it names`, { skip }, async t => {
    const behind = await behindApache(t, setUp)
    const { at, url } = behind
    const FORGED = ['-H', 'X-Forwarded-For: 127.0.0.2', '-H', 'Forwarded: for=127.0.0.2']
    const from = ['127.0.0.1', '127.0.0.3', '127.0.0.4']
    for (const peer of from) {
      const wrong = [...FORGED, ...logIn('wrong'), `${url}/api/login`]
      t.equal((await curl(behind, '--interface', peer, ...wrong)).status, 401)
      await at.logged(new RegExp(`"auth_failure".*"peer":"${peer}"`))
    }
    t.notMatch(at.log, /127\.0\.0\.2/)

    const added = await at.cli(['client', 'add', 'web-1', '--ip', '127.0.0.2', '--json', ...at.folders])
    const { password, uuid } = JSON.parse(added.out) as { password: string; uuid: string }
    const data = ['-d', 'username=web-1', '-d', `password=${password}`, '-d', `uuid=${uuid}`]
    const ask = (peer: string, base: string, ...more: string[]) =>
      curl(behind, '--interface', peer, ...data, ...more, `${base}/endpoint/update.php`)
    t.equal((await ask('127.0.0.2', url)).status, 200, 'a restricted host comes through')
    for (const peer of from) {
      const refused = { status: 403, text: /ip mismatch/ }
      t.match(await ask(peer, url, ...FORGED), refused, `by Apache, from ${peer}`)
      if (peer !== '127.0.0.1')
        t.match(await ask(peer, behind.backend, ...FORGED), refused, `past it, ${peer}`)
    }

    // Neither may another host or scheme be named.
    const lies = ['-H', 'X-Forwarded-Host: evil.example', '-H', 'X-Forwarded-Proto: http']
    const origin = (host: string) => ['-H', `Origin: ${host}`]
    const good = logIn(PASSWORDS.alice, ...lies, '-i')
    t.match(await curl(behind, ...good, ...origin('https://evil.example'), `${url}/api/login`), {
      status: 403
    })
    const own = await curl(behind, ...good, ...origin(new URL(url).origin), `${url}/api/login`)
    t.equal(own.status, 200)
    t.match(
      own.text,
      /^set-cookie: f2br_session=[^;]+; Path=\/Fail2Ban-Report; HttpOnly; Secure; SameSite=Strict/im
    )
    t.match(own.text, /^strict-transport-security: /im)
  })

  t.test(`${setUp}: a browser logs in and hears what happens`, { skip: skip || NO_BROWSER }, async t => {
    const behind = await behindApache(t, setUp)
    const { at } = behind
    await at.addHost('web-1')
    await at.cli(['block', '203.0.113.1', ...LIST, ...at.folders])
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, 'view=blocklists&server=web-1', null, {
      ignoreHTTPSErrors: true
    })
    const [socket] = await Promise.all([
      page.waitForEvent('websocket', socket => socket.url().endsWith('/Fail2Ban-Report/api/ws')),
      (async () => {
        await page.locator('[name=username]').fill('alice')
        await page.locator('[name=password]').fill(PASSWORDS.alice)
        await page.locator('form:has([name=username]) button[type=submit]').click()
      })()
    ])
    await page.getByText('203.0.113.1').first().waitFor()
    const [cookie] = await page.context().cookies()
    t.match(cookie, { secure: true, httpOnly: true, path: '/Fail2Ban-Report', sameSite: 'Strict' })
    const heard = socket.waitForEvent('framereceived', ({ payload }) =>
      payload.toString().includes('blocklist_changed')
    )
    await at.cli(['block', '203.0.113.2', ...LIST, ...at.folders])
    await heard
    await page.getByText('203.0.113.2').first().waitFor()
    t.strictSame(complaints, [])
  })
}

// As the site's file says it, with the comment signs taken away.
const uncommented = (text: string) => text.replace(/^( {4})?#(?=<| {4}( {4})?[\w<]|Require ip)/gm, '$1')
const AUTH_MODULES = ['authn_core', 'authn_file', 'auth_basic', 'authz_user']
const VISITOR = { authorization: `Basic ${Buffer.from('visitor:come in').toString('base64')}` }

/** Everything that the site's file has prepared is switched on. @param from who may come at all */
async function guarded(t: Test, from: string) {
  const passwords = join(t.testdirName, 'htpasswd')
  const edit = (text: string) =>
    uncommented(text)
      .replace('/etc/apache2/fail2ban-report.htpasswd', passwords)
      .replace('Require ip 192.0.2.0/24 2001:db8::/32', from)
  const behind = await behindApache(t, 'site snippet', edit, AUTH_MODULES)
  const conf = await readFile(behind.at.path('fail2ban-report.conf'), 'utf8')
  for (const line of ['AuthMerging And', 'Require valid-user', from].filter(Boolean))
    t.match(conf, new RegExp(`^ *${line}$`, 'm'), 'is switched on')
  await writeFile(passwords, `visitor:${hashSync('come in', 4).replace('$2b$', '$2y$')}\n`)
  return behind
}

/** What the password keeps strangers from, and what it must not. */
const DASHBOARD = ['/', '/api/session', '/api/login', '/api/ws', '/api/bans', '/healthzx', '/metrics/x']
const PROGRAMS = ['/endpoint/update.php', '/api/v1/whitelist/plain', '/api/ban', '/api/unban', '/metrics']
/** The page and a file of it, where a stranger would see 200. */
const DETOURS = [
  ...[
    '/endpoint/..',
    '/endpoint/../',
    '/endpoint/%2e%2e/',
    '/endpoint/.%2e/',
    '/endpoint/..%2f',
    '/metrics/../'
  ],
  ...['/endpoint/..%5c', '/endpoint/..;/', '/api/v1/../../', '/api/v1/%2e%2e/%2e%2e/index.html', '//', '/./'],
  ...[
    '/endpoint/%252e%252e/',
    '/index.html?/endpoint/',
    '/index.html%3f/metrics',
    '/?/Fail2Ban-Report/metrics'
  ]
]

for (const [name, from] of [
  ['a password of Apache’s', ''],
  ['a password and a list with the peer', 'Require ip 192.0.2.0/24 127.0.0.1']
] as const)
  t.test(
    `site snippet: ${name} keeps strangers from the dashboard, no host from the endpoints`,
    {
      skip
    },
    async t => {
      const behind = await guarded(t, from)
      const { at, url } = behind
      for (const path of DASHBOARD)
        t.match(await get(behind, path), { status: 401, text: /Unauthorized/ }, path)
      const wrong = { authorization: `Basic ${Buffer.from('visitor:wrong').toString('base64')}` }
      t.match(await get(behind, '/', wrong), { status: 401, text: /Unauthorized/ })
      t.match(await get(behind, '/', VISITOR), { status: 200, text: /<!doctype html>/ })
      t.match(await get(behind, '/api/session', VISITOR), { status: 401, text: /Log in first/ })
      t.equal((await get(behind, '/healthz')).status, 200)
      t.equal((await request(`${behind.plainUrl}/healthz`)).statusCode, 403, 'still by TLS only')

      // No other way to write a path makes one of the dashboard's one of theirs.
      for (const path of DETOURS) {
        const { status } = await curl(behind, '--path-as-is', url + path)
        t.ok([400, 401, 403, 404].includes(status), `${path}: ${status}`)
      }

      for (const path of PROGRAMS) t.notMatch((await get(behind, path)).text, /Unauthorized/, path)
      const host = await at.addHost('web-1')
      const cycle = await oldClientCycle(`${url}/endpoint`, host, at.dir, behind.ca)
      t.equal(cycle.code, 0, cycle.err)
      const basic = ['-u', `web-1:${host.password}`, '-H', `X-Client-UUID: ${host.uuid}`]
      t.match(await curl(behind, ...basic, `${url}/api/v1/whitelist/plain`), { status: 200, text: /^#/ })
      t.match(await curl(behind, '-d', '{}', `${url}/api/ban`), { text: /"success":false/ })
      const key = JSON.parse((await at.cli(['key', 'add', 'prometheus', '--json', ...at.folders])).out) as {
        secret: string
      }
      t.match(await get(behind, '/metrics', { authorization: `Bearer ${key.secret}` }), {
        status: 200,
        text: /^# HELP /
      })
    }
  )

t.test(
  'site snippet: who is not on the list gets nothing, with the password or without',
  { skip },
  async t => {
    const behind = await guarded(t, 'Require ip 192.0.2.0/24 2001:db8::/32')
    for (const path of [...DASHBOARD, ...PROGRAMS, '/healthz'])
      for (const headers of [{}, VISITOR])
        t.match(await get(behind, path, headers), { status: 403, text: /Forbidden/ }, path)
    // Another on the same machine is on no list that names the one before.
    const one = await guarded(t, 'Require ip 127.0.0.1')
    const refused = ['--interface', '127.0.0.3', '-u', 'visitor:come in', '-H', 'X-Forwarded-For: 127.0.0.1']
    for (const path of ['/', '/metrics']) t.equal((await curl(one, ...refused, one.url + path)).status, 403)
  }
)
