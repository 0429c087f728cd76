import { mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LocalLists } from '../../../client/cycle/local-lists.js'
import { sha256 } from '../../../common/sha256.js'
import { JsonFiles, type SetAside } from '../../../common/json-file.js'
import { listName } from '../../../common/names.js'
import { ownFolder } from '../../support/own-folder.js'

const SSHD = listName('sshd.blocklist.json')
const NGINX = listName('nginx.blocklist.json')

function listsIn(t: Test) {
  const folder = join(ownFolder(t), 'blocklists')
  const aside: SetAside[] = []
  const files = new JsonFiles({
    clock: () => Date.parse('2026-03-01T12:00:00Z'),
    onSetAside: event => aside.push(event)
  })
  return { lists: new LocalLists(files, folder), folder, path: (name: string) => join(folder, name), aside }
}

t.test('a folder that is not there holds no lists', async t => {
  const { lists } = listsIn(t)
  t.strictSame(await lists.all(), new Map())
  t.strictSame(await lists.held(), new Map())
  t.equal(await lists.text(SSHD), '')
})

t.test('a downloaded list is kept to the byte, for its owner and group alone', async t => {
  const { lists, path } = listsIn(t)
  const text = '[ {"ip":"203.0.113.1",\n"jail" : "sshd", "extra": [1]} ]\n\n'
  await lists.keep(SSHD, text)
  t.equal(await readFile(path(SSHD), 'utf8'), text)
  t.equal((await stat(path(SSHD))).mode & 0o777, 0o640)
  t.equal(await lists.text(SSHD), text)
  const all = await lists.all()
  t.strictSame([...all], [[SSHD, [{ ip: '203.0.113.1', jail: 'sshd', extra: [1] }]]])
  t.strictSame([...(await lists.held())], [[SSHD, { hash: sha256(text), length: text.length }]])
})

t.test('keeping what is there already writes nothing', async t => {
  const { lists, path } = listsIn(t)
  await lists.keep(SSHD, '[]')
  const before = await stat(path(SSHD), { bigint: true })
  await lists.keep(SSHD, '[]')
  t.equal((await stat(path(SSHD), { bigint: true })).ino, before.ino)
  await lists.keep(SSHD, '[]\n')
  t.equal(await readFile(path(SSHD), 'utf8'), '[]\n', 'another byte is another list')
})

t.test('a list written by PHP, an object of numbered rows, is read as the array it was', async t => {
  const { lists } = listsIn(t)
  await lists.keep(SSHD, '{"0":{"ip":"203.0.113.1"},"2":{"ip":"203.0.113.2"}}')
  t.strictSame((await lists.all()).get(SSHD), [{ ip: '203.0.113.1' }, { ip: '203.0.113.2' }])
})

t.test('a bad list is not kept: the old copy stays', async t => {
  const { lists, path } = listsIn(t)
  await lists.keep(SSHD, '[{"ip":"203.0.113.1"}]')
  const bad = [
    '',
    '[',
    '[{"ip":',
    'null',
    '"x"',
    '{}',
    '{"a":1}',
    '[{}]',
    '[{"ip":1}]',
    '[{"ip":""}]',
    '[[]]'
  ]
  bad.push('[{"ip":"203.0.113.1","active":"yes"}]', `[{"ip":"${'1'.repeat(65)}"}]`, '<html>502</html>')
  for (const text of bad) await t.rejects(lists.keep(SSHD, text), Error, text)
  t.equal(await readFile(path(SSHD), 'utf8'), '[{"ip":"203.0.113.1"}]')
  await t.rejects(lists.keep(NGINX, '['))
  t.strictSame(await readdir(path('')), [SSHD], 'and no other file is left')
})

t.test('a corrupt copy is set aside with its bytes, told once, and no longer counted as held', async t => {
  const { lists, folder, path, aside } = listsIn(t)
  await lists.keep(SSHD, '[]')
  await lists.keep(NGINX, '[]')
  await writeFile(path(SSHD), '[{"ip":"203.0.113.1"},')
  const all = await lists.all()
  t.strictSame([...all.keys()], [NGINX])
  t.strictSame([...(await lists.held()).keys()], [NGINX])
  t.match(aside, [{ path: path(SSHD), reason: 'not JSON' }])
  t.equal(await readFile(aside[0]?.movedTo ?? '', 'utf8'), '[{"ip":"203.0.113.1"},')
  await lists.all()
  t.equal(aside.length, 1)
  await lists.keep(SSHD, '[]')
  t.strictSame([...(await lists.all()).keys()], [NGINX, SSHD])
  t.equal((await readdir(folder)).length, 3, 'what was set aside stays beside the new copy')
})

t.test('only names of lists are read', async t => {
  const { lists, folder, path } = listsIn(t)
  await mkdir(folder)
  for (const name of ['sshd.json', '.sshd.blocklist.json', 'a b.blocklist.json', 'update.json', 'x.txt'])
    await writeFile(path(name), 'no JSON')
  await writeFile(path('SSHD_2-x.blocklist.json'), '[]')
  t.strictSame([...(await lists.all()).keys()], ['SSHD_2-x.blocklist.json'])
})

t.test('a link among the lists is not followed', async t => {
  const { lists, folder, path } = listsIn(t)
  await mkdir(folder)
  await writeFile(join(folder, '..', 'elsewhere.json'), '[]')
  await symlink('../elsewhere.json', path(SSHD))
  await t.rejects(lists.all(), { code: 'UNREADABLE' })
})

t.test('entries are replaced, one a line', async t => {
  const { lists, path } = listsIn(t)
  await lists.keep(SSHD, '[{"ip":"203.0.113.1","pending":true}]')
  await lists.replace(SSHD, [{ ip: '203.0.113.1', pending: false }, { ip: '2001:db8::1' }])
  t.equal(
    await readFile(path(SSHD), 'utf8'),
    '[\n{"ip":"203.0.113.1","pending":false},\n{"ip":"2001:db8::1"}\n]\n'
  )
  t.equal(await lists.text(SSHD), await readFile(path(SSHD), 'utf8'))
})
