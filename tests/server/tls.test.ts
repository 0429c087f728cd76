import { chmod, copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import pino from 'pino'
import t from 'tap'
import { WebSocket } from 'ws'
import { Tls } from '../../server/tls.js'
import { checkPlainHttp } from '../../server/plain-http.js'
import type { ServerConfig } from '../../server/config.js'
import { makeCertificate, NO_OPENSSL as skip } from '../support/certificates.js'
import { scratch } from '../support/scratch.js'
import { cookieOf, PASSWORDS, testApp, type TestApp } from '../support/app.js'
import { ownFolder } from '../support/own-folder.js'

/** A TLS connection and whose certificate it showed; the connection stays open. */
async function connection(at: TestApp, more: object = {}): Promise<{ socket: TLSSocket; shown: string }> {
  const { port } = at.app.server.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...more })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  return { socket, shown: String(socket.getPeerCertificate().subject.CN) }
}

async function shown(at: TestApp): Promise<string> {
  const { socket, shown } = await connection(at)
  socket.destroy()
  return shown
}

t.test(
  'it speaks HTTPS itself: TLS 1.2 at least, HSTS, secure cookies, and the live channel',
  { skip },
  async t => {
    const { cert, key, ca } = makeCertificate(scratch(t), 'one')
    const at = await testApp(t, { tlsCert: cert, tlsKey: key })
    const url = await at.app.listen({ host: '127.0.0.1', port: 0 })
    t.match(url, /^https:/)
    const authority = await readFile(ca, 'utf8')
    const body = JSON.stringify({ username: 'alice', password: PASSWORDS.alice })
    const reply = await new Promise<{ status?: number; headers: NodeJS.Dict<string | string[]> }>(
      (resolve, reject) => {
        const headers = { 'content-type': 'application/json', origin: url }
        const asked = request(
          `${url}/api/login`,
          { method: 'POST', ca: authority, headers, agent: false },
          response => {
            response.resume()
            resolve({ status: response.statusCode ?? 0, headers: response.headers })
          }
        )
        asked.on('error', reject)
        asked.end(body)
      }
    )
    t.equal(reply.status, 200)
    t.equal(reply.headers['strict-transport-security'], 'max-age=31536000')
    const cookie = String(reply.headers['set-cookie'])
    t.match(cookie, /; Secure/)
    const socket = new WebSocket(`${url.replace('https', 'wss')}/api/ws`, {
      ca: authority,
      headers: { cookie: cookieOf({ headers: reply.headers } as never) ?? '', origin: url }
    })
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    socket.terminate()

    await t.rejects(
      connection(at, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' })
    )
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const { socket } = await connection(at, { minVersion: version, maxVersion: version })
      t.equal(socket.getProtocol(), version)
      socket.destroy()
    }
  }
)

