import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ProductError } from '../../common/errors.js'

/** Takes a lock and gives the function that releases it. */
export type TakeLock = () => Promise<() => Promise<void>>

// ufw locks with fcntl, which Node.js cannot. The child holds the lock until its standard input ends, so the lock
// goes with this process however it ends.
const SCRIPT = `
import fcntl, sys
with open(sys.argv[1], 'a') as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print('held', flush=True)
    sys.stdin.read()
`

/** ufw's own interpreter, there wherever ufw is. */
const PYTHON = '/usr/bin/python3'

/**
 * The lock that serialises ufw commands.
 * @param path ufw's lock file
 * @param wait milliseconds to wait for a running ufw command
 */
export function ufwLock(path: string, wait = 30_000): TakeLock {
  return async () => {
    const child = spawn(PYTHON, ['-I', '-c', SCRIPT, path], { stdio: ['pipe', 'pipe', 'ignore'], env: {} })
    const ended = once(child, 'close').catch(() => undefined)
    child.stdin.on('error', () => undefined)
    const held = await new Promise<boolean>(resolve => {
      const timer = setTimeout(() => resolve(false), wait)
      const settle = (value: boolean) => {
        clearTimeout(timer)
        resolve(value)
      }
      child.stdout.once('data', () => settle(true))
      void ended.then(() => settle(false))
    })
    if (!held) {
      child.kill('SIGKILL')
      throw new ProductError(
        'FIREWALL',
        `ufw's lock ${path} could not be had; is another ufw command running?`
      )
    }
    return async () => {
      child.stdin.end()
      await ended
    }
  }
}
