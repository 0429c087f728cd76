import t from 'tap'
import fc from 'fast-check'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { confirmEntries, mergeSyncBack } from '../../../server/store/merge.js'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const HANDED_OUT = Date.parse('2026-03-01T11:00:00Z')
const BEFORE = '2026-03-01T10:00:00.000+00:00'
const AFTER = '2026-03-01T11:30:00.000+00:00'

const entry = (ip: string, more: Partial<BlocklistEntry> = {}): BlocklistEntry => ({
  ip,
  active: true,
  pending: true,
  lastModified: BEFORE,
  ...more
})
const done = (one: BlocklistEntry): BlocklistEntry => ({ ...one, pending: false })

t.test('with no change since the hand-over the result is the client’s file, exactly', async t => {
  const server = [entry('1.1.1.1'), entry('2.2.2.2', { active: false })]
  const client = [done(entry('1.1.1.1')), { ip: '9.9.9.9', extra: 'kept' } as BlocklistEntry]
  const merged = mergeSyncBack(server, client, HANDED_OUT, NOW)
  t.equal(merged.kept, 0)
  t.equal(merged.list, client, 'the very same entries in the same order')
})

t.test('syncback keeps a block made after the hand-over', async t => {
  const made = entry('3.3.3.3', { lastModified: AFTER })
  const merged = mergeSyncBack([entry('1.1.1.1'), made], [done(entry('1.1.1.1'))], HANDED_OUT, NOW)
  t.strictSame(merged, { list: [done(entry('1.1.1.1')), made], kept: 1 })
})

t.test('syncback keeps an unblock made after the hand-over', async t => {
  const lifted = entry('1.1.1.1', { active: false, lastModified: AFTER })
  const merged = mergeSyncBack([lifted], [done(entry('1.1.1.1'))], HANDED_OUT, NOW)
  t.strictSame(merged, { list: [lifted], kept: 1 })
})

t.test('a late sync-back of an earlier cycle brings no lifted block back', async t => {
  const gone = new Map([['1.1.1.1', Date.parse(AFTER)]])
  const late = [done(entry('1.1.1.1')), done(entry('2.2.2.2'))]
  t.strictSame(mergeSyncBack([done(entry('2.2.2.2'))], late, Infinity, NOW, gone), {
    list: [done(entry('2.2.2.2'))],
    kept: 1
  })
  const anew = [entry('1.1.1.1', { lastModified: '2026-03-01T11:40:00Z' })]
  t.equal(mergeSyncBack([], anew, Infinity, NOW, gone).list, anew, 'one made since then is taken')
  const again = entry('1.1.1.1', { lastModified: '2026-03-01T11:40:00Z' })
  t.strictSame(mergeSyncBack([again], late, HANDED_OUT, NOW, gone).list, [again, done(entry('2.2.2.2'))])
})

t.test('a client that writes lastModified by a clock running ahead undoes nothing', async t => {
  const lifted = entry('1.1.1.1', { active: false, lastModified: AFTER })
  const ahead = done(entry('1.1.1.1', { lastModified: '2027-01-01T00:00:00+00:00' }))
  t.strictSame(mergeSyncBack([lifted], [ahead], HANDED_OUT, NOW), { list: [lifted], kept: 1 })
})

t.test('a block re-made after the client dropped the address stays', async t => {
  const again = entry('1.1.1.1', { lastModified: AFTER })
  t.strictSame(mergeSyncBack([again], [], HANDED_OUT, NOW), { list: [again], kept: 1 })
})

t.test('an entry made pending:false on the server by other hands stays pending when it is newer', async t => {
  const merged = mergeSyncBack([done(entry('1.1.1.1', { lastModified: AFTER }))], [], HANDED_OUT, NOW)
  t.equal(merged.list[0]?.pending, true)
})

t.test('an unblock the client carried out is gone, and so is a block whose end has passed', async t => {
  const server = [entry('1.1.1.1', { active: false }), entry('2.2.2.2', { expires: '2026-03-01T11:59:59Z' })]
  t.strictSame(mergeSyncBack(server, [], HANDED_OUT, NOW), { list: [], kept: 0 })
})

