import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ClientBus } from '../../client/bus.js'
import { watchAndSync, type WatchOptions } from '../../client/watch.js'
import { ownFolder } from '../support/own-folder.js'

/** A watch whose cycles are counted; `outcomes` says how each ends. It stops itself after the last. */
async function cyclesOf(
  t: Test,
  outcomes: readonly ('busy' | undefined)[],
  more: Partial<WatchOptions>,
  during: (count: number) => void = () => undefined
): Promise<number> {
  const dir = ownFolder(t)
  await writeFile(join(dir, 'log'), '')
  const stop = new AbortController()
  let count = 0
  await watchAndSync({
    log: join(dir, 'log'),
    interval: 60_000,
    again: 1,
    signal: stop.signal,
    cycle: async () => {
      const outcome = outcomes[count++]
      during(count)
      if (count === outcomes.length) stop.abort()
      return outcome
    },
    ...more
  })
  return count
}

t.test('a cycle that another run kept from happening is tried again soon', async t => {
  t.equal(await cyclesOf(t, ['busy', 'busy', undefined], {}), 3)
})

t.test(
  'a request on the bus starts a cycle, what a command of the cycle itself asks for does not',
  async t => {
    const bus = new ClientBus()
    const asked: string[] = []
    let worked = 0
    await cyclesOf(
      t,
      [undefined, undefined],
      {
        bus,
        between: {
          interval: 1,
          work: async () => {
            // Had the command woken it, the second cycle would have begun before any of this.
            if (++worked === 2) bus.emit('sync_requested', { what: 'whitelist', by: 'person' })
          }
        }
      },
      count => {
        asked.push(`cycle ${count} after ${worked}`)
        if (count === 1) bus.emit('sync_requested', { what: 'whitelist', by: 'command' })
      }
    )
    t.same(asked, ['cycle 1 after 0', 'cycle 2 after 2'])
  }
)
