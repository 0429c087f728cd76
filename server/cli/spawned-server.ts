import type { ChildProcessByStdio } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { ProductError } from '../../common/errors.js'

/**
 * Waits until a `serve` started as a child process listens. Its log is read to its end, then and later: a pipe that
 * nobody empties would stop the server at its next line.
 * @returns where it answers, with a slash at the end
 * @throws ProductError COMMAND, with what it said on standard error, when it ends instead
 */
export async function listeningUrl(server: ChildProcessByStdio<null, Readable, Readable>): Promise<string> {
  let trouble = ''
  server.stderr.on('data', (chunk: Buffer) => (trouble += chunk.toString('utf8')))
  const lines = createInterface({ input: server.stdout })
  return new Promise((resolve, reject) => {
    lines.on('line', line => {
      const told = JSON.parse(line) as { event?: string; url?: string }
      if (told.event === 'listening' && told.url !== undefined) resolve(told.url)
    })
    server.on('close', () => {
      reject(new ProductError('COMMAND', `the server did not start: ${trouble.trim()}`))
    })
  })
}
