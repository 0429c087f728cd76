import { resolve } from 'node:path'
import { watch } from 'chokidar'
import type { JsonFiles } from '../../common/json-file.js'
import type { Folders } from './folders.js'

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
  const roots = [folders.settings, folders.archive].map(folder => resolve(folder))
  const watcher = watch(roots, {
    ignoreInitial: true,
    // Locks, half-written copies and audit rows come and go with every write; the live notes are what is waited for.
    ignored: (path, stats) =>
      (/\.lock(\/|$)|\.json\.\d+$|\.jsonl(\.\d+)?$/.test(path) && !path.endsWith('/live.jsonl')) ||
      (stats?.isDirectory() === true && !roots.includes(path)),
    depth: 0
  })
  watcher.on('all', (event, path) => {
    if (event === 'addDir') return
    files.forget(path)
    changed(path)
  })
  watcher.once('error', failed)
  watcher.on('error', () => undefined)
  return () => watcher.close()
}
