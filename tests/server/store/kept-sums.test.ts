import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { eventsFileOfDay, serverName } from '../../../common/names.js'
import type { BanEvent } from '../../../common/shapes.js'
import { AddressBook } from '../../../server/store/address-book.js'
import { numbersOf } from '../../../server/store/day-numbers.js'
import { summarise, type DaySummary } from '../../../server/store/day-summary.js'
import { keptDay, summaryOf } from '../../../server/store/kept-sums.js'
import { KINDS } from '../../../server/store/kinds.js'
import { Summaries } from '../../../server/store/summaries.js'
import { dayEvents, generator } from '../../support/fleet.js'
import { ownFolder } from '../../support/own-folder.js'
import { storeIn } from '../../support/store-in.js'

const web1 = serverName('web-1')
const LEAST = 4
const DAYS = ['2026-02-27', '2026-02-28', '2026-03-01'].map(eventsFileOfDay)
/** As many as make a long day. */
const MANY = 1000

/** A summary with its addresses as texts. */
const told = ({ ids, bansOf, jails, ...rest }: DaySummary, book: AddressBook) => ({
  ...rest,
  jails: [...jails],
  bans: [...ids].map((id, at) => `${book.textOf(id)} ${bansOf[at]}`).sort(),
  ascending: ids.every((id, at) => at === 0 || id > (ids[at - 1] ?? 0))
})

t.test('a day that was kept is, in the book of another process, what it was', t => {
  const ip = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom('010.0.0.1', '1.2.3', '255.255.255.255', '0.0.0.0')
  )
  const event = fc.record({
    timestamp: fc.integer({ min: 10, max: 59 }).map(minute => `2026-03-01 10:${minute}:00,000`),
    action: fc.constantFrom<BanEvent['action'][]>('Ban', 'Ban', 'Unban', 'Increase Ban', 'Restore Ban'),
    ip,
    jail: fc.constantFrom('sshd', '__proto__', 'größe', 'a b')
  })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.array(ip, { maxLength: 20 }), (events, others) => {
      const book = new AddressBook()
      const summary = summarise(numbersOf(events, book), book.size, 2)
      const file: unknown = JSON.parse(
        JSON.stringify({ form: 1, least: 2, days: { x: keptDay('v', summary, book) } })
      )
      const wrong = KINDS.sums.check(file)
      const other = new AddressBook()
      for (const one of others) other.idOf(one)
      const again = summaryOf((file as { days: { x: ReturnType<typeof keptDay> } }).days.x, other)
      t.equal(wrong, undefined)
      t.strictSame(told(again, other), told(summary, book))
    }),
    { numRuns: 200 }
  )
  t.end()
})

/** A month of three days, and a process after another that sums it up. */
async function month(t: Test, events = MANY) {
  const dir = ownFolder(t, { archive: { 'web-1': { fail2ban: {} } }, download: {}, temp: {}, settings: {} })
  const folder = join(dir, 'archive', 'web-1')
  const write = async (day: (typeof DAYS)[number], seed: number) =>
    writeFile(
      join(folder, 'fail2ban', day),
      JSON.stringify(dayEvents(generator(seed), day.slice(16, 24), events, 24))
    )
  for (const [at, day] of DAYS.entries()) await write(day, at)
  /** @returns what the days came to, and which of them were read */
  const run = async (least = LEAST) => {
    const store = storeIn(dir)
    const read: string[] = []
    const numbers = store.events.numbers.bind(store.events)
    store.events.numbers = (server, day, book) => (read.push(day), numbers(server, day, book))
    const summaries = new Summaries(store, least)
    const there = await summaries.versions(DAYS.map(day => ({ server: web1, day })))
    const { days, book } = await summaries.of(there)
    await summaries.keep(
      web1,
      there.map(one => one.day)
    )
    return { told: days.map(one => told(one.summary, book)), read: read.sort() }
  }
  return { folder, file: join(folder, 'sums.json'), write, run }
}

t.test('a process after the first reads none of the long days, and tells the same', async t => {
  const { run, file } = await month(t)
  const first = await run()
  t.strictSame(first.read, DAYS)
  const { ino } = await stat(file)
  const second = await run()
  t.strictSame(second, { ...first, read: [] })
  t.equal((await stat(file)).ino, ino, 'nothing was written for it')
})

t.test('a day that has changed is read again, alone, and kept as it is now', async t => {
  const { run, write } = await month(t)
  const first = await run()
  await write(DAYS[1]!, 77)
  const second = await run()
  t.strictSame(second.read, [DAYS[1]])
  t.notSame(second.told[1], first.told[1])
  t.strictSame(second.told[0], first.told[0])
  t.strictSame(await run(), { ...second, read: [] })
})

t.test('what was summed up for other warnings, or can not be read, is of no use', async t => {
  const { run, file, folder } = await month(t)
  const first = await run()
  const other = await run(9)
  t.strictSame(other.read, DAYS)
  t.notSame(other.told, first.told, 'other bursts')
  t.strictSame((await run(Infinity)).read, DAYS)
  t.strictSame((await run(Infinity)).read, [])
  for (const text of ['{"least":', '[]', (await readFile(file, 'utf8')).replace('"ipv4":[', '"ipv4":[-1,')]) {
    await writeFile(file, text)
    t.strictSame(await run(), { ...first }, text.slice(0, 20))
    t.strictSame((await run()).read, [], 'and is made anew')
  }
  t.equal((await readdir(folder)).filter(name => name.startsWith('sums.json.corrupt')).length, 3)
})

t.test(
  'what another form of the program has summed up is of no use, and a day that is gone is forgotten',
  async t => {
    const { run, file, folder } = await month(t)
    await run()
    await writeFile(file, (await readFile(file, 'utf8')).replace('"form":1', '"form":0'))
    t.strictSame((await run()).read, DAYS)
    const first = await run()
    t.strictSame(first.read, [])
    await rm(join(folder, 'fail2ban', DAYS[0]!))
    t.strictSame((await run()).read, [])
    const { days } = JSON.parse(await readFile(file, 'utf8')) as { days: object }
    t.strictSame(Object.keys(days), DAYS.slice(1))
  }
)

t.test('short days are read, and no file is made of them', async t => {
  const { run, folder } = await month(t, 50)
  t.strictSame((await run()).read, DAYS)
  t.strictSame((await run()).read, DAYS)
  t.notOk((await readdir(folder)).includes('sums.json'))
})

t.test('of a host that names too many addresses as many days are kept as there is room for', async t => {
  const { run, folder } = await month(t)
  await mkdir(join(folder, 'fail2ban'), { recursive: true })
  const jails = Array.from({ length: 11_000 }, (_, n) => ({
    timestamp: '2026-03-01 10:00:00,000',
    action: 'Ban',
    ip: '192.0.2.1',
    jail: `jail-${n}`
  }))
  await writeFile(join(folder, 'fail2ban', DAYS[2]!), JSON.stringify(jails))
  t.strictSame((await run()).read, DAYS)
  t.strictSame((await run()).read, [DAYS[2]])
})
