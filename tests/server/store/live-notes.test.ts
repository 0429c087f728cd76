import { EventEmitter, once } from 'node:events'
import { mkdirSync, rmdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { testApp } from '../../support/app.js'
import { LiveNotes } from '../../../server/store/live-notes.js'

t.test('a note is written whenever it comes, also while another one fails', async t => {
  const at = await testApp(t)
  const { files, paths } = at.app.store
  mkdirSync(paths.liveNotes())
  const done = new EventEmitter()
  const written: Promise<void>[] = []
  // Each a microtask later than the one before: some of them come just as the writer finds nothing left.
  const publish = (n: number): void => {
    written.push(live.publish('whitelist_changed', { servers: [`host-${n}`] }))
    if (n === 12) done.emit('all')
    else queueMicrotask(() => publish(n + 1))
  }
  const failures: unknown[] = []
  const live = new LiveNotes(files, paths, Date.now, error => {
    failures.push(error)
    rmdirSync(paths.liveNotes())
    queueMicrotask(() => publish(1))
  })
  const all = once(done, 'all')
  await live.publish('whitelist_changed', { servers: [] })
  await all
  await Promise.all(written)
  t.match(failures, [{ code: 'EISDIR' }])
  const lines = (await readFile(paths.liveNotes(), 'utf8')).trimEnd().split('\n')
  t.strictSame(
    lines.map(line => (JSON.parse(line) as { data: { servers: string[] } }).data.servers[0]),
    Array.from({ length: 12 }, (_, n) => `host-${n + 1}`)
  )
})
