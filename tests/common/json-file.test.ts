import { spawnSync } from 'node:child_process'
import {
  chmod,
  chown,
  mkdir,
  readFile,
  readdir,
  readlink,
  rm,
  rmdir,
  stat,
  symlink,
  utimes,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import * as Type from 'typebox'
import t from 'tap'
import { JsonFiles, type JsonKind, type SetAside } from '../../common/json-file.js'
import { shapeCheck } from '../../common/shapes.js'
import { ownFolder } from '../support/own-folder.js'

const notRoot = process.getuid?.() === 0 ? false : 'only root can give files away'
const NUMBERS: JsonKind<number[]> = {
  check: shapeCheck(Type.Array(Type.Number())),
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}
const make = (options: { wait?: number; stale?: number } = {}) => {
  const aside: SetAside[] = []
  const files = new JsonFiles({
    clock: () => Date.parse('2026-03-01T12:00:00Z'),
    onSetAside: event => aside.push(event),
    times: { wait: options.wait ?? 5000, stale: options.stale ?? 5000 }
  })
  return { files, aside }
}
/** Something to wait for until it is opened. */
const gate = () => {
  let open: () => void = () => undefined
  const opened = new Promise<void>(resolve => (open = resolve))
  return { opened, open }
}
const add = (files: JsonFiles, path: string, item: number, kind = NUMBERS) =>
  files.change(path, kind, ({ value }) => ({ value: [...value, item], result: undefined }))

t.test('a change creates folder and file with tight modes, and leaves no lock and no copy', async t => {
  const { files } = make()
  const path = join(ownFolder(t), 'a', 'b', 'numbers.json')
  await add(files, path, 1)
  await add(files, path, 2)
  t.strictSame(JSON.parse(await readFile(path, 'utf8')), [1, 2])
  t.equal((await stat(path)).mode & 0o777, 0o640)
  t.equal((await stat(join(path, '..'))).mode & 0o777, 0o750)
  t.strictSame(await readdir(join(path, '..')), ['numbers.json'])
})

t.test('an existing file keeps its mode', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  await chmod(path, 0o664)
  await add(files, path, 2)
  t.equal((await stat(path)).mode & 0o777, 0o664)
})

t.test('a hundred changes at once from two instances lose nothing', async t => {
  const path = join(ownFolder(t), 'numbers.json')
  const [one, other] = [make({ wait: 20_000 }).files, make({ wait: 20_000 }).files]
  await Promise.all(Array.from({ length: 100 }, (_, n) => add(n % 2 === 0 ? one : other, path, n)))
  const found = JSON.parse(await readFile(path, 'utf8')) as number[]
  t.strictSame(
    found.sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, n) => n)
  )
})

t.test('an outside edit is seen by the next read', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  t.strictSame((await files.read(path, NUMBERS)).value, [1])
  await writeFile(path, '[2]')
  t.strictSame((await files.read(path, NUMBERS)).value, [2])
})

t.test('a file that grows while it is read is read to its end', async t => {
  // What the system tells of itself has no size before it is read.
  const path = '/proc/self/oom_score_adj'
  const kind: JsonKind<unknown> = { ...NUMBERS, check: () => undefined, empty: () => 0, corrupt: 'refuse' }
  const { text } = await make().files.read(path, kind)
  t.equal(text, await readFile(path, 'utf8'))
  t.ok(text.length > 1)
})

t.test('something smaller is made of a file’s bytes, or else of what they say', async t => {
  const path = join(ownFolder(t, {}), 'numbers.json')
  const { files, aside } = make()
  const made = () =>
    files.readInto(path, NUMBERS, {
      quick: bytes => (bytes.toString().startsWith('[1') ? `quick ${bytes.length}` : undefined),
      whole: numbers => `whole ${numbers.length}`
    })
  t.equal(await made(), 'whole 0', 'a missing file')
  await writeFile(path, '[1,2]')
  t.equal(await made(), 'quick 5')
  await writeFile(path, '[2,3]\n')
  t.equal(await made(), 'whole 2')
  await writeFile(path, '[1]')
  await files.read(path, NUMBERS)
  t.equal(await made(), 'whole 1', 'a file that is known is not read again')
  await writeFile(path, '{"no": "numbers"}')
  t.equal(await made(), 'whole 0')
  t.equal(aside.length, 1)
})

