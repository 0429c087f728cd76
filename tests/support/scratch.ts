import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A folder for files that are there before `testApp` makes its own, which is the test's `testdir`. */
export function scratch(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'f2br-test-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
