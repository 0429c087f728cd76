import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { execute, type Ended } from './installation.js'
import { logged } from './logged.js'
import type { Namespace } from './netns.js'

const APACHE = '/usr/sbin/apache2'
const MODULES = '/usr/lib/apache2/modules'

/** Why tests with a real Apache can't run here, or false. */
export const NO_APACHE = existsSync(APACHE) && process.getuid?.() === 0 ? false : 'needs apache2, and root'

/** What every Apache needs, and the modules of Debian's own first start that could get in the way of a proxy. */
const ALWAYS = ['mpm_event', 'authz_core', 'authz_host', 'dir', 'mime', 'reqtimeout', 'filter', 'deflate']

/** A real Apache with a configuration of the test's own. */
export interface Apache {
  port: number
  /** A second port, such as that of a site without TLS. */
  second: number
  /** Where its configuration and logs lie. */
  dir: string
  /** What "apachectl configtest" does. */
  configtest(): Promise<Ended>
  stop(): Promise<void>
}

/**
 * Starts Debian's Apache as www-data on two free ports; it ends with the test.
 * @param modules beyond those that every Apache has @param conf its configuration, given its ports and own folder
 * @param on `host` it listens on, and `where`: the namespace of that, if any
 */
export async function startApache(
  t: Test,
  modules: readonly string[],
  conf: (at: { port: number; second: number; dir: string }) => readonly string[],
  { host = '127.0.0.1', where }: { host?: string; where?: Namespace } = {}
): Promise<Apache> {
  const [port, second] = await freePorts()
  const dir = join(t.testdirName, `apache-${port}`)
  await mkdir(dir, { recursive: true })
  const file = join(dir, 'apache.conf')
  const log = join(dir, 'error.log')
  const lines = [
    ...[`ServerRoot ${dir}`, `PidFile ${dir}/pid`, `Listen ${host}:${port}`, `Listen ${host}:${second}`],
    'ServerName localhost',
    ...['User www-data', 'Group www-data', `ErrorLog ${log}`, 'LogLevel notice', 'TypesConfig /dev/null'],
    ...['StartServers 1', 'ServerLimit 2', 'ThreadsPerChild 25', 'MaxRequestWorkers 50'],
    ...[...ALWAYS, ...modules].map(one => `LoadModule ${one}_module ${MODULES}/mod_${one}.so`),
    ...['<Directory />', 'AllowOverride None', 'Require all denied', '</Directory>'],
    ...['<FilesMatch "^\\.ht">', 'Require all denied', '</FilesMatch>'],
    ...conf({ port, second, dir })
  ]
  await writeFile(file, lines.join('\n') + '\n')
  // A group of its own: its children go with it, however it ends.
  const [program = APACHE, ...args] = [...(where?.prefix ?? []), APACHE, '-DFOREGROUND', '-f', file]
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true
  })
  let trouble = ''
  child.stderr.on('data', (chunk: Buffer) => (trouble += chunk.toString()))
  const closed = once(child, 'close')
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    process.kill(-child.pid!, 'SIGKILL')
    await closed
  }
  t.teardown(stop)
  const failed = closed.then(() => {
    throw new Error(`apache did not start: ${trouble}`)
  })
  failed.catch(() => undefined)
  await Promise.race([logged(dir, log, /resuming normal operations/), failed])
  return { port, second, dir, configtest: () => execute([APACHE, '-t', '-f', file]), stop }
}

/** A certificate of an authority that openssl makes for the test. */
export interface Certificate {
  ca: string
  cert: string
  key: string
}

/** Makes an authority and a certificate of it for localhost and 127.0.0.1 with openssl. @returns paths of PEM files */
export async function makeCertificate(dir: string): Promise<Certificate> {
  await mkdir(dir, { recursive: true })
  const at = (name: string) => join(dir, name)
  const openssl = async (...args: string[]) => {
    const ended = await execute(['openssl', 'req', '-x509', '-newkey', 'ec', '-nodes', '-days', '2', ...args])
    if (ended.code !== 0) throw new Error(ended.err)
  }
  const curve = ['-pkeyopt', 'ec_paramgen_curve:P-256']
  await openssl(...curve, '-subj', '/CN=a test', '-keyout', at('ca.key'), '-out', at('ca.pem'))
  await openssl(
    ...[...curve, '-subj', '/CN=localhost', '-CA', at('ca.pem'), '-CAkey', at('ca.key')],
    ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-keyout', at('site.key'), '-out', at('site.pem')]
  )
  return { ca: at('ca.pem'), cert: at('site.pem'), key: at('site.key') }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const
  const ports: number[] = []
  for (const free of servers) {
    free.listen(0, '127.0.0.1')
    await once(free, 'listening')
    ports.push((free.address() as AddressInfo).port)
  }
  for (const free of servers) {
    free.close()
    await once(free, 'close')
  }
  return ports as [number, number]
}
