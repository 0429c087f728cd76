import { mkdirSync, rmdirSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import t from 'tap'
import { testApp } from '../../support/app.js'
import { LiveNotes } from '../../../server/store/live-notes.js'

t.test('a note is written whenever it comes, also while another one fails', async t => {
  const at = await testApp(t)
  const { files, paths } = at.app.store
  // Each time a microtask later: once it comes just as the writer finds nothing left.
  for (let later = 0; later < 8; later++) {
    await rm(paths.liveNotes(), { force: true })
    mkdirSync(paths.liveNotes())
    const failures: unknown[] = []
    let written = (): void => undefined
    const done = new Promise<void>(resolve => (written = resolve))
    const publish = (wait: number): void => {
      if (wait > 0) queueMicrotask(() => publish(wait - 1))
      else void live.publish('whitelist_changed', { servers: ['web-1'] }).then(written)
    }
    const live = new LiveNotes(files, paths, Date.now, error => {
      failures.push(error)
      rmdirSync(paths.liveNotes())
      publish(later)
    })
    await live.publish('whitelist_changed', { servers: [] })
    await done
    t.match(failures, [{ code: 'EISDIR' }])
    t.match(await readFile(paths.liveNotes(), 'utf8').catch(() => ''), /^\{.*web-1.*\}\n$/, `${later} later`)
  }
})
