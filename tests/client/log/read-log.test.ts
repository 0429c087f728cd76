import fc from 'fast-check'
import { spawnSync } from 'node:child_process'
import { appendFile, copyFile, mkdir, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readLog, type LogPosition } from '../../../client/log/read-log.js'
import { ownFolder } from '../../support/own-folder.js'

let time = 0
/** A line of 70 bytes or so, no two alike. */
const ban = (ip: string) =>
  `2026-03-01 10:00:00,${String(time++).padStart(3, '0')} fail2ban.actions        [1]: NOTICE  [sshd] Ban ${ip}\n`
const found = (ip: string) => ban(ip).replace('actions', 'filter').replace('Ban', 'Found')

/** Reads on from where it stopped, as runs of the client do; gives the addresses of the lines. */
function reader(log: string) {
  const runs = {
    position: undefined as LogPosition | undefined,
    bytesRead: 0,
    gap: false,
    read: async (): Promise<string> => {
      const ips: string[] = []
      const reading = await readLog(log, runs.position, line => ips.push(line.split(' ').at(-1) ?? ''))
      // The state file is JSON.
      runs.position = JSON.parse(JSON.stringify(reading.position)) as LogPosition
      runs.bytesRead = reading.bytesRead
      runs.gap = reading.gap
      return ips.join(' ')
    }
  }
  return runs
}

t.test('a second run reads what was appended, and nothing else', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, (ban('1.1.1.1') + found('1.1.1.2')).repeat(1000) + ban('1.1.1.3'))
  t.equal((await run.read()).split(' ').length, 1001)
  t.equal(run.bytesRead, (await stat(log)).size)
  t.equal(await run.read(), '')
  t.equal(run.bytesRead, 0)
  const line = ban('2.2.2.2')
  await appendFile(log, line)
  t.equal(await run.read(), '2.2.2.2')
  t.equal(run.bytesRead, line.length)
})

t.test('a line that is not finished waits until it is', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1') + ban('1.2.3.45').slice(0, -2))
  t.equal(await run.read(), '1.1.1.1')
  t.equal(await run.read(), '')
  await appendFile(log, '5\n')
  t.equal(await run.read(), '1.2.3.45')
})

t.test('rotation by rename: the rest of the old file comes first, then the new one', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await appendFile(log, ban('1.1.1.2'))
  await rename(log, `${log}.1`)
  await writeFile(log, ban('2.2.2.1') + ban('2.2.2.2'))
  t.equal(await run.read(), '1.1.1.2 2.2.2.1 2.2.2.2')
  t.equal(run.gap, false)
  t.equal(await run.read(), '')
})

t.test('what fail2ban still writes to the renamed file is read too', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await rename(log, `${log}.1`)
  await writeFile(log, '')
  t.equal(await run.read(), '')
  await appendFile(`${log}.1`, ban('1.1.1.2'))
  t.equal(await run.read(), '1.1.1.2')
  await appendFile(`${log}.1`, ban('1.1.1.3'))
  await appendFile(log, ban('2.2.2.2'))
  t.equal(await run.read(), '1.1.1.3 2.2.2.2')
})

t.test('a log that was empty when it was first seen, and was rotated since', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, '')
  t.equal(await run.read(), '')
  await appendFile(log, ban('1.1.1.1'))
  await rename(log, `${log}.1`)
  await writeFile(log, ban('2.2.2.2'))
  t.equal(await run.read(), '1.1.1.1 2.2.2.2')
})

t.test('two rotations between two runs', async t => {
  const dir = ownFolder(t)
  const log = join(dir, 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await appendFile(log, ban('1.1.1.2'))
  await rename(log, `${log}.2`)
  await utimes(`${log}.2`, 1000, 1000)
  await writeFile(`${log}.1`, ban('2.2.2.2'))
  await utimes(`${log}.1`, 2000, 2000)
  await writeFile(log, ban('3.3.3.3'))
  // Neither of these is logrotate's.
  await copyFile(`${log}.2`, `${log}.bak`)
  await mkdir(`${log}.3`)
  await writeFile(join(dir, 'fail2ban.log.4.gz'), ban('9.9.9.9'))
  t.equal(await run.read(), '1.1.1.2 2.2.2.2 3.3.3.3')
  t.equal(await run.read(), '')
})

t.test('rotated files may carry the date', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await appendFile(log, ban('1.1.1.2'))
  await rename(log, `${log}-20260301`)
  await writeFile(log, ban('2.2.2.2'))
  t.equal(await run.read(), '1.1.1.2 2.2.2.2')
})

