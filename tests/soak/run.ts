import { appendFileSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { NO_SMALL_DISK } from '../support/small-disk.js'
import { runSoak } from './driver.js'

// npm run test:soak -- --seed N --actions N --servers N --until-rest N
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    actions: { type: 'string', default: '2000' },
    servers: { type: 'string', default: '3' },
    'until-rest': { type: 'string', default: '400' }
  }
})
const seed = Number(values.seed)
const dir = mkdtempSync(join(tmpdir(), 'f2br-soak-'))
const log = join(tmpdir(), `f2br-soak-${seed}.log`)
console.log(`seed ${seed}; what happens: ${log}`)
if (NO_SMALL_DISK !== undefined) console.log(`without full and read-only disks: ${NO_SMALL_DISK}`)
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())
try {
  const figures = await runSoak({
    seed,
    actions: Number(values.actions),
    servers: Number(values.servers),
    untilRest: Number(values['until-rest']),
    dir,
    stop: stop.signal,
    keep: `${dir}-broken`,
    note: line => {
      appendFileSync(log, `${new Date().toISOString()} ${line}\n`)
      if (line.includes('at rest')) console.log(line)
    }
  })
  console.log(JSON.stringify(figures, null, 2))
  await rm(dir, { recursive: true })
} catch (error) {
  console.error(error)
  console.error(`the data as it was: ${dir}-broken`)
  const same = ['actions', 'servers', 'until-rest'] as const
  console.error(
    `again: npm run test:soak -- --seed ${seed} ${same.map(name => `--${name} ${values[name]}`).join(' ')}`
  )
  process.exitCode = 1
}
