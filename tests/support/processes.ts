/**
 * The words that start a program as users start it. The test runner puts its loader into NODE_OPTIONS of every process
 * that tests spawn, whatever environment they give: that doubles the time a command takes. `env` becomes the program,
 * so that its process id is the program's.
 */
export function asUsersDo(words: readonly string[]): [string, string[]] {
  return ['env', ['-u', 'NODE_OPTIONS', ...words]]
}
