import { cp, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { UfwPaths } from '../../../client/firewall/ufw.js'
import { bind, createNamespace, type Namespace } from '../../support/netns.js'

/** A namespace with a ufw of its own. */
export interface UfwHost {
  host: Namespace
  /** The private files, as seen from outside the namespace. */
  paths: UfwPaths
  ufw: (...words: string[]) => Promise<string>
  /** Both rules files without the blocks of ours. */
  foreignRules: () => Promise<string>
}

const OURS =
  /\n### tuple ### deny any any \S+ any \S+ in comment=6661696c3262616e2d7265706f7274\n-A ufw6?-user-input -s \S+ -j DROP\n/g

/** Makes a namespace whose ufw has private copies of its settings, its rules and its lock. @param folder empty */
export async function ufwHost(folder: string): Promise<UfwHost> {
  const paths = {
    rules: join(folder, 'ufw'),
    defaults: join(folder, 'default'),
    lock: join(folder, 'run', 'ufw.lock')
  }
  await cp('/etc/ufw', paths.rules, { recursive: true })
  // The files as the package ships them, whatever this machine does with ufw.
  for (const name of ['user.rules', 'user6.rules'])
    await cp(join('/usr/share/ufw/iptables', name), join(paths.rules, name))
  await cp('/etc/default/ufw', paths.defaults)
  await mkdir(join(folder, 'run'))
  const host = await createNamespace('host')
  await bind(host, paths.rules, '/etc/ufw')
  await bind(host, paths.defaults, '/etc/default/ufw')
  await bind(host, join(folder, 'run'), '/run')
  const texts = () =>
    Promise.all(['user.rules', 'user6.rules'].map(name => readFile(join(paths.rules, name), 'utf8')))
  return {
    host,
    paths,
    ufw: (...words) => host.exec('ufw', ...words),
    foreignRules: async () => (await texts()).join('').replaceAll(OURS, '')
  }
}
