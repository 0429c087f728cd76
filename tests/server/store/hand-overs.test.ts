import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { testApp } from '../../support/app.js'
import { LAST_MOMENT, timeOf } from '../../../common/clock.js'
import { HandOverStore } from '../../../server/store/hand-overs.js'

const SERVER = 'web-1' as never
const entry = (ip: string) => ({ ip, jail: 'sshd', lastModified: '2026-03-01T11:00:00.000+00:00' })

t.test('what a list has lost is forgotten in time, also where nothing happens any more', async t => {
  const at = await testApp(t)
  const { files, paths } = at.app.store
  const store = new HandOverStore(files, paths, () => at.clock.now)
  const [quiet, busy] = ['quiet.blocklist.json', 'busy.blocklist.json'] as never[] as [never, never]
  await store.record(SERVER, quiet, [])
  await store.noteGone(SERVER, quiet, [entry('203.0.113.1'), entry('203.0.113.2')], [entry('203.0.113.1')])
  const lost = async () => JSON.parse(await readFile(paths.gone(SERVER), 'utf8')) as Record<string, object>
  await store.record(SERVER, busy, [])
  t.strictSame(Object.keys((await lost())['quiet.blocklist.json'] ?? {}), ['203.0.113.2'])
  t.strictSame([...(await store.gone(SERVER, quiet)).keys()], ['203.0.113.2'])
  at.clock.now += 15 * 60_000
  t.equal((await store.gone(SERVER, quiet)).size, 0)
  await store.record(SERVER, busy, [])
  t.strictSame(await lost(), {})
  // Another server process may have written it.
  const long = { lastModified: entry('').lastModified, at: '2026-03-01T11:00:00.000+00:00' }
  await writeFile(paths.gone(SERVER), JSON.stringify({ 'quiet.blocklist.json': { '203.0.113.3': long } }))
  await store.record(SERVER, busy, [])
  t.strictSame(await lost(), {})
})

t.test('a hand-over that an earlier version wrote is known, and what it held beside goes', async t => {
  const at = await testApp(t)
  const { files, paths } = at.app.store
  const list = 'sshd.blocklist.json' as never
  const store = new HandOverStore(files, paths, () => at.clock.now)
  const known = { at: '2026-03-01T11:00:00.000+00:00', latest: '2026-03-01T11:30:00.000+00:00', out: true }
  const gone = { '203.0.113.2': { lastModified: known.at, at: known.at } }
  await mkdir(dirname(paths.handOvers(SERVER)), { recursive: true })
  await writeFile(paths.handOvers(SERVER), JSON.stringify({ [list]: { ...known, gone } }))
  t.strictSame(await store.of(SERVER, list), { at: known.at, latest: Date.parse(known.latest) })
  await store.record(SERVER, list, [])
  t.strictSame(JSON.parse(await readFile(paths.handOvers(SERVER), 'utf8')), {
    [list]: { ...known, at: '2026-03-01T12:00:00.000+00:00' }
  })
})

t.test(
  'a hand-over is recorded as later than every change in it, however the stamps are spelled',
  async t => {
    const at = await testApp(t)
    const { files, paths } = at.app.store
    const list = 'sshd.blocklist.json' as never
    const store = new HandOverStore(files, paths, () => at.clock.now)
    const two = (number: number) => String(number).padStart(2, '0')
    const time = fc
      .tuple(
        fc.constantFrom('T', ' '),
        fc.integer({ min: 0, max: 24 }),
        fc.constantFrom('', ':59', ':59.999', ':00,5')
      )
      .map(([between, hour, rest]) => `${between}${two(hour)}:30${rest}`)
    const zone = fc.constantFrom('', 'Z', '+00:00', '-23:59', '+23:59', ' +0200')
    // Days around now, and such as no month has: the parser takes the 31st of any.
    const day = fc
      .tuple(fc.constantFrom('2026-02', '2026-03'), fc.integer({ min: 1, max: 31 }))
      .map(([month, number]) => `${month}-${two(number)}`)
    const stamp = fc.oneof(
      fc
        .tuple(
          day,
          fc.oneof(
            fc.constant(''),
            fc.tuple(time, zone).map(parts => parts.join(''))
          )
        )
        .map(parts => parts.join('')),
      fc.constantFrom(null, undefined, '', 'never', '1970-01-01', '9999-12-31T23:59:59.999-01:00')
    )
    await fc.assert(
      fc.asyncProperty(fc.array(stamp, { maxLength: 5 }), async stamps => {
        await store.record(
          SERVER,
          list,
          stamps.map(lastModified => ({ ...entry('203.0.113.1'), lastModified })) as never
        )
        const known = stamps.map(timeOf).filter(ms => !Number.isNaN(ms))
        const latest = Math.max(at.clock.now, ...known.map(ms => Math.min(ms, LAST_MOMENT - 1)))
        t.equal((await store.of(SERVER, list)).latest, latest, JSON.stringify(stamps))
        await store.handedBack(SERVER, list)
      }),
      { numRuns: 150 }
    )
  }
)
