import { readFile } from 'node:fs/promises'
import t from 'tap'
import { testApp } from '../../support/app.js'
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
  const record = async () =>
    (JSON.parse(await readFile(paths.handOvers(SERVER), 'utf8')) as Record<string, { gone?: object }>)[
      'quiet.blocklist.json'
    ]
  await store.record(SERVER, busy, [])
  t.strictSame(Object.keys((await record())?.gone ?? {}).length, 1)
  at.clock.now += 15 * 60_000
  await store.record(SERVER, busy, [])
  t.match(await record(), { at: '2026-03-01T12:00:00.000+00:00', out: true })
  t.equal((await record())?.gone, undefined)
})
