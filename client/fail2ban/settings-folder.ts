import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** Files of ours in fail2ban's folder of settings, by their paths in it. */
export type SettingsFiles = ReadonlyMap<string, string>

const JAILS = 'jail.d'

/**
 * Shows fail2ban's settings as they would be with other files of ours: a folder of links to its own, and `files` in
 * place of `ours`. What is tried there has not happened: a setting that keeps fail2ban from starting never gets into
 * its own folder.
 * @param ours names in jail.d that are left out
 */
export async function withSettings<T>(
  config: string,
  ours: readonly string[],
  files: SettingsFiles,
  work: (folder: string) => Promise<T>
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'f2br-settings-'))
  try {
    for (const name of await readdir(config)) {
      if (name !== JAILS) await symlink(resolve(config, name), join(folder, name))
    }
    await mkdir(join(folder, JAILS))
    for (const name of await readdir(join(config, JAILS)).catch(() => [])) {
      if (!ours.includes(name)) await symlink(resolve(config, JAILS, name), join(folder, JAILS, name))
    }
    for (const [name, text] of files) await writeFile(join(folder, JAILS, name), text)
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
