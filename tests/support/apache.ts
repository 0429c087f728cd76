import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { logged } from './logged.js'
import type { Namespace } from './netns.js'
import { asUsersDo } from './processes.js'

export const APACHE = '/usr/sbin/apache2'
const MODULES = '/usr/lib/apache2/modules'

/**
 * A real Apache in front of a server, as server/README.md describes it, without what passes WebSockets on. Needs root.
 * @param dir made for its files @param listen address and port @param backend the server's URL
 * @param where the namespace it runs in, if any
 * @returns stops it
 */
export async function startApache(
  dir: string,
  listen: string,
  backend: string,
  where?: Namespace
): Promise<() => Promise<void>> {
  await mkdir(dir, { recursive: true })
  const modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'headers', 'unixd']
  const errors = join(dir, 'error.log')
  const conf = [
    `ServerRoot ${dir}`,
    `PidFile ${dir}/pid`,
    `Listen ${listen}`,
    'ServerName localhost',
    'User www-data',
    'Group www-data',
    `ErrorLog ${errors}`,
    ...modules
      .filter(name => existsSync(join(MODULES, `mod_${name}.so`)))
      .map(name => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`),
    'ProxyRequests Off',
    'ProxyPreserveHost On',
    `ProxyPass / ${backend}/`,
    `ProxyPassReverse / ${backend}/`,
    'StartServers 1'
  ]
  await writeFile(join(dir, 'apache.conf'), conf.join('\n'))
  await writeFile(errors, '')
  const words = [...(where?.prefix ?? []), APACHE, '-X', '-f', join(dir, 'apache.conf')]
  const child = spawn(...asUsersDo(words), { stdio: ['ignore', 'ignore', 'inherit'] })
  const closed = once(child, 'close')
  const gone = closed.then(async () => {
    throw new Error(`apache ended: ${await readFile(errors, 'utf8')}`)
  })
  gone.catch(() => undefined)
  const stop = async () => {
    child.kill('SIGKILL')
    await closed
  }
  // It listens before it writes this file.
  const up = logged(dir, join(dir, 'pid'), /\d/)
  await Promise.race([up, gone]).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return stop
}