t.test('a corrupt file is set aside, told of, and never overwritten', async t => {
  for (const bad of ['[1,', '{"a":1}', '', '["x"]']) {
    const { files, aside } = make()
    const dir = ownFolder(t, { 'numbers.json': bad })
    const path = join(dir, 'numbers.json')
    await add(files, path, 7)
    t.strictSame(JSON.parse(await readFile(path, 'utf8')), [7])
    t.equal(aside.length, 1)
    t.equal(await readFile(aside[0]!.movedTo, 'utf8'), bad, 'its content is kept')
    t.match(aside[0]!.movedTo, /numbers\.json\.corrupt-2026-03-01T120000$/)
  }
})

t.test('a second corrupt file within the same second is set aside beside the first', async t => {
  const { files, aside } = make()
  const path = join(ownFolder(t), 'numbers.json')
  for (const bad of ['[1,', '[2,', '[3,']) {
    await writeFile(path, bad)
    await files.read(path, NUMBERS)
  }
  t.strictSame(await Promise.all(aside.map(({ movedTo }) => readFile(movedTo, 'utf8'))), [
    '[1,',
    '[2,',
    '[3,'
  ])
})

t.test('nothing is written that a reader would set aside', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  const write = files.change(path, NUMBERS, () => ({ value: ['x'] as never, result: undefined }))
  await t.rejects(write, { code: 'CONFLICT', message: /numbers\.json/ })
  t.equal(await readFile(path, 'utf8'), '[1]')
})

t.test("what root makes belongs to the folder's owner", { skip: notRoot }, async t => {
  const dir = ownFolder(t)
  await chown(dir, 12_345, 23_456)
  const path = join(dir, 'a', 'b', 'numbers.json')
  await add(make().files, path, 1)
  for (const made of [join(dir, 'a'), join(dir, 'a', 'b'), path]) {
    t.match(await stat(made), { uid: 12_345, gid: 23_456 }, made)
  }
})

t.test('a corrupt settings file stays where it is, and every use says so', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { 'numbers.json': '[1' }), 'numbers.json')
  const kind = { ...NUMBERS, corrupt: 'refuse' as const }
  await t.rejects(files.read(path, kind), { code: 'FILE_CORRUPT' })
  await t.rejects(add(files, path, 1, kind), { code: 'FILE_CORRUPT' })
  t.equal(await readFile(path, 'utf8'), '[1')
})

t.test('a decision that throws changes nothing and frees the lock', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  await t.rejects(
    files.change(path, NUMBERS, () => {
      throw new Error('no')
    }),
    /no/
  )
  await add(files, path, 2)
  t.strictSame((await files.read(path, NUMBERS)).value, [1, 2])
})

t.test('a lock held by another process ends in LOCK_TIMEOUT', async t => {
  const path = join(ownFolder(t, { 'numbers.json': '[]' }), 'numbers.json')
  await mkdir(`${path}.lock`)
  await t.rejects(add(make({ wait: 200, stale: 60_000 }).files, path, 1), {
    code: 'LOCK_TIMEOUT',
    status: 503
  })
})

t.test('a dead holder counts by its silence, whatever the clocks say', async t => {
  for (const wrong of [-120_000, 0, 3 * 3_600_000]) {
    const path = join(ownFolder(t, { 'numbers.json': '[]' }), 'numbers.json')
    await mkdir(`${path}.lock`)
    const stamp = new Date(Date.now() + wrong)
    await utimes(`${path}.lock`, stamp, stamp)
    await t.rejects(add(make({ wait: 100, stale: 2000 }).files, path, 1), { code: 'LOCK_TIMEOUT' })
    await add(make({ wait: 4000, stale: 300 }).files, path, 1)
    t.strictSame(JSON.parse(await readFile(path, 'utf8')), [1])
  }
})

