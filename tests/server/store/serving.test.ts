import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ServingMarks } from '../../../server/store/serving.js'
import { ownFolder } from '../../support/own-folder.js'

const TIMES = { touch: 50, stale: 400 }

t.test('a server that runs is seen, one that ended or was killed is not', async t => {
  const archive = ownFolder(t, {})
  const marks = () => new ServingMarks(archive, TIMES)
  t.equal(await marks().alive(), undefined, 'nobody was ever here')
  const leave = await marks().hold()
  const other = await marks().hold()
  t.equal((await readdir(archive)).length, 2, 'several may serve one archive')
  await t.rejects(marks().refuseAlive(), { code: 'CONFLICT', message: /a server runs on .*; stop it first/ })
  await leave()
  t.ok(await marks().alive(), 'the other still runs')
  await other()
  t.strictSame(await readdir(archive), [])

  const dead = '.serving-gone.example-7-0123abcd.lock'
  await mkdir(join(archive, dead))
  const told: number[] = []
  t.equal(await marks().alive(seconds => told.push(seconds)), undefined, 'nobody touches it')
  t.strictSame(told, [1], 'and that it takes a while is told')
})

t.test('dead marks are removed, living ones stay', async t => {
  const archive = ownFolder(t, { '.serving-gone-7-0123abcd.lock': {}, 'web-1': {} })
  const keeper = new ServingMarks(archive, TIMES)
  const leave = await keeper.hold()
  t.teardown(leave)
  const until = performance.now() + 30_000
  while ((await readdir(archive)).includes('.serving-gone-7-0123abcd.lock') && performance.now() < until)
    await keeper.removeDead()
  const left = await readdir(archive)
  t.equal(left.length, 2)
  t.ok(left.includes('web-1'), 'a host’s folder is none of its business')
  t.ok(await keeper.alive())
})
