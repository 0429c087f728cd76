import t from 'tap'
import { isoTime, localDay, timeOf } from '../../common/clock.js'

t.test('only ISO 8601 is a time', t => {
  const rows: [unknown, number][] = [
    ['2026-03-01T12:00:00.000+00:00', Date.UTC(2026, 2, 1, 12)],
    ['2026-03-01T12:00:00Z', Date.UTC(2026, 2, 1, 12)],
    ['2026-03-01T13:00:00+01:00', Date.UTC(2026, 2, 1, 12)],
    ['2026-03-01T13:00:00+0100', Date.UTC(2026, 2, 1, 12)],
    ['2026-03-01', Date.UTC(2026, 2, 1)],
    ['never 1', NaN],
    ['"><img src=x onerror=window.pwned=1>', NaN],
    ['1', NaN],
    ['', NaN],
    [null, NaN],
    [undefined, NaN],
    [5, NaN]
  ]
  for (const [text, ms] of rows) t.ok(Object.is(timeOf(text), ms), String(text))
  t.equal(timeOf(isoTime(1_772_366_400_123)), 1_772_366_400_123)
  t.end()
})

t.test('a day and the days before it are counted on this machine’s calendar', t => {
  const noon = new Date(2026, 2, 1, 12).getTime()
  t.equal(localDay(noon), '20260301')
  t.equal(localDay(noon, 1), '20260228')
  t.equal(localDay(new Date(2026, 0, 1, 0, 1).getTime(), 1), '20251231')
  t.end()
})
