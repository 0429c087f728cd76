import t from 'tap'
import { SharedLooks } from '../../common/shared-looks.js'

/** A look that ends when it is told to, and what it saw. */
function looking() {
  const begun: ((seen: number) => void)[] = []
  const failing: ((error: Error) => void)[] = []
  const look = () =>
    new Promise<number>((resolve, reject) => {
      begun.push(resolve)
      failing.push(reject)
    })
  return { begun, failing, look }
}

/** Until whatever may begin has begun: a look waits for the turn's end, and for the one under way. */
async function turn(): Promise<void> {
  for (let nr = 0; nr < 2; nr++) await new Promise<void>(resolve => setImmediate(resolve))
}

t.test('who asks while a look is under way gets the next one, which all of them share', async t => {
  const looks = new SharedLooks<number>()
  const { begun, look } = looking()
  const first = looks.at('a', look)
  await turn()
  const later = [looks.at('a', look), looks.at('a', look), looks.at('a', look)]
  await turn()
  t.equal(begun.length, 1, 'the next look waits for the one under way')
  begun[0]?.(1)
  t.equal(await first, 1)
  await turn()
  t.equal(begun.length, 2)
  const latest = looks.at('a', look)
  begun[1]?.(2)
  t.strictSame(await Promise.all(later), [2, 2, 2], 'none of them got what was seen before it asked')
  await turn()
  begun[2]?.(3)
  t.equal(await latest, 3)
  await turn()
  const fresh = looks.at('a', look)
  await turn()
  begun[3]?.(4)
  t.equal(await fresh, 4, 'nothing is kept')
})

t.test('all who ask within one turn share a look that begins behind it', async t => {
  const looks = new SharedLooks<number>()
  let now = 1
  let looked = 0
  const look = () => {
    looked++
    return now
  }
  const asked = [looks.at('a', look), looks.at('a', look)]
  await Promise.resolve()
  asked.push(looks.at('a', look))
  now = 2
  t.strictSame(await Promise.all(asked), [2, 2, 2], 'it sees what came after the first of them asked')
  t.equal(looked, 1)
  now = 3
  t.equal(await looks.at('a', look), 3)
})

t.test('looks at different things know nothing of each other', async t => {
  const looks = new SharedLooks<number>()
  const { begun, look } = looking()
  const both = [looks.at('a', look), looks.at('b', look)]
  await turn()
  begun[1]?.(2)
  begun[0]?.(1)
  t.strictSame(await Promise.all(both), [1, 2])
})

t.test('a look that fails fails for those who share it, and the next one begins all the same', async t => {
  const looks = new SharedLooks<number>()
  const { begun, failing, look } = looking()
  const first = looks.at('a', look)
  await turn()
  const [second, third] = [looks.at('a', look), looks.at('a', look)]
  failing[0]?.(new Error('gone'))
  await t.rejects(first, { message: 'gone' })
  await turn()
  begun[1]?.(2)
  t.strictSame(await Promise.all([second, third]), [2, 2])
  const thrown = looks.at('a', () => {
    throw new Error('at once')
  })
  await t.rejects(thrown, { message: 'at once' })
})
