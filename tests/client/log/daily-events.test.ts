import { spawnSync } from 'node:child_process'
import { appendFile, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { JsonFiles, type SetAside } from '../../../common/json-file.js'
import { LIMITS, type BanEvent } from '../../../common/shapes.js'
import { collectEvents, markUploaded } from '../../../client/log/daily-events.js'
import { ownFolder } from '../../support/own-folder.js'

const clock = () => Date.parse('2026-03-02T12:00:00Z')
const line = (at: string, rest: string) => `2026-03-${at} fail2ban.actions        [1]: NOTICE  ${rest}\n`
const DAY1 = line('01 10:00:00,001', '[sshd] Ban 1.1.1.1') + line('01 10:00:00,002', '[sshd] Ban 1.1.1.2')
const DAY2 = line('02 09:00:00,001', '[nginx] Unban 2001:DB8::1')
const FILE1 = 'fail2ban-events-20260301.json'
const FILE2 = 'fail2ban-events-20260302.json'

async function host(dir: string, log = DAY1 + DAY2) {
  const options = {
    log: join(dir, 'fail2ban.log'),
    eventsDir: join(dir, 'events'),
    state: join(dir, 'state'),
    clock
  }
  await writeFile(options.log, log)
  const aside: SetAside[] = []
  // A new one each time: a run of the client remembers nothing of the last one.
  const files = () =>
    new JsonFiles({ clock, onSetAside: event => aside.push(event), times: { wait: 8000, stale: 2000 } })
  return {
    ...options,
    aside,
    statePath: join(options.state, 'log-state.json'),
    collect: () => collectEvents({ ...options, files: files() }),
    /** As a cycle does: everything that changed is sent. */
    cycle: async () => {
      const collected = await collectEvents({ ...options, files: files() })
      for (const day of collected.changed) await markUploaded({ ...options, files: files() }, day)
      return collected
    },
    ips: async (name: string) =>
      (JSON.parse(await readFile(join(options.eventsDir, name), 'utf8')) as BanEvent[])
        .map(({ ip }) => ip)
        .join(' ')
  }
}

t.test('events of a day go into its file, one a line, as logged', async t => {
  const { collect, eventsDir } = await host(ownFolder(t))
  const { newEvents, noAddress, changed, gap } = await collect()
  t.strictSame([newEvents, noAddress, gap], [3, 0, false])
  t.strictSame(
    changed.map(({ name }) => name),
    [FILE1, FILE2]
  )
  t.equal(
    await readFile(join(eventsDir, FILE1), 'utf8'),
    '[\n{"timestamp":"2026-03-01 10:00:00,001","action":"Ban","ip":"1.1.1.1","jail":"sshd"},\n' +
      '{"timestamp":"2026-03-01 10:00:00,002","action":"Ban","ip":"1.1.1.2","jail":"sshd"}\n]\n'
  )
  t.equal((await stat(join(eventsDir, FILE1))).mode & 0o777, 0o640)
  t.match(JSON.parse(await readFile(join(eventsDir, FILE2), 'utf8')), [
    { ip: '2001:db8::1', action: 'Unban' }
  ])
})

t.test('a day is offered until it was sent, and again when it has grown', async t => {
  const { collect, cycle, log } = await host(ownFolder(t))
  await collect()
  t.equal((await collect()).changed.length, 2, 'not sent yet')
  await cycle()
  t.strictSame((await cycle()).changed, [])
  await appendFile(log, line('02 11:00:00,000', '[sshd] Ban 2.2.2.2'))
  const { changed, newEvents } = await cycle()
  t.match([newEvents, changed], [1, [{ name: FILE2, text: /2001:db8::1.*\n.*2\.2\.2\.2/ }]])
  t.strictSame((await cycle()).changed, [])
})

t.test('a day that was only touched is not sent again, one that was edited is', async t => {
  const { cycle, eventsDir } = await host(ownFolder(t))
  await cycle()
  await utimes(join(eventsDir, FILE1), 1, 1)
  t.strictSame((await cycle()).changed, [])
  await writeFile(join(eventsDir, FILE1), '[]\n')
  t.match((await cycle()).changed, [{ name: FILE1, text: '[]\n' }])
})

t.test('nothing new writes nothing', async t => {
  const { cycle, statePath, eventsDir } = await host(ownFolder(t))
  await cycle()
  const versions = async () =>
    Promise.all(
      [statePath, join(eventsDir, FILE1)].map(async path => (await stat(path, { bigint: true })).ino)
    )
  const before = await versions()
  await cycle()
  t.strictSame(await versions(), before)
})

t.test(
  'killed after the days were written and before the state was: nothing is lost, nothing is double',
  async t => {
    const more = line('02 11:00:00,000', '[sshd] Ban 2.2.2.2') + line('02 11:00:00,001', '[sshd] Ban 2.2.2.3')
    for (const [what, known] of [
      ['on the first run', ''],
      ['on a day that is known', DAY2],
      ['on a new day', DAY1]
    ] as const) {
      const { collect, log, ips, statePath } = await host(ownFolder(t), known)
      if (known !== '') await collect()
      const state = known === '' ? undefined : await readFile(statePath)
      await appendFile(log, more)
      await collect()
      // The disk as it was between the two writes.
      if (state === undefined) await rm(statePath)
      else await writeFile(statePath, state)
      await appendFile(log, line('02 11:00:00,002', '[sshd] Ban 2.2.2.4'))
      await collect()
      t.equal(await ips(FILE2), (known === DAY2 ? '2001:db8::1 ' : '') + '2.2.2.2 2.2.2.3 2.2.2.4', what)
    }
  }
)

t.test('killed in between, and then the log is emptied: what the day has is kept', async t => {
  const { collect, log, ips, statePath } = await host(ownFolder(t), DAY2)
  await collect()
  const state = await readFile(statePath)
  await appendFile(log, line('02 11:00:00,000', '[sshd] Ban 2.2.2.2'))
  await collect()
  await writeFile(statePath, state)
  await truncate(log)
  await appendFile(log, line('02 12:00:00,000', '[sshd] Ban 2.2.2.3'))
  t.equal((await collect()).gap, true)
  t.equal(await ips(FILE2), '2001:db8::1 2.2.2.2 2.2.2.3')
})

t.test('kill -9 at each write: the next run finishes the work', async t => {
  const events = Array.from({ length: 20 }, (_, n) =>
    line(`0${1 + (n % 3)} 10:00:${n + 10},000`, `[sshd] Ban 1.1.1.${n}`)
  )
  const script = `
    import { JsonFiles } from '${new URL('../../../common/json-file.js', import.meta.url).href}'
    import { collectEvents } from '${new URL('../../../client/log/daily-events.js', import.meta.url).href}'
    let left = Number(process.env.WRITES)
    class Killed extends JsonFiles {
      async change(path, kind, decide) {
        if (left-- <= 0) process.kill(process.pid, 'SIGKILL')
        return super.change(path, kind, decide)
      }
    }
    const dir = process.env.DIR
    const clock = () => ${clock()}
    const files = new Killed({ clock, onSetAside() {}, times: { wait: 8000, stale: 2000 } })
    await collectEvents({ log: dir + '/fail2ban.log', eventsDir: dir + '/events', state: dir + '/state', files, clock })
    process.kill(process.pid, 'SIGKILL')`
  const dir = ownFolder(t)
  const { collect, ips, log } = await host(dir, events.slice(0, 6).join(''))
  await collect()
  await appendFile(log, events.slice(6).join(''))
  // The state's change is the first, then one for each of the three days.
  for (const writes of [2, 4]) {
    const { signal, stderr } = spawnSync(
      process.execPath,
      [...process.execArgv, '--input-type=module', '-e', script],
      {
        env: { ...process.env, DIR: dir, WRITES: String(writes) },
        encoding: 'utf8'
      }
    )
    t.equal(signal, 'SIGKILL', stderr)
  }
  await collect()
  for (const [at, name] of [FILE1, FILE2, 'fail2ban-events-20260303.json'].entries()) {
    const expected = events.map((_, n) => n).filter(n => n % 3 === at)
    t.equal(await ips(name), expected.map(n => `1.1.1.${n}`).join(' '))
  }
})

t.test(
  "an older client's days are kept, and what the log still holds is not added to them again",
  async t => {
    const dir = ownFolder(t, {
      events: {
        // As jq writes it: other blanks, no milliseconds in the first one.
        [FILE1]: JSON.stringify(
          [
            { timestamp: '2026-03-01 08:00:00', action: 'Ban', ip: '9.9.9.9', jail: 'sshd' },
            { timestamp: '2026-03-01 10:00:00,002', action: 'Ban', ip: '1.1.1.2', jail: 'sshd' }
          ],
          null,
          2
        ),
        'fail2ban-events-20250101.json': '[]'
      }
    })
    const { collect, ips, eventsDir } = await host(dir)
    t.match(await collect(), { newEvents: 2, changed: [{ name: FILE1 }, { name: FILE2 }] })
    t.equal(await ips(FILE1), '9.9.9.9 1.1.1.1 1.1.1.2')
    t.equal(await readFile(join(eventsDir, 'fail2ban-events-20250101.json'), 'utf8'), '[]')
  }
)

t.test("an older client's day, of which the log held nothing at first, is kept too", async t => {
  const old = JSON.stringify([
    { timestamp: '2026-03-02 01:00:00,000', action: 'Ban', ip: '9.9.9.9', jail: 'sshd' }
  ])
  const { collect, ips, log } = await host(ownFolder(t, { events: { [FILE2]: old } }), DAY1)
  await collect()
  await appendFile(log, DAY2)
  await collect()
  t.equal(await ips(FILE2), '9.9.9.9 2001:db8::1')
})

t.test('another log is read from its start, without doubling', async t => {
  const dir = ownFolder(t)
  const { collect, ips, ...options } = await host(dir)
  await collect()
  const other = join(dir, 'other.log')
  await writeFile(other, DAY1 + line('01 12:00:00,000', '[sshd] Ban 1.1.1.3'))
  const files = new JsonFiles({ clock, onSetAside: () => undefined })
  t.match(await collectEvents({ ...options, log: other, files }), { newEvents: 1 })
  t.equal(await ips(FILE1), '1.1.1.1 1.1.1.2 1.1.1.3')
})

t.test('a log that was cut back or restored adds nothing twice', async t => {
  const { collect, ips, log } = await host(ownFolder(t))
  await collect()
  await writeFile(log, DAY1 + line('01 12:00:00,000', '[sshd] Ban 1.1.1.3'))
  t.match(await collect(), { newEvents: 1, gap: true })
  t.equal(await ips(FILE1), '1.1.1.1 1.1.1.2 1.1.1.3')
})

t.test('a corrupt state is set aside, and the log read again adds nothing twice', async t => {
  const { collect, ips, statePath, aside, state } = await host(ownFolder(t))
  await collect()
  await writeFile(statePath, '{"log":')
  t.match(await collect(), { newEvents: 0, changed: [{ name: FILE1 }, { name: FILE2 }] })
  t.equal(aside.length, 1)
  t.equal((await readdir(state)).filter(name => name.includes('.corrupt-')).length, 1)
  t.equal(await ips(FILE1), '1.1.1.1 1.1.1.2')
})

t.test('a day that was sent while the state was lost is offered again', async t => {
  const { collect, cycle, statePath, ips, log, ...options } = await host(ownFolder(t))
  const files = new JsonFiles({ clock, onSetAside: () => undefined })
  const [day] = (await collect()).changed
  await rm(statePath)
  await markUploaded({ ...options, files }, day!)
  await appendFile(log, line('01 23:00:00,000', '[sshd] Ban 1.1.1.3'))
  t.equal((await cycle()).changed.length, 2)
  t.equal(await ips(FILE1), '1.1.1.1 1.1.1.2 1.1.1.3')
})

t.test('bans of something that is no address are counted', async t => {
  const { collect } = await host(ownFolder(t), DAY1 + line('01 10:00:01,000', '[web] Ban alice@example.net'))
  t.match(await collect(), { newEvents: 2, noAddress: 1 })
})

t.test('a day never holds more events than a day file takes', async t => {
  const event = { timestamp: '2026-03-01 00:00:00,000', action: 'Ban', ip: '9.9.9.9', jail: 'sshd' }
  const full = JSON.stringify(Array.from({ length: LIMITS.dayEvents - 1 }, () => event))
  const { collect, aside } = await host(ownFolder(t, { events: { [FILE1]: full } }))
  t.match(await collect(), { newEvents: 2, tooMany: 1 })
  await collect()
  t.strictSame(aside, [])
})