t.test('files that change are taken into use; halves and rubbish are not', { skip }, async t => {
  const dir = ownFolder(t, { live: {}, archive: {} })
  const live = { cert: join(dir, 'live/fullchain.pem'), key: join(dir, 'live/privkey.pem') }
  // As certbot keeps them: links that are turned.
  const turn = async (name: 'cert' | 'key', to: string) => {
    await rm(`${live[name]}.new`, { force: true })
    await symlink(to, `${live[name]}.new`)
    await rename(`${live[name]}.new`, live[name])
  }
  const one = makeCertificate(join(dir, 'archive'), 'one')
  const two = makeCertificate(join(dir, 'archive'), 'two')
  await turn('cert', one.cert)
  await turn('key', one.key)
  const lines: Record<string, unknown>[] = []
  const logger = pino({}, { write: line => void lines.push(JSON.parse(line) as Record<string, unknown>) })
  const events = () =>
    lines.splice(0).map(({ event, message }) => [event, message].filter(one => one !== undefined))
  const tls = await Tls.open(live.cert, live.key, logger)
  const times = { keepAliveTimeout: 1000, requestTimeout: 1000, connectionTimeout: 1000 }
  const server = tls.factory({}, times)((_request, response) => void response.end(), {})
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const at = { app: { server } } as TestApp
  t.equal(await shown(at), 'one')
  await tls.look()
  t.strictSame(events(), [], 'nothing has changed')

  const old = await connection(at)
  await turn('cert', two.cert)
  await tls.look()
  await tls.look()
  t.match(events(), [['tls_reload_failed', /is not the key of the certificate/]], 'half of it: told once')
  t.equal(await shown(at), 'one')
  await turn('key', two.key)
  await tls.look()
  t.strictSame(events(), [['tls_reloaded']])
  t.equal(await shown(at), 'two')
  t.notOk(old.socket.destroyed, 'connections go on')
  old.socket.destroy()

  await rm(live.key)
  await tls.look()
  await tls.look()
  t.match(events(), [['tls_reload_failed', /--tls-key .* can't be read \(ENOENT\)/]])
  await writeFile(live.key, 'rubbish')
  await tls.look()
  t.match(events(), [['tls_reload_failed', /it holds no private key in PEM/]])
  t.equal(await shown(at), 'two')
  await rm(live.key)
  await copyFile(two.key, live.key)
  await tls.look()
  t.strictSame(events(), [], 'the same again is nothing new')
  await copyFile(one.key, live.key)
  await rm(live.cert)
  await copyFile(one.cert, live.cert)
  tls.watch(5)
  t.teardown(() => tls.stop())
  while ((await shown(at)) !== 'one') await new Promise(resolve => setImmediate(resolve))
  t.strictSame(events(), [['tls_reloaded']], 'it looks by itself')
  const { socket } = await connection(at, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
  socket.destroy()
  await t.rejects(connection(at, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }))
})

t.test('what is wrong with the files is named at the start, without a word of the key', { skip }, async t => {
  const dir = scratch(t)
  await mkdir(join(dir, 'folder'))
  await writeFile(join(dir, 'rubbish.pem'), 'rubbish')
  await writeFile(join(dir, 'empty.pem'), '')
  const one = makeCertificate(dir, 'one')
  const two = makeCertificate(dir, 'two')
  const locked = join(dir, 'locked.pem')
  execFileSync('openssl', ['pkey', '-in', one.key, '-aes256', '-passout', 'pass:x', '-out', locked], {
    stdio: 'pipe'
  })
  const broken = join(dir, 'broken.pem')
  const key = await readFile(one.key, 'utf8')
  await writeFile(broken, key.replace(/(?<=KEY-----\n).{20}/, 'A'.repeat(20)))
  const at = (name: string) => join(dir, name)
  const cases: [string, string, RegExp][] = [
    [one.cert, '', /--tls-key is missing: HTTPS needs both/],
    ['', one.key, /--tls-cert is missing: HTTPS needs both/],
    [
      '/nowhere.pem',
      one.key,
      /--tls-cert \/nowhere\.pem can't be read \(ENOENT\); the user the server runs as/
    ],
    [one.cert, at('folder'), /--tls-key .*folder can't be read \(EISDIR\)/],
    [at('rubbish.pem'), one.key, /--tls-cert .*rubbish\.pem: it holds no certificate in PEM/],
    [one.key, one.key, /--tls-cert .*one\.key: it holds no certificate in PEM/],
    [one.cert, at('empty.pem'), /--tls-key .*empty\.pem: it holds no private key in PEM/],
    [one.cert, one.cert, /--tls-key .*one\.pem: it holds no private key in PEM/],
    [one.cert, broken, /--tls-key .*broken\.pem: it holds no private key in PEM/],
    [one.cert, locked, /its key is encrypted; write it without a passphrase/],
    [one.cert, two.key, /--tls-key .*two\.key is not the key of the certificate .*one\.pem/]
  ]
  for (const [tlsCert, tlsKey, message] of cases) {
    const error: unknown = await testApp(t, { tlsCert, tlsKey }).catch((thrown: unknown) => thrown)
    t.match(error, { code: 'CONFIG', message }, `${tlsCert} ${tlsKey}`)
    t.notMatch((error as Error).message, key.split('\n')[1])
  }
  if (process.getuid?.() !== 0) {
    await chmod(one.key, 0)
    await t.rejects(testApp(t, { tlsCert: one.cert, tlsKey: one.key }), { message: /EACCES/ })
  }
})

t.test('a certificate that has ended is used, and told of', { skip }, async t => {
  const { cert, key } = makeCertificate(scratch(t), 'ended', [], -1)
  const at = await testApp(t, { tlsCert: cert, tlsKey: key })
  t.match(at.lines.join(''), /"event":"tls_not_valid"/)
})

t.test('plain HTTP leaves the machine only where it is told to, with a warning', async t => {
  const config = (more: Partial<ServerConfig>) =>
    ({ host: '127.0.0.1', tlsCert: '', tlsKey: '', plainHttp: false, ...more }) as ServerConfig
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
    t.equal(await checkPlainHttp(config({ host })), undefined, host)
  for (const host of ['0.0.0.0', '::', '192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1', 'fe80::1']) {
    const message = /--host .*plain HTTP.*--tls-cert and --tls-key.*proxy.*--plain-http yes/
    await t.rejects(checkPlainHttp(config({ host })), { code: 'CONFIG', message }, host)
    t.match(await checkPlainHttp(config({ host, plainHttp: true })), /Plain HTTP on/, host)
    t.equal(await checkPlainHttp(config({ host, tlsCert: '/x', tlsKey: '/y' })), undefined, host)
  }
  await t.rejects(checkPlainHttp(config({ host: 'no-such-name.invalid' })), { message: /has no address \(E/ })
})
