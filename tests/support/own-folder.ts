import type { Test } from 'tap'

/**
 * A folder of the test's own, deleted after all that `t.teardown` was told to do. tap's `testdir` alone is deleted before
 * it, if it was asked for first: a process that still writes there then makes the deletion fail, and what was to end the
 * process is never done.
 * @param content files to begin with, as `testdir` takes them
 */
export function ownFolder(t: Test, content?: Parameters<Test['testdir']>[0]): string {
  t.teardown(() => undefined)
  return t.testdir(content)
}
