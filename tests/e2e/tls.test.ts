import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t from 'tap'
import { makeCertificate, NO_OPENSSL } from '../support/certificates.js'
import { BIN, execute, Installation } from '../support/installation.js'
import { logged } from '../support/logged.js'
import { ownFolder } from '../support/own-folder.js'
import { asUsersDo } from '../support/processes.js'
import { scratch } from '../support/scratch.js'

const run = (...words: string[]) => execute([process.execPath, BIN, ...words])

/** Whose certificate a server shows. */
async function shown(url: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return String(CN)
}

t.test(
  'a host syncs with a server that speaks HTTPS itself, waits on its channel, and a new certificate is taken up',
  { skip: NO_OPENSSL },
  async t => {
    const folder = scratch(t)
    const [one, two] = [makeCertificate(folder, 'one'), makeCertificate(folder, 'two')]
    const live = { cert: join(folder, 'live-cert'), key: join(folder, 'live-key') }
    const use = async (from: { cert: string; key: string }) => {
      for (const name of ['cert', 'key'] as const) {
        await copyFile(from[name], `${live[name]}.new`)
        await rename(`${live[name]}.new`, live[name])
      }
    }
    await use(one)
    const at = new Installation(ownFolder(t, { 'client.log': '', 'fail2ban.log': '' }))
    t.teardown(() => at.stop())
    await at.serve(undefined, '--tls-cert', live.cert, '--tls-key', live.key, '--base-path', '/Sub')
    t.match(at.url, /^https:\/\/127\.0\.0\.1:\d+\/Sub$/)
    await at.addHost('web-1')
    const sync = at.syncArgs('dry-run')
    const strange = await run(...sync, '--timeout', '1')
    t.equal(strange.code, 1, 'an authority that is not known')
    t.match(strange.err + strange.out, /name the authority's certificate with --ca-file/)
    const known = await run(...sync, '--ca-file', one.ca)
    t.equal(known.code, 0, known.err)

    const flags = [
      '--watch',
      '--interval',
      '3600',
      '--client-log',
      at.path('client.log'),
      '--ca-file',
      one.ca
    ]
    const watching = spawn(...asUsersDo([process.execPath, BIN, ...sync, ...flags]), { stdio: 'ignore' })
    t.teardown(() => watching.kill('SIGKILL'))
    await logged(at.dir, at.path('client.log'), /"event":"wake_channel","state":"open"/)
    const block = ['block', '203.0.113.66', '--server', 'web-1', '--jail', 'sshd', ...at.folders]
    t.equal((await run(...block)).code, 0)
    await logged(at.path('state'), at.path('state', 'dry-run-firewall.json'), /203\.0\.113\.66/)
    const ended = once(watching, 'exit')
    watching.kill('SIGTERM')
    await ended

    const health = ['health', '--port', new URL(at.url).port, '--base-path', '/Sub']
    t.match(await run(...health, '--tls-cert', live.cert), { code: 0, out: /^ok: https:/ })
    t.match(await run(...health), { code: 1, err: /could not be reached: http:/ })

    await use(two)
    while ((await shown(at.url)) !== 'two') await new Promise(resolve => setTimeout(resolve, 50))
    t.equal((await run(...sync, '--ca-file', two.ca)).code, 0)
    t.equal(await at.stop(), 0)
    t.match(await run(...health), { code: 1, err: /ECONNREFUSED/ })
  }
)

t.test(
  'serve: plain HTTP on other addresses is refused unless asked for; TLS files are looked at first',
  async t => {
    const dir = ownFolder(t, {})
    const words = ['archive', 'download', 'temp', 'settings'].flatMap(name => [`--${name}`, join(dir, name)])
    const serve = (...more: string[]) => run('serve', '--port', '0', ...words, ...more)
    for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
      const { code, err, out } = await serve('--host', host)
      t.strictSame([code, out], [2, ''], host)
      t.match(
        err,
        /plain HTTP there lets whoever is on the way read passwords\. Give --tls-cert and --tls-key/
      )
    }
    t.match(await serve('--tls-cert', '/x'), { code: 2, err: /--tls-key is missing/ })
    t.match(await serve('--tls-cert', '/x', '--tls-key', '/y'), {
      code: 2,
      err: /--tls-cert \/x can't be read/
    })
    t.match(await serve('--plain-http', 'perhaps'), { code: 2, err: /--plain-http: yes or no is needed/ })
    t.match(await serve('--htpasswd', '/x'), { code: 2, err: /htpasswd \/x can't be read \(ENOENT\)/ })
    t.match(await serve('--allow-dashboard', ''), {
      code: 2,
      err: /--allow-dashboard: addresses or networks/
    })
    t.match(await run('health', '--port', '0'), { code: 2, err: /--port/ })
    const at = new Installation(dir)
    t.teardown(() => at.stop())
    await at.serve(undefined, '--host', '0.0.0.0')
    t.match(await run('health', '--host', '0.0.0.0', '--port', new URL(at.url).port), {
      code: 0,
      out: /127\.0\.0\.1/
    })
  }
)

t.test(
  'files that only root can read are an error for a server that drops root, which says so',
  { skip: NO_OPENSSL || (process.getuid?.() === 0 ? false : 'needs root') },
  async t => {
    const folder = scratch(t)
    await chmod(folder, 0o755)
    const { cert, key } = makeCertificate(folder, 'one')
    await chmod(key, 0o600)
    const at = new Installation(join(folder, 'data'))
    await mkdir(at.dir)
    t.teardown(() => at.stop())
    const flags = ['--user', 'nobody', '--tls-cert', cert, '--tls-key', key]
    await t.rejects(at.serve(undefined, ...flags), {
      message:
        /--tls-key .*one\.key can't be read \(EACCES\); the user the server runs as must be able to, also later/
    })
    await chmod(key, 0o644)
    await writeFile(join(folder, '.htpasswd'), await readFile(key))
    await chmod(join(folder, '.htpasswd'), 0o600)
    const locked = at.serve(undefined, ...flags, '--htpasswd', join(folder, '.htpasswd'))
    await t.rejects(locked, { message: /htpasswd .* can't be read \(EACCES\)/ })
    await at.serve(undefined, ...flags)
    t.match(at.url, /^https:/)
  }
)
