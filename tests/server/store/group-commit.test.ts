import { readFile } from 'node:fs/promises'
import t from 'tap'
import { GroupCommit } from '../../../server/store/group-commit.js'
import { testApp } from '../../support/app.js'

/** Commits that wait until they are told to go on, as writes wait for a lock. */
function committing() {
  const writes: string[][] = []
  const goOn: (() => void)[] = []
  const failing: ((error: Error) => void)[] = []
  const commit = async (take: () => readonly string[]) => {
    await new Promise<void>((resolve, reject) => {
      goOn.push(resolve)
      failing.push(reject)
    })
    const wishes = take()
    writes.push([...wishes])
    await new Promise<void>(resolve => goOn.push(resolve))
    return wishes.map(wish => `${wish} done`)
  }
  return { writes, goOn, failing, commit }
}

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

t.test('wishes that come while the lock is waited for are one write, later ones the next', async t => {
  const group = new GroupCommit<string, string>(10, wish => [wish])
  const { writes, goOn, commit } = committing()
  const first = [group.add('f', 'a', commit), group.add('f', 'b', commit)]
  await turn()
  first.push(group.add('f', 'c', commit))
  goOn[0]?.()
  await turn()
  const late = group.add('f', 'd', commit)
  await turn()
  for (const go of goOn) go()
  await turn()
  for (const go of goOn) go()
  t.strictSame(await Promise.all(first), ['a done', 'b done', 'c done'])
  t.equal(await late, 'd done')
  t.strictSame(writes, [['a', 'b', 'c'], ['d']])
})

t.test(
  'two wishes about one subject, and too many, are two writes; other keys know nothing of it',
  async t => {
    const group = new GroupCommit<string, string>(2, wish => [wish])
    const { writes, goOn, commit } = committing()
    const all = [
      group.add('f', 'a', commit),
      group.add('f', 'a', commit),
      group.add('f', 'b', commit),
      group.add('f', 'c', commit),
      group.add('g', 'x', commit)
    ]
    for (let at = 0; at < 6; at++) {
      await turn()
      for (const go of goOn) go()
    }
    t.strictSame(await Promise.all(all), ['a done', 'a done', 'b done', 'c done', 'x done'])
    t.strictSame(
      writes.sort((a, b) => a.join().localeCompare(b.join())),
      [['a'], ['a', 'b'], ['c'], ['x']]
    )
  }
)

t.test('a write that fails fails for all of it, and the next begins anew', async t => {
  const group = new GroupCommit<string, string>(10, wish => [wish])
  const { goOn, failing, commit } = committing()
  const both = [group.add('f', 'a', commit), group.add('f', 'b', commit)]
  await turn()
  failing[0]?.(new Error('no lock'))
  for (const one of both) await t.rejects(one, { message: 'no lock' })
  const next = group.add('f', 'c', commit)
  await turn()
  goOn[1]?.()
  await turn()
  goOn[2]?.()
  t.equal(await next, 'c done')
})

t.test('hundreds of blocks sent at once to one list are all there, each told and each on record', async t => {
  const at = await testApp(t)
  await at.writeList('web-1', 'sshd', [])
  const alice = await at.login()
  const ips = Array.from({ length: 300 }, (_, n) => `198.51.${100 + (n >> 8)}.${n & 255}`)
  const replies = await Promise.all(
    [...ips, ips[0]!, ips[1]!].map(ip =>
      at.post('/api/block', { servers: ['web-1'], jails: ['sshd'], ips: [ip], reason: `of ${ip}` }, alice)
    )
  )
  t.ok(replies.every(({ statusCode }) => statusCode === 200))
  const outcomes = replies.flatMap(
    reply => reply.json<{ results: { ip: string; outcome: string }[] }>().results
  )
  t.equal(outcomes.filter(({ outcome }) => outcome === 'blocked').length, 300)
  t.equal(outcomes.filter(({ outcome }) => outcome === 'already-blocked').length, 2, 'asked for twice')
  t.strictSame(
    outcomes.map(({ ip }) => ip),
    [...ips, ips[0], ips[1]],
    'each was told of its own'
  )
  const { value } = await at.app.store.lists.read('web-1' as never, 'sshd.blocklist.json' as never)
  t.strictSame(value.map(({ ip }) => ip).sort(), [...ips].sort())
  t.ok(value.every(({ ip, reason }) => reason === `of ${ip}`))
  const trail = (await readFile(at.path('archive', 'web-1', 'audit.jsonl'), 'utf8')).trim().split('\n')
  t.equal(trail.filter(line => (JSON.parse(line) as { what: string }).what === 'block').length, 300)
})
