import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { prepareFolders } from '../../../server/store/folders.js'
import { ownFolder } from '../../support/own-folder.js'

t.test('a start that comes to nothing leaves nothing behind, and takes nothing away', async t => {
  const dir = ownFolder(t)
  const path = (...parts: string[]) => join(dir, ...parts)
  await mkdir(path('temp'), { mode: 0o700 })
  await writeFile(path('file'), '')
  const folders = {
    archive: path('nowhere', 'at', 'all'),
    download: path('nowhere', 'download'),
    temp: path('temp'),
    settings: path('file', 'settings')
  }
  await t.rejects(prepareFolders(folders), { code: 'CONFIG', message: /--settings .*settings can't be used/ })
  t.strictSame((await readdir(dir)).sort(), ['file', 'temp'])
  t.strictSame(await prepareFolders({ ...folders, settings: path('settings') }), [
    folders.archive,
    folders.download,
    path('settings')
  ])
  await t.rejects(prepareFolders(folders), { code: 'CONFIG' })
  t.ok(existsSync(folders.archive), 'what was there before stays')
})
