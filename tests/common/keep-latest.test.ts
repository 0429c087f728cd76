import t from 'tap'
import { keepLatest } from '../../common/keep-latest.js'

t.test('what was set longest ago goes, and what is set again counts as new', async t => {
  const map = new Map<string, number>()
  for (const [at, key] of ['a', 'b', 'c', 'a', 'd', 'e'].entries()) keepLatest(map, key, at, 3)
  t.same(
    [...map],
    [
      ['a', 3],
      ['d', 4],
      ['e', 5]
    ]
  )
})

t.test('a map of one holds the last', async t => {
  const map = new Map<string, number>()
  for (const key of ['a', 'b', 'b']) keepLatest(map, key, 0, 1)
  t.same([...map.keys()], ['b'])
})
