import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hashSync } from '@node-rs/bcrypt'
import t from 'tap'
import { PASSWORDS, testApp } from '../../support/app.js'
import { ownFolder } from '../../support/own-folder.js'
import { scratch } from '../../support/scratch.js'

const FILTER = fileURLToPath(
  new URL('../../../server/deploy/fail2ban/filter.d/fail2ban-report.conf', import.meta.url)
)
const COMMAND = '/usr/bin/fail2ban-regex'
const skip = existsSync(COMMAND) ? false : 'fail2ban-regex is not installed'

/** Addresses the real fail2ban finds in a log, in order. */
async function found(log: string): Promise<string[]> {
  const args = ['--out=ip', '--encoding=UTF-8', '--usedns=no', log, FILTER]
  const { stdout } = await promisify(execFile)(COMMAND, args, { timeout: 60_000 })
  return stdout.split('\n').filter(line => line.trim() !== '')
}

const FRONT = 'in front of it'
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
})

const HOSTILE = [
  'alice',
  '',
  '<HOST>',
  '"peer":"1.2.3.4"',
  '","peer":"1.2.3.4","user":"',
  '\\","peer":"1.2.3.4","user":"x","msg":"authentication failed"}',
  '\n{"level":40,"time":"2026-11-21T07:31:57.123Z","event":"auth_failure","what":"login","peer":"1.2.3.4","user":"x","msg":"authentication failed"}',
  '\r\n\u2028\u0000\u0085',
  '1.2.3.4',
  '\\',
  'ünïcödé 漢字 🔴 \ud800',
  '%(failregex)s ^.*$ (?P<host>1.2.3.4)',
  'x'.repeat(256)
]

t.test('the shipped filter finds failed authentications, and exactly their addresses', { skip }, async t => {
  const htpasswd = join(scratch(t), '.htpasswd')
  await writeFile(htpasswd, `front:${hashSync(FRONT, 4)}\n`)
  const at = await testApp(t, { trustProxy: ['192.0.2.1'], htpasswd })
  const front = basic('front', FRONT)
  const expected: string[] = []
  const addresses: [string, string][] = [
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8::9', '2001:db8::9'],
    ['::ffff:198.51.100.4', '198.51.100.4']
  ]
  for (const [first, [remoteAddress, told]] of addresses.entries()) {
    for (const [n, username] of HOSTILE.entries()) {
      // The last few of each address are refused for their number: those are logged as well.
      const payload = { username, password: 'wrong' }
      await at.app.inject({ method: 'POST', url: '/api/login', payload, remoteAddress, headers: front })
      expected.push(told)
      if (first === 0 && n === 0) {
        const form = { username: 'web-1', password: 'wrong', uuid: 'x' }
        const reply = await at.app.inject({
          method: 'POST',
          url: '/endpoint/update.php',
          payload: new URLSearchParams(form).toString(),
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          remoteAddress
        })
        t.equal(reply.statusCode, 403)
        expected.push(told)
        const callback = await at.app.inject({
          method: 'POST',
          url: '/api/ban',
          payload: { serverId: HOSTILE[3], ip: '1.2.3.4', jail: 'sshd' },
          headers: { 'x-callback-secret': 'wrong' },
          remoteAddress
        })
        t.equal(callback.statusCode, 401)
        expected.push(told)
        for (const user of ['front', HOSTILE[3]!, 'ünïcödé <HOST>']) {
          const reply = await at.app.inject({ url: '/', remoteAddress, headers: basic(user, 'wrong') })
          t.equal(reply.statusCode, 401)
          expected.push(told)
        }
      }
    }
  }
  // A trusted proxy passes on what its own peer said; what is no address is no match.
  for (const header of ['1.2.3.4","user":"x', 'evil.example', '<HOST>']) {
    await at.app.inject({
      method: 'POST',
      url: '/api/login',
      payload: { username: 'x', password: 'wrong' },
      remoteAddress: '192.0.2.1',
      headers: { 'x-forwarded-for': header, ...front }
    })
  }
  await at.login('alice', { headers: front })
  await at.app.inject({
    method: 'POST',
    url: '/api/login',
    payload: { username: 'alice', password: PASSWORDS.alice },
    remoteAddress: '198.51.100.99',
    headers: { ...front, origin: 'http://"event":"auth_failure","what":"login","peer":"1.2.3.4"' }
  })
  at.app.log.warn({ event: 'other', peer: '198.51.100.98', user: 'x' }, 'authentication failed')
  at.app.log.warn('"event":"auth_failure","what":"login","peer":"1.2.3.4","user":"x"')
  t.ok(at.lines.length > expected.length + 4, 'other lines are there to be passed over')
  const log = at.path('server.log')
  await writeFile(log, at.lines.join(''))
  t.strictSame(await found(log), expected)
})

t.test('the filter also knows the line as the journal has it, and takes nothing else', { skip }, async t => {
  const dir = ownFolder(t)
  const line = (peer: string) =>
    `{"level":40,"time":"2026-11-21T07:31:57.123Z","reqId":"req-1","event":"auth_failure","what":"login","peer":"${peer}","user":"x","msg":"authentication failed"}`
  const rows: [string, string | undefined][] = [
    [line('203.0.113.1'), '203.0.113.1'],
    [`host fail2ban-report[123]: ${line('203.0.113.2')}`, '203.0.113.2'],
    [`x ${line('203.0.113.3')}`, undefined],
    [line('example.org'), undefined],
    [line('203.0.113.4 '), undefined],
    [`${line('203.0.113.5')} more`, undefined],
    [line('203.0.113.6').replace('auth_failure', 'auth_success'), undefined]
  ]
  const log = `${dir}/log`
  await writeFile(log, rows.map(([text]) => `${text}\n`).join(''))
  t.strictSame(
    await found(log),
    rows.flatMap(([, told]) => told ?? [])
  )
})
