import { execFileSync } from 'node:child_process'
import { ProductError } from '../common/errors.js'

/** A user of this machine. */
export interface SystemUser {
  name: string
  uid: number
  gid: number
}

/** As useradd takes them; never an option or a number for `id`. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/

/**
 * Looks a user up, wherever the machine keeps its users.
 * @throws ProductError CONFIG when there is none, or it is root
 */
export function systemUser(name: string): SystemUser {
  const number = (flag: '-u' | '-g') =>
    Number(execFileSync('id', [flag, '--', name], { encoding: 'utf8', stdio: 'pipe' }))
  let user: SystemUser
  try {
    if (!NAME.test(name)) throw new Error('not a user name')
    user = { name, uid: number('-u'), gid: number('-g') }
  } catch (error) {
    throw new ProductError('CONFIG', `--user: there is no user of that name on this machine`, error)
  }
  if (user.uid === 0 || !Number.isInteger(user.uid))
    throw new ProductError('CONFIG', '--user: root is what it is to get rid of')
  return user
}

/**
 * Gives up root for good: groups first, for only root may set them.
 * @throws ProductError CONFIG when this process is not root
 */
export function becomeUser({ name, uid, gid }: SystemUser): void {
  if (process.getuid?.() === uid) return
  if (process.getuid?.() !== 0) throw new ProductError('CONFIG', '--user: only root can become another user')
  // Its types lag behind: Node.js has it wherever it has setuid.
  ;(process as unknown as { initgroups(user: string, group: number): void }).initgroups(name, gid)
  process.setgid?.(gid)
  process.setuid?.(uid)
  let back = true
  try {
    process.setuid?.(0)
  } catch {
    back = false
  }
  if (back) throw new ProductError('CONFIG', '--user: the system gave root back')
}
