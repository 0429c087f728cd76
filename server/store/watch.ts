import { watch } from 'chokidar'
import type { JsonFiles } from '../../common/json-file.js'
import type { Folders } from './folders.js'

/**
 * Notices edits of settings and archive by other hands, so that what is remembered of a file goes at once. What
 * is correct never hangs on it: every read checks the file's version itself (other machines' edits of a shared
 * file system raise no event here).
 * @param changed told the path of each file that came, changed or went
 * @returns stops watching
 */
export function watchFolders(
  folders: Folders,
  files: JsonFiles,
  changed: (path: string) => void
): () => Promise<void> {
  const watcher = watch([folders.settings, folders.archive], {
    ignoreInitial: true,
    // Locks, half-written copies and audit rows come and go with every write.
    ignored: path => /\.lock(\/|$)|\.json\.\d+$|\.jsonl(\.\d+)?$/.test(path),
    // archive/<server>/<blocklists|fail2ban>/<file>
    depth: 3
  })
  watcher.on('all', (event, path) => {
    if (event === 'addDir') return
    files.forget(path)
    changed(path)
  })
  watcher.on('error', () => undefined)
  return () => watcher.close()
}