t.test('old entries without any field but ip follow the client', async t => {
  const server: BlocklistEntry[] = [{ ip: '1.1.1.1' }]
  const client: BlocklistEntry[] = [{ ip: '1.1.1.1' }]
  t.strictSame(mergeSyncBack(server, client, Infinity, NOW), { list: client, kept: 0 })
})

t.test('two spellings of an address are one entry', async t => {
  const server = [entry('2001:DB8:0::1', { active: false, lastModified: AFTER })]
  const client = [done(entry('2001:db8::1'))]
  const merged = mergeSyncBack(server, client, HANDED_OUT, NOW)
  t.equal(merged.list.length, 1)
  t.equal(merged.list[0]?.active, false)
})

t.test(
  'whatever happens, a block asked for after the hand-over is in the result, active and pending',
  async t => {
    const ips = fc.constantFrom('1.1.1.1', '2.2.2.2', '3.3.3.3', '2001:db8::1', '10.0.0.0/8')
    const entries = fc.array(
      fc.record({
        ip: ips,
        active: fc.boolean(),
        pending: fc.boolean(),
        lastModified: fc.constantFrom(BEFORE, AFTER)
      }),
      { maxLength: 6 }
    )
    fc.assert(
      fc.property(entries, entries, (server, client) => {
        const unique = server.filter((one, at) => server.findIndex(other => other.ip === one.ip) === at)
        const { list } = mergeSyncBack(unique, client, HANDED_OUT, NOW)
        for (const one of unique) {
          if (one.lastModified !== AFTER || !one.active) continue
          const found = list.filter(other => other.ip === one.ip)
          if (found.length !== 1 || found[0]?.active !== true || found[0].pending !== true) return false
        }
        return true
      }),
      { numRuns: 2000 }
    )
    t.pass('held for every case')
  }
)

t.test('confirming by index.php clears what is in force and removes what is gone, no more', async t => {
  const server = [
    entry('1.1.1.1'),
    entry('2.2.2.2', { active: false }),
    entry('3.3.3.3'),
    entry('4.4.4.4', { active: false, lastModified: AFTER })
  ]
  const upload = [done(entry('1.1.1.1')), done(entry('4.4.4.4'))]
  t.strictSame(confirmEntries(server, upload), [done(entry('1.1.1.1')), server[2], server[3]])
  t.equal(confirmEntries(server.slice(2, 3), upload).length, 1)
  const same = [done(entry('1.1.1.1'))]
  t.equal(confirmEntries(same, upload), same, 'nothing to change gives the same list')
})

t.test(
  'an address a client names many times: the newest copy counts, and only the first place stays',
  async t => {
    const at = (time: string) => done(entry('1.1.1.1', { lastModified: time }))
    const wish = entry('1.1.1.1', { lastModified: '2026-03-01T10:30:00.000+00:00' })
    const older = mergeSyncBack([wish], [at(BEFORE), entry('2.2.2.2'), at(BEFORE)], HANDED_OUT, NOW)
    t.strictSame(older, { list: [wish, entry('2.2.2.2')], kept: 1 })
    for (const copies of [
      [at(AFTER), at(BEFORE), at(BEFORE)],
      [at(BEFORE), at('none'), at(AFTER)]
    ]) {
      t.strictSame(mergeSyncBack([wish], copies, HANDED_OUT, NOW), { list: copies, kept: 0 })
    }
  }
)

t.test('lists that name one address over and over take no more looks than others', async t => {
  const COPIES = 2000
  let looks = 0
  const looked = (stamp: string): BlocklistEntry => ({
    ip: '1.1.1.1',
    get lastModified() {
      looks++
      return stamp
    }
  })
  const server = Array.from({ length: COPIES }, () => looked('2026-03-01T10:30:00.000+00:00'))
  const client = Array.from({ length: COPIES }, () => looked(BEFORE))
  t.equal(mergeSyncBack(server, client, HANDED_OUT, NOW).list.length, 1)
  t.ok(looks < 10 * COPIES, `${looks} looks`)
})
