import t from 'tap'
import type { BanEvent } from '../../../common/shapes.js'
import { inOrder, matchCallbacks, mergeDay, type StoredEvent } from '../../../server/store/same-event.js'

const MANY = 50_000

const logged = (time: string, more: Partial<BanEvent> = {}): BanEvent => ({
  timestamp: `2026-03-01 ${time}`,
  action: 'Ban',
  ip: '203.0.113.9',
  jail: 'sshd',
  ...more
})
const told = (time: string, more: Partial<BanEvent> = {}): StoredEvent => ({
  ...logged(time, more),
  via: 'callback'
})

t.test('each callback takes one event of its kind, the nearest in order', async t => {
  const events = [
    logged('12:00:00,100'),
    logged('12:00:20,100', { action: 'Unban' }),
    logged('12:00:30,100'),
    logged('12:10:00,100', { jail: 'web' })
  ]
  const callbacks = [
    told('12:00:31'),
    told('12:00:00'),
    told('12:00:32'),
    told('12:10:00'),
    told('25:61:00'),
    told('12:03:00', { action: 'Unban' })
  ]
  const { matched, left } = matchCallbacks(callbacks, events)
  t.strictSame([...matched], [events[0], events[2]])
  t.strictSame(left, callbacks.slice(2))
})

t.test('events go to their places by time, and those of one time keep their order', async t => {
  const day = [logged('12:00:00'), logged('12:00:02'), logged('12:00:01'), logged('12:00:03')]
  const more = [told('12:00:03', { ip: 'a' }), told('12:00:01', { ip: 'b' }), told('12:00:03', { ip: 'c' })]
  t.strictSame(inOrder(day, more), [...day.slice(0, 3), more[1], day[3], more[0], more[2]])
  t.strictSame(inOrder([], more), [more[1], more[0], more[2]])
})

t.test('a day with callbacks of one address without number is merged at once', async t => {
  const time = (n: number) => new Date(n * 1000).toISOString().slice(11, 19)
  const stored = Array.from({ length: MANY }, (_, n) => told(time(n)))
  const others = Array.from({ length: MANY }, (_, n) => logged(time(n), { ip: '203.0.113.1' }))
  const sameMoment = Array.from({ length: MANY }, () => logged('12:00:00', { action: 'Unban' }))
  const started = performance.now()
  const { day, fresh } = mergeDay(stored, [...others, ...sameMoment])
  t.equal(day.length, 3 * MANY)
  t.equal(fresh.length, 2 * MANY)
  const matching = mergeDay(
    stored.map(event => ({ ...event, timestamp: '2026-03-01 12:00:00' })),
    Array.from({ length: MANY }, () => logged('12:00:00'))
  )
  t.equal(matching.fresh.length, 0)
  // Looked at pair by pair it is minutes.
  t.ok(performance.now() - started < 5000, `${performance.now() - started} ms`)
})
