// Loaded into a child by NODE_OPTIONS=--import. Steps the child's clock (SOAK_CLOCK_STEP milliseconds, when it has
// run for SOAK_CLOCK_AFTER) and kills it at the SOAK_KILL_AT-th change it makes on the disk: before the change, or,
// where a text is written, with half of it written.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { performance } from 'node:perf_hooks'

const { SOAK_CLOCK_STEP, SOAK_CLOCK_AFTER, SOAK_KILL_AT } = process.env

if (SOAK_CLOCK_STEP !== undefined) {
  const step = Number(SOAK_CLOCK_STEP)
  const after = Number(SOAK_CLOCK_AFTER ?? 0)
  const now = Date.now
  Date.now = () => now() + (performance.now() >= after ? step : 0)
}

let left = Number(SOAK_KILL_AT ?? 0)
if (left > 0) {
  const kill = () => process.kill(process.pid, 'SIGKILL')
  const before = (owner, name, half = () => undefined) => {
    const original = owner[name]
    owner[name] = function (...args) {
      if (--left === 0) {
        half.apply(this, args)
        kill()
      }
      return original.apply(this, args)
    }
  }
  const { writeSync } = fs
  const changes = ['mkdir', 'rmdir', 'rename', 'unlink', 'rm', 'utimes', 'open', 'chmod', 'chown', 'truncate']
  for (const name of [...changes, 'write', 'fsync', 'close']) before(fs, name)
  for (const name of changes) before(fs.promises, name)
  for (const name of ['openSync', 'unlinkSync', 'fchownSync']) before(fs, name)
  before(fs, 'writeSync', (file, text) => writeSync(file, text.slice(0, text.length / 2)))
  const handle = await fs.promises.open(new URL(import.meta.url))
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  for (const name of ['writeFile', 'write']) {
    before(prototype, name, function (text) {
      writeSync(this.fd, text.slice(0, text.length / 2))
    })
  }
  for (const name of ['sync', 'truncate', 'chown']) before(prototype, name)
  syncBuiltinESMExports()
}
