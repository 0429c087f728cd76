import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { dirname } from 'node:path'

/** Waits until a file is gone: the server deletes a copy right after its last byte went out. */
export async function gone(path: string): Promise<void> {
  const watcher = watch(dirname(path))
  while (existsSync(path)) await once(watcher, 'change')
  watcher.close()
}
