import { readFile, watch } from 'node:fs/promises'

/** Resolves when the log holds the pattern; asks again at each change in the folder. */
export async function logged(folder: string, log: string, pattern: RegExp): Promise<void> {
  const stop = new AbortController()
  const late = setTimeout(() => stop.abort(new Error(`not logged: ${pattern.source}`)), 40_000)
  try {
    const changes = watch(folder, { signal: stop.signal })[Symbol.asyncIterator]()
    for (let change = changes.next(); ; change = changes.next()) {
      change.catch(() => undefined)
      if (pattern.test(await readFile(log, 'utf8').catch(() => ''))) return
      await change
    }
  } finally {
    clearTimeout(late)
    stop.abort()
  }
}
