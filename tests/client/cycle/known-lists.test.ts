import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KnownLists } from '../../../client/cycle/known-lists.js'
import { LocalLists } from '../../../client/cycle/local-lists.js'
import { settle } from '../../../client/cycle/settle.js'
import {
  JsonFiles,
  serialise,
  versionOf,
  type JsonKind,
  type Reading,
  type SetAside
} from '../../../common/json-file.js'
import { listName } from '../../../common/names.js'
import { ownVersion } from '../../../common/package-root.js'
import { sha256 } from '../../../common/sha256.js'
import { ownFolder } from '../../support/own-folder.js'

const SSHD = listName('sshd.blocklist.json')
const GOOD = '[\n{"ip":"203.0.113.1","pending":true}\n]\n'
const BAD = '[\n{"ip":5,"pending":true}\n]\n'

/** What reads files, and tells which were looked into. */
class Watched extends JsonFiles {
  readonly looked: string[] = []

  override async read<T>(path: string, kind: JsonKind<T>, how?: Reading) {
    this.looked.push(path)
    return super.read(path, kind, how)
  }
}

/** A host, as each of its cycles finds it. */
function hostIn(t: Test) {
  const dir = ownFolder(t)
  const path = join(dir, 'blocklists', SSHD)
  const memory = join(dir, 'known-lists.json')
  const aside: SetAside[] = []
  const cycle = () => {
    const files = new Watched({ clock: Date.now, onSetAside: event => aside.push(event) })
    const lists = new LocalLists(files, join(dir, 'blocklists'), new KnownLists(files, memory))
    return { lists, looked: () => files.looked.filter(one => one === path).length }
  }
  const knows = async (text: string, by = ownVersion()) => {
    const known = { version: await versionOf(path), sha256: sha256(text), characters: text.length }
    await writeFile(memory, JSON.stringify({ by, lists: { [SSHD]: known } }))
  }
  const put = async (text: string) => {
    await mkdir(join(dir, 'blocklists'), { recursive: true })
    await writeFile(path, text)
  }
  return { dir, path, memory, aside, cycle, knows, put }
}

t.test('what a copy holds is told without reading it, for as long as the file is as it was left', async t => {
  const { cycle, put, path, memory } = hostIn(t)
  await put(GOOD)
  const told = [[SSHD, { hash: sha256(GOOD), length: GOOD.length }]]
  const first = cycle()
  t.strictSame([...(await first.lists.held())], told)
  t.equal(first.looked(), 1, 'nothing was known')
  await first.lists.remember()
  const second = cycle()
  t.strictSame([...(await second.lists.held())], told)
  t.equal(second.looked(), 0)
  const before = await stat(memory)
  await second.lists.remember()
  t.equal((await stat(memory)).ino, before.ino, 'what is known already is not written again')

  await put(GOOD.replace('.1"', '.2"'))
  const third = cycle()
  t.strictSame([...(await third.lists.held())][0]?.[1].hash, sha256(GOOD.replace('.1"', '.2"')))
  t.equal(third.looked(), 1, 'another hand changed it')
  await utimes(path, 1, 1)
  t.ok((await cycle().lists.held()).has(SSHD))
})

t.test('what a cycle kept and what it replaced is known to the next one', async t => {
  const { cycle, path } = hostIn(t)
  const first = cycle()
  await first.lists.keep(SSHD, GOOD)
  await first.lists.remember()
  const second = cycle()
  t.equal((await second.lists.held()).get(SSHD)?.hash, sha256(GOOD))
  t.equal(second.looked(), 0)
  await second.lists.replace(SSHD, [{ ip: '203.0.113.1', pending: false }])
  await second.lists.remember()
  const third = cycle()
  t.equal((await third.lists.held()).get(SSHD)?.hash, sha256(await readFile(path)))
  t.equal(third.looked(), 0)
})

t.test('a change of rows of a known list leaves all else as it was, to the byte', async t => {
  const { cycle, path } = hostIn(t)
  const row = (ip: string, pending: boolean) => {
    const stamp = '2026-03-01T11:00:00+00:00'
    const before = { ip, jail: 'sshd', source: 'manual', timestamp: stamp, expires: null, reason: 'why' }
    return { ...before, active: true, lastModified: stamp, tags: ['one'], pending }
  }
  const [one, two, three] = ['203.0.113.1', '203.0.113.2', '203.0.113.3'] as const
  const text = serialise([row(one, false), row(two, true), row(three, false)], true)
  const first = cycle()
  await first.lists.keep(SSHD, text)
  await first.lists.remember()
  const { lists } = cycle()
  const list = (await lists.all()).get(SSHD) ?? []
  const settled = settle(
    list,
    () => true,
    () => false,
    0
  )
  await lists.replace(SSHD, settled.list)
  t.equal(await readFile(path, 'utf8'), text.replace('"pending":true', '"pending":false'))
  await lists.replace(SSHD, [settled.list[2]!, settled.list[0]!])
  t.equal(
    await readFile(path, 'utf8'),
    serialise([row(three, false), row(one, false)], true),
    'written whole'
  )
})

t.test(
  'bytes that passed are not checked again, others are: also where only the memory says they are the same',
  async t => {
    const { cycle, knows, put, aside } = hostIn(t)
    await put(BAD)
    await knows(BAD)
    t.ok((await cycle().lists.all()).has(SSHD), 'they were checked, the memory says')
    t.equal(aside.length, 0)

    await knows(GOOD)
    const lying = cycle()
    t.equal((await lying.lists.held()).get(SSHD)?.hash, sha256(GOOD))
    t.strictSame([...(await lying.lists.all())], [], 'bytes decide')
    t.match(aside, [{ reason: /ip/ }])
  }
)

t.test('a memory that is wrong of a good copy is put right by the cycle that reads it', async t => {
  const { cycle, knows, put } = hostIn(t)
  await put(GOOD)
  await knows(BAD)
  const first = cycle()
  t.equal((await first.lists.held()).get(SSHD)?.hash, sha256(BAD))
  t.ok((await first.lists.all()).has(SSHD))
  await first.lists.remember()
  t.equal((await cycle().lists.held()).get(SSHD)?.hash, sha256(GOOD))
})

t.test('another version of the product checks again', async t => {
  const { cycle, knows, put, aside } = hostIn(t)
  await put(BAD)
  await knows(BAD, '0.0.1')
  t.strictSame([...(await cycle().lists.held())], [])
  t.match(aside, [{ reason: /ip/ }])
})

t.test('a memory that is corrupt is set aside, and all is read as if there had been none', async t => {
  const { cycle, put, memory, aside, dir } = hostIn(t)
  await put(GOOD)
  for (const text of ['{', '[]', `{"by":"${ownVersion()}","lists":{"${SSHD}":{"version":1}}}`]) {
    await writeFile(memory, text)
    const { lists } = cycle()
    t.equal((await lists.held()).get(SSHD)?.hash, sha256(GOOD), text)
    await lists.remember()
  }
  t.equal(aside.length, 3)
  t.match(await readdir(dir), ['blocklists', 'known-lists.json'])
})

t.test('lists that are gone are forgotten', async t => {
  const { cycle, put, path, memory } = hostIn(t)
  await put(GOOD)
  const first = cycle()
  await first.lists.held()
  await first.lists.remember()
  t.match(await readFile(memory, 'utf8'), SSHD)
  await rm(path)
  await cycle().lists.remember()
  t.notMatch(await readFile(memory, 'utf8'), SSHD)
})