t.test('rotation by copy and truncation', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1') + ban('1.1.1.2'))
  await run.read()
  await appendFile(log, ban('1.1.1.3'))
  await copyFile(log, `${log}.1`)
  await truncate(log)
  await appendFile(log, ban('2.2.2.2'))
  t.equal(await run.read(), '1.1.1.3 2.2.2.2')
  t.equal(run.gap, false)
  t.equal(await run.read(), '')
})

t.test('truncated, and grown past the old end', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await truncate(log)
  await appendFile(log, ban('2.2.2.1') + ban('2.2.2.2') + ban('2.2.2.3'))
  t.equal(await run.read(), '2.2.2.1 2.2.2.2 2.2.2.3')
  t.equal(run.gap, true, 'and it says that the rest of the old file was not found')
})

t.test('emptied without a copy: the gap is told once', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await truncate(log)
  await run.read()
  t.equal(run.gap, true)
  await appendFile(log, ban('2.2.2.2'))
  t.equal(await run.read(), '2.2.2.2')
  t.equal(run.gap, false)
})

t.test('a rotated file that is another one is not read', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  await writeFile(log, ban('1.1.1.1'))
  await run.read()
  await rm(log)
  await writeFile(`${log}.1`, ban('7.7.7.7').repeat(5))
  await writeFile(log, ban('2.2.2.2').repeat(2))
  t.equal(await run.read(), '2.2.2.2 2.2.2.2')
})

t.test('a log that is missing or no file is an error that names the setting', async t => {
  const dir = ownFolder(t, { folder: {} })
  const refused = (path: string, why: RegExp) =>
    t.rejects(
      readLog(path, undefined, () => undefined),
      { code: 'CONFIG', message: why }
    )
  await refused(join(dir, 'none.log'), /none\.log can't be read \(ENOENT\); name it with --log FILE/)
  await refused(join(dir, 'folder'), /no plain file.*--log/)
  spawnSync('mkfifo', [join(dir, 'pipe')])
  await refused(join(dir, 'pipe'), /no plain file.*--log/)
})

t.test('a line over 64 KiB is passed over, and its end is never taken for a line', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const run = reader(log)
  const long = ban('9.9.9.9').trimEnd() + ' '.repeat(70_000)
  await writeFile(log, ban('1.1.1.1') + long)
  t.equal(await run.read(), '1.1.1.1')
  await appendFile(log, ban('8.8.8.8'))
  t.equal(await run.read(), '', 'the tail of the long line looks like a whole one')
  await appendFile(log, ban('2.2.2.2') + long + '\n' + ban('3.3.3.3'))
  t.equal(await run.read(), '2.2.2.2 3.3.3.3')
})

t.test('a log without a line end takes no more memory than a short one', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  await writeFile(log, 'Ban '.repeat(256 * 1024))
  for (let at = 0; at < 6; at++) await appendFile(log, Buffer.alloc(8 * 1024 * 1024, 'Ban '))
  const before = process.memoryUsage().arrayBuffers
  await readLog(log, undefined, () => t.fail('there is no line'))
  t.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024)
})

t.test('whatever the bytes and however they are read, the lines are the same', async t => {
  const log = join(ownFolder(t), 'fail2ban.log')
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
    fc
      .constantFrom(
        '\n',
        '\r\n',
        'Ban ',
        'Unban ',
        'ä監',
        ban('1.1.1.1'),
        found('1.1.1.2'),
        'x'.repeat(65_600)
      )
      .map(text => Buffer.from(text))
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 3 }),
      fc.integer({ min: 1, max: 300 }),
      async (pieces, cuts, chunk) => {
        const bytes = Buffer.concat(pieces)
        // As plainly as can be.
        const expected = bytes
          .toString('latin1')
          .split('\n')
          .slice(0, -1)
          .filter(line => /Ban |Unban /.test(line) && line.length <= 65_536)
          .map(line => Buffer.from(line.replace(/\r$/, ''), 'latin1').toString('utf8'))
        const ends = [...cuts.map(cut => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
        const lines: string[] = []
        let position: LogPosition | undefined
        await writeFile(log, '')
        let written = 0
        for (const end of ends) {
          await appendFile(log, bytes.subarray(written, end))
          written = end
          const wide = bytes.length > 60_000 ? chunk * 500 : chunk
          ;({ position } = await readLog(log, position, line => lines.push(line), wide))
        }
        t.strictSame(lines, expected)
      }
    ),
    { numRuns: 300, seed: 1 }
  )
})
