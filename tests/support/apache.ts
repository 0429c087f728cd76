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