t.test('a living holder keeps its lock when the clock is set', async t => {
  const { now } = Date
  t.teardown(() => (Date.now = now))
  const path = join(ownFolder(t, { 'numbers.json': '[]' }), 'numbers.json')
  const order: number[] = []
  const slow = make({ stale: 4000 }).files.locked(path, async lock => {
    Date.now = () => now() + 3_600_000
    await new Promise(resolve => setTimeout(resolve, 1500))
    await lock.check()
    order.push(1)
  })
  await new Promise(resolve => setTimeout(resolve, 200))
  await make({ stale: 4000 }).files.locked(path, async () => order.push(2))
  await slow
  t.strictSame(order, [1, 2])
})

t.test('all who wait for a lock that stays taken end together, not one after the other', async t => {
  const path = join(ownFolder(t, { 'numbers.json': '[]' }), 'numbers.json')
  await mkdir(`${path}.lock`)
  const { files } = make({ wait: 400, stale: 60_000 })
  const since = performance.now()
  const ends = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => add(files, path, n)))
  t.ok(ends.every(end => end.status === 'rejected'))
  t.ok(performance.now() - since < 2000, `${performance.now() - since} ms`)
})

t.test('a lock that was taken over is noticed before the write, and is not removed', async t => {
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  const change = make().files.change(path, NUMBERS, async () => {
    await rmdir(`${path}.lock`)
    await mkdir(`${path}.lock`)
    return { value: [2], result: undefined }
  })
  await t.rejects(change, { code: 'LOCK_LOST', status: 503 })
  t.equal(await readFile(path, 'utf8'), '[1]')
  t.ok((await stat(`${path}.lock`)).isDirectory(), "it is the other's")
})

t.test(
  'a lock from the future is waited for while its holder lives, and taken over when it is dead',
  async t => {
    const path = join(ownFolder(t, { 'numbers.json': '[]' }), 'numbers.json')
    await mkdir(`${path}.lock`)
    const future = () => new Date(Date.now() + 3_600_000)
    await utimes(`${path}.lock`, future(), future())
    const refreshing = setInterval(() => void utimes(`${path}.lock`, future(), future()), 50)
    await t.rejects(add(make({ wait: 2500, stale: 2000 }).files, path, 1), { code: 'LOCK_TIMEOUT' })
    clearInterval(refreshing)
    await add(make({ wait: 20_000, stale: 2000 }).files, path, 1)
    t.strictSame(JSON.parse(await readFile(path, 'utf8')), [1])
  }
)

t.test('a file grows no larger than its kind allows', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  await t.rejects(add(files, path, 123_456, { ...NUMBERS, most: 12 }), {
    code: 'CONFLICT',
    message: /12 bytes/
  })
  t.equal(await readFile(path, 'utf8'), '[1]')
})

t.test('a lock that was lost aborts the write', async t => {
  const { files } = make({ stale: 2000 })
  const path = join(ownFolder(t, { 'numbers.json': '[1]' }), 'numbers.json')
  const change = files.change(path, NUMBERS, async () => {
    // Another process took the lock for dead: proper-lockfile notices at its next refresh.
    const stolen = new Date(Date.now() - 50_000)
    await utimes(`${path}.lock`, stolen, stolen)
    await new Promise(resolve => setTimeout(resolve, 1500))
    return { value: [2], result: undefined }
  })
  await t.rejects(change, { code: 'LOCK_LOST' })
  t.equal(await readFile(path, 'utf8'), '[1]')
})

t.test('a file is replaced once what goes on beside its copy has ended', async t => {
  const { files } = make()
  const dir = ownFolder(t, { 'numbers.json': '[1]' })
  const path = join(dir, 'numbers.json')
  const beside = gate()
  const change = files.change(path, NUMBERS, () => ({
    value: [2],
    before: text => {
      t.equal(text, '[\n2\n]\n')
      return beside.opened
    },
    result: undefined
  }))
  const copied = async () => {
    const copies = (await readdir(dir)).filter(name => /\.json\.\d+$/.test(name))
    return (await Promise.all(copies.map(name => readFile(join(dir, name), 'utf8')))).includes('[\n2\n]\n')
  }
  while (!(await copied()));
  t.equal(await readFile(path, 'utf8'), '[1]', 'the copy is there, and the file as it was')
  beside.open()
  await change
  t.strictSame(JSON.parse(await readFile(path, 'utf8')), [2])
})

