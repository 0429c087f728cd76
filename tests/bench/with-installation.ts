import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Installation } from '../support/installation.js'

/** Runs with an installation in a folder of its own; at the end its server is stopped and the folder deleted. */
export async function withInstallation<T>(run: (at: Installation) => Promise<T>): Promise<T> {
  const at = new Installation(await mkdtemp(join(tmpdir(), 'f2b-bench-')))
  try {
    return await run(at)
  } finally {
    await at.stop()
    await rm(at.dir, { recursive: true, force: true })
  }
}
