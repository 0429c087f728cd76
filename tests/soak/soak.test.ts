import t from 'tap'
import { NO_SMALL_DISK } from '../support/small-disk.js'
import { runSoak } from './driver.js'
import { ownFolder } from '../support/own-folder.js'

const SEED = 20261
const last: string[] = []

t.test('a fleet under faults loses nothing and undoes nothing', async t => {
  t.comment(`seed ${SEED}; longer and with other seeds: npm run test:soak -- --seed N --actions N`)
  if (NO_SMALL_DISK !== undefined) t.comment(`without full and read-only disks: ${NO_SMALL_DISK}`)
  try {
    const figures = await runSoak({
      seed: SEED,
      actions: 240,
      servers: 2,
      untilRest: 240,
      dir: ownFolder(t),
      note: line => {
        last.push(line)
      }
    })
    t.comment(JSON.stringify(figures))
    t.ok(figures.acknowledged > 50, 'actions were acknowledged')
    t.ok(figures.kills > 5, 'processes were killed')
    t.equal(figures.rests, 1)
  } catch (error) {
    t.comment(last.slice(-300).join('\n'))
    throw error
  }
})
