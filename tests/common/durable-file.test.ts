import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { replaceDurably } from '../../common/durable-file.js'
import { ownFolder } from '../support/own-folder.js'

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

t.test('a file is replaced, its mode kept or set, and nothing is left beside it', async t => {
  const dir = ownFolder(t)
  const path = join(dir, 'file.conf')
  const before = process.umask(0o022)
  t.teardown(() => process.umask(before))
  await replaceDurably(path, 'new')
  t.equal(await modeOf(path), 0o644, 'as of any new file')
  await chmod(path, 0o640)
  await replaceDurably(path, 'kept')
  t.equal(await modeOf(path), 0o640)
  await replaceDurably(path, 'said', { mode: 0o600 })
  t.equal(await modeOf(path), 0o600)
  const long = 'ü'.repeat(2 * 1024 * 1024)
  await replaceDurably(path, long)
  t.equal(await readFile(path, 'utf8'), long)
  t.same(await readdir(dir), ['file.conf'])
})

t.test('a copy is nobody else’s to read before it takes the place of a private file', async t => {
  const dir = ownFolder(t)
  const path = join(dir, 'secret.conf')
  await writeFile(path, 'old', { mode: 0o600 })
  for (const how of [{}, { mode: 0o644 }]) {
    const beforeRename = async () => {
      const [copy] = (await readdir(dir)).filter(name => name !== 'secret.conf')
      t.match(copy, /^secret\.conf\.\d+$/)
      t.equal(await modeOf(join(dir, copy ?? '')), 0o600)
      t.equal(await readFile(path, 'utf8'), 'old', 'the file is still there')
    }
    await replaceDurably(path, 'old', { ...how, beforeRename })
  }
  t.equal(await modeOf(path), 0o644)
})

t.test('what a link leads to is replaced, in its own folder', async t => {
  const dir = ownFolder(t)
  await mkdir(join(dir, 'etc'))
  const [link, target] = [join(dir, 'link.json'), join(dir, 'etc', 'target.json')]
  await writeFile(target, 'old')
  await symlink(target, link)
  await replaceDurably(link, 'new')
  t.equal(await readFile(target, 'utf8'), 'new')
  t.same([await readdir(dir), await readdir(join(dir, 'etc'))], [['etc', 'link.json'], ['target.json']])
})

t.test('a link that leads nowhere is replaced itself', async t => {
  const dir = ownFolder(t)
  for (const [name, to] of [
    ['circle', 'circle'],
    ['gone', 'not-there']
  ] as const) {
    await symlink(join(dir, to), join(dir, name))
    await replaceDurably(join(dir, name), 'new', { mode: 0o600 })
    t.equal(await readFile(join(dir, name), 'utf8'), 'new')
  }
  t.same((await readdir(dir)).sort(), ['circle', 'gone'])
})

t.test('a replacement that is given up leaves the file as it is, and no copy', async t => {
  const dir = ownFolder(t)
  const path = join(dir, 'file.json')
  await writeFile(path, 'old')
  const given = new Error('given up')
  await t.rejects(replaceDurably(path, 'new', { beforeRename: () => Promise.reject(given) }), given)
  await mkdir(join(dir, 'folder'))
  await t.rejects(replaceDurably(join(dir, 'folder'), 'new'), { code: 'EISDIR' })
  await t.rejects(replaceDurably(join(dir, 'missing', 'file.json'), 'new'), { code: 'ENOENT' })
  t.equal(await readFile(path, 'utf8'), 'old')
  t.same((await readdir(dir)).sort(), ['file.json', 'folder'])
})

t.test('a program that is told to end meanwhile leaves no copy', async t => {
  const dir = ownFolder(t)
  const module = JSON.stringify(resolve('common/durable-file.ts'))
  const script = `
    import { replaceDurably } from ${module}
    await replaceDurably(process.argv[1], 'new', {
      beforeRename: () => new Promise(() => { process.stdout.write('staged'); setInterval(() => undefined, 1000) })
    })`
  const args = ['--import=tsx', '--input-type=module', '-e', script, join(dir, 'file.conf')]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  t.equal((await readdir(dir)).length, 1)
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [null, 'SIGTERM'])
  t.same(await readdir(dir), [])
})