t.test('what goes on beside the copy fails: the file stays, and no copy', async t => {
  const { files } = make()
  const dir = ownFolder(t, { 'numbers.json': '[1]' })
  const path = join(dir, 'numbers.json')
  const failing = () => Promise.reject(new Error('no note'))
  await t.rejects(
    files.change(path, NUMBERS, () => ({ value: [2], before: failing, result: undefined })),
    /no note/
  )
  t.equal(await readFile(path, 'utf8'), '[1]')
  t.strictSame(await readdir(dir), ['numbers.json'])
  t.strictSame((await files.read(path, NUMBERS)).value, [1])
})

t.test('a lock is held until what goes on beside a copy that failed has ended', async t => {
  const { files } = make()
  const path = join(ownFolder(t, { gone: { 'numbers.json': '[1]' } }), 'gone', 'numbers.json')
  const beside = gate()
  let ended = false
  const change = files.change(path, NUMBERS, async () => {
    await rm(join(path, '..'), { recursive: true })
    return { value: [2], before: () => beside.opened, result: undefined }
  })
  const failed = t.rejects(change, { code: 'DISK' }).then(() => (ended = true))
  const next = add(files, path, 3).then(() => t.ok(ended, 'the next waits its turn'))
  // Time enough for the copy to fail: a folder below its own is refused later.
  for (let turn = 0; turn < 50; turn++) await readdir(join(path, '..', '..'))
  t.notOk(ended)
  beside.open()
  await Promise.all([failed, next])
})

interface Row {
  id: number
}
const rowsOf = (told: { whole: number; row: number }): JsonKind<Row[]> => {
  const whole = shapeCheck(Type.Array(Type.Object({ id: Type.Number() }), { maxItems: 3 }))
  const row = shapeCheck(Type.Object({ id: Type.Number() }))
  return {
    ...{ empty: () => [], corrupt: 'set-aside', mode: 0o640, rows: true },
    check: value => (told.whole++, whole(value)),
    row: { check: value => (told.row++, row(value)), most: 3 }
  }
}

t.test('of a change told by its rows no others are looked at, and the text is the same', async t => {
  for (const text of ['[\n{"id":1},\n{"id":2}\n]\n', '[{"id":1},{"id":2}]']) {
    const told = { whole: 0, row: 0 }
    const { files } = make()
    const path = join(ownFolder(t, { 'rows.json': text }), 'rows.json')
    await files.change(path, rowsOf(told), ({ value: [one, two] }) => {
      const set = [[2, { id: 3 }]] as const
      return { value: [one!, two!, set[0][1]], rows: { set, gone: [] }, result: undefined }
    })
    t.equal(await readFile(path, 'utf8'), '[\n{"id":1},\n{"id":2},\n{"id":3}\n]\n')
    t.strictSame(told, { whole: 1, row: 1 }, 'the whole was looked at when it was read')
    t.strictSame((await files.read(path, rowsOf(told))).value, [{ id: 1 }, { id: 2 }, { id: 3 }])
    for (const bad of [{ id: 'x' }, { id: 4 }] as unknown as Row[]) {
      const change = files.change(path, rowsOf(told), ({ value }) => {
        const rows = { set: [[3, bad]] as const, gone: [] }
        return { value: [...value, bad], rows, result: undefined }
      })
      await t.rejects(change, { code: 'CONFLICT' }, 'a bad row, and one too many')
    }
  }
})

t.test('a change sees what other hands made of a file that is known', async t => {
  const { files } = make()
  const path = join(ownFolder(t), 'numbers.json')
  await add(files, path, 1)
  await writeFile(path, '[5]')
  await add(files, path, 2)
  t.strictSame(JSON.parse(await readFile(path, 'utf8')), [5, 2])
})

