import { realpathSync } from 'node:fs'
import { delimiter, join, relative, sep } from 'node:path'

const NAME = 'fail2ban-report'

/**
 * How this program is started from where its user is, for hints that are to be copied: by its name where the shell finds
 * it, else by Node.js.
 * @param script the file that Node.js was started with
 */
export function ownCommand(
  script = process.argv[1] ?? '',
  env: Readonly<Record<string, string | undefined>> = process.env,
  cwd = process.cwd()
): string {
  const own = real(script)
  if (own === undefined) return NAME
  if (env.npm_command === 'exec' && own.includes(`${sep}node_modules${sep}`)) return `npx ${NAME}`
  const folders = (env.PATH ?? '').split(delimiter).filter(folder => folder !== '')
  if (folders.some(folder => real(join(folder, NAME)) === own)) return NAME
  const near = relative(cwd, script)
  return `node ${near.startsWith('..') ? script : near}`
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
