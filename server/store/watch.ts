import { watch as watchNames } from 'node:fs'
import { join, resolve } from 'node:path'
import { watch } from 'chokidar'
import type { JsonFiles } from '../../common/json-file.js'
import type { Folders } from './folders.js'

// Locks, half-written copies and audit rows come and go with every write; the live notes are what is waited for.
const PASSING = /\.lock(\/|$)|\.json\.\d+$|\.jsonl(\.\d+)?$/

/**
 * Notices edits of the settings and of the files at the archive's top (update.json, whitelist.json) by other hands, so
 * that what is remembered of them goes at once. What is correct never hangs on it: every read checks the file's version
 * itself (other machines' edits of a shared file system raise no event here). Hosts' folders are not watched: a watch
 * on each of a large fleet's files would cost more memory than the data.
 * @param changed told the path of each file that came, changed or went
 * @param failed told once when the system refuses to watch
 * @returns stops watching
 */
export function watchFolders(
  folders: Folders,
  files: JsonFiles,
  changed: (path: string) => void,
  failed: (error: unknown) => void
): () => Promise<void> {
  const note = (path: string) => {
    files.forget(path)
    changed(path)
  }
  const settings = resolve(folders.settings)
  const watcher = watch(settings, {
    ignoreInitial: true,
    ignored: (path, stats) => PASSING.test(path) || (stats?.isDirectory() === true && path !== settings),
    depth: 0
  })
  watcher.on('all', (event, path) => {
    if (event !== 'addDir') note(path)
  })
  let told = false
  const refused = (error: unknown) => {
    if (!told) failed(error)
    told = true
  }
  watcher.on('error', refused)
  const stopArchive = watchTop(resolve(folders.archive), note, refused)
  return async () => {
    stopArchive()
    await watcher.close()
  }
}

/**
 * The files at the archive's top, by the names that the system tells: chokidar lists the whole folder at each change, which
 * with a thousand hosts took half of a core.
 */
function watchTop(
  archive: string,
  note: (path: string) => void,
  failed: (error: unknown) => void
): () => void {
  try {
    const watcher = watchNames(archive, (_event, name) => {
      if (name === 'live.jsonl' || (name?.endsWith('.json') === true && !PASSING.test(name)))
        note(join(archive, name))
    })
    watcher.on('error', failed)
    return () => watcher.close()
  } catch (error) {
    failed(error)
    return () => undefined
  }
}