t.test('what a link among the settings leads to is replaced, and the link stays', async t => {
  const { files } = make()
  const dir = ownFolder(t, { etc: { 'numbers.json': '[1]' }, settings: {} })
  const [real, path] = [join(dir, 'etc', 'numbers.json'), join(dir, 'settings', 'numbers.json')]
  await symlink(real, path)
  await chmod(real, 0o604)
  await add(files, path, 2, { ...NUMBERS, corrupt: 'refuse' })
  t.strictSame(JSON.parse(await readFile(real, 'utf8')), [1, 2])
  t.equal((await stat(real)).mode & 0o777, 0o604)
  t.equal(await readlink(path), real)
  t.strictSame(await readdir(join(dir, 'etc')), ['numbers.json'])
  t.strictSame(await readdir(join(dir, 'settings')), ['numbers.json'])
})

t.test('a symbolic link in a data folder is not followed', async t => {
  const { files } = make()
  const dir = ownFolder(t, { secret: '[1]' })
  await symlink(join(dir, 'secret'), join(dir, 'numbers.json'))
  await t.rejects(files.read(join(dir, 'numbers.json'), NUMBERS), { code: 'UNREADABLE' })
})

t.test('a pipe in place of a file is not waited for', async t => {
  const { files, aside } = make()
  const path = join(ownFolder(t), 'numbers.json')
  t.equal(spawnSync('mkfifo', [path]).status, 0)
  await add(files, path, 1)
  t.strictSame(JSON.parse(await readFile(path, 'utf8')), [1])
  t.equal(aside.length, 1)
})

t.test('a text that is written in a thread is the same as one written at once', async t => {
  const { files } = make()
  const path = join(ownFolder(t), 'numbers.json')
  for (const length of [1, 10_000, 100_000]) {
    const numbers = Array.from({ length }, (_, n) => n)
    await files.change(path, NUMBERS, () => ({ value: numbers, result: undefined }))
    t.strictSame(JSON.parse(await readFile(path, 'utf8')), numbers)
  }
})

const noMount = process.getuid?.() === 0 ? false : 'mounting a small file system needs root'
t.test('a full disk is an error and the good file stays', { skip: noMount }, async t => {
  const dir = ownFolder(t, { small: {} })
  const small = join(dir, 'small')
  t.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', small]).status, 0)
  try {
    const { files } = make()
    const path = join(small, 'numbers.json')
    await add(files, path, 1)
    const big = Array.from({ length: 20_000 }, (_, n) => n)
    await t.rejects(
      files.change(path, NUMBERS, () => ({ value: big, result: undefined })),
      { code: 'DISK', status: 507 }
    )
    t.strictSame(JSON.parse(await readFile(path, 'utf8')), [1])
    t.strictSame(await readdir(small), ['numbers.json'])
  } finally {
    spawnSync('umount', ['-l', small])
  }
})

t.test('copies and locks that killed writers left are removed, those of a living one are not', async t => {
  const { files } = make({ wait: 2500, stale: 1500 })
  const dir = ownFolder(t, {
    'a.json.123': '',
    'b.json.9': '',
    'c.json': '',
    'd.json.corrupt-1': '',
    'e.json.7': '',
    'f.jsonl.1': 'older rows of an audit trail'
  })
  await mkdir(join(dir, 'f.jsonl.lock'))
  await mkdir(join(dir, 'b.json.lock'))
  await mkdir(join(dir, 'sync.lock'))
  const living = make({ stale: 4000 }).files.locked(join(dir, 'e.json'), async () => {
    await files.removeAbandoned(dir)
    return readdir(dir)
  })
  t.strictSame(await living, [
    'c.json',
    'd.json.corrupt-1',
    'e.json.7',
    'e.json.lock',
    'f.jsonl.1',
    'sync.lock'
  ])
  await files.removeAbandoned(dir)
  t.strictSame(await readdir(dir), ['c.json', 'd.json.corrupt-1', 'f.jsonl.1', 'sync.lock'])
})
