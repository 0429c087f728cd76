import { spawn } from 'node:child_process'
import { Readable, pipeline } from 'node:stream'
import { ProductError } from './errors.js'
import { printable } from './names.js'

/** How a command ended. */
export interface CommandResult {
  code: number
  stdout: string
  stderr: string
}

/** Runs programs; passed in, so that tests can watch what is run. */
export type RunCommand = (
  program: string,
  args: readonly string[],
  options?: CommandOptions
) => Promise<CommandResult>

export interface CommandOptions {
  /** Given on standard input, which is then closed. */
  input?: string
  /** In its place, what is given piece by piece, the next one once it is there. */
  feed?: AsyncIterable<string>
  /** Milliseconds until it is killed; 60,000 by default. */
  timeout?: number
  /** Bytes of output after which it is killed; 256 MiB by default. */
  outputLimit?: number
  /** Given the bytes that are printed on standard output as they come; they are then not in the result. Must not throw. */
  onOutput?: (piece: Buffer) => void
  /** Once aborted, it is killed. */
  signal?: AbortSignal | undefined
}

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin'

/**
 * Runs a program with an argument array, never through a shell. The locale is fixed so that output can be read.
 * @returns also when the exit code is not 0
 * @throws ProductError COMMAND when it cannot be started, runs too long or prints too much
 */
export const runCommand: RunCommand = (program, args, options = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH, LC_ALL: 'C.UTF-8' },
      timeout: options.timeout ?? 60_000,
      killSignal: 'SIGKILL',
      ...(options.signal === undefined ? {} : { signal: options.signal })
    })
    const limit = options.outputLimit ?? 256 * 1024 * 1024
    const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
    let bytes = 0
    const collect = (sink: { push: (chunk: Buffer) => unknown }) => (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > limit) child.kill('SIGKILL')
      else sink.push(chunk)
    }
    const { onOutput } = options
    child.stdout.on('data', collect(onOutput === undefined ? output.stdout : { push: onOutput }))
    child.stderr.on('data', collect(output.stderr))
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => undefined)
    if (options.feed === undefined) child.stdin.end(options.input ?? '')
    else pipeline(Readable.from(options.feed), child.stdin, () => undefined)
    child.on('error', error => {
      const what = options.signal?.aborted === true ? 'was stopped' : 'could not be started'
      reject(new ProductError('COMMAND', `${program} ${what}`, error))
    })
    child.on('close', (code, signal) => {
      if (signal !== null) return reject(new ProductError('COMMAND', `${program} was ended by ${signal}`))
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(output.stdout).toString('utf8'),
        stderr: Buffer.concat(output.stderr).toString('utf8')
      })
    })
  })

/** Runs a program and gives its output. @throws ProductError COMMAND when it ends with another code than 0 */
export async function outputOf(
  run: RunCommand,
  program: string,
  args: readonly string[],
  options?: CommandOptions
): Promise<string> {
  const result = await run(program, args, options)
  if (result.code !== 0) {
    throw new ProductError(
      'COMMAND',
      `${program} ended with code ${result.code}: ${printable(result.stderr.trim(), 500)}`
    )
  }
  return result.stdout
}
