import { PassThrough } from 'node:stream'
import { join } from 'node:path'
import { Command } from 'commander'
import type { Terminal } from '../../server/cli/context.js'

/** What a command said, and what it threw. */
export interface Said {
  out: string
  err: string
  error: unknown
}

/** How a command is run. */
export interface Run {
  /** Standard input, a file or pipe; nothing by default. */
  input?: string
  /** Keys pressed at a terminal, once for each question. */
  keys?: readonly string[]
  env?: Record<string, string>
}

/** Runs commands of ours in this process, on folders below `dir`. @param add puts the commands on a program */
export function commands(
  dir: string,
  add: (program: Command, terminal: Terminal) => void
): (words: readonly string[], run?: Run) => Promise<Said> {
  const path = (name: string) => join(dir, name)
  const folders = {
    F2BR_ARCHIVE: path('archive'),
    F2BR_DOWNLOAD: path('download'),
    F2BR_TEMP: path('temp'),
    F2BR_SETTINGS: path('settings')
  }
  return async (words, { input = '', keys, env = {} } = {}) => {
    const said: Said = { out: '', err: '', error: undefined }
    const terminal: Terminal = {
      out: text => (said.out += text + '\n'),
      err: text => (said.err += text + '\n'),
      input: inputOf(input),
      screen: new PassThrough() as unknown as NodeJS.WriteStream,
      env: { ...folders, ...env }
    }
    if (keys !== undefined) atTerminal(terminal, said, keys)
    const program = new Command('fail2ban-report').exitOverride().configureOutput({
      writeOut: text => (said.out += text),
      writeErr: text => (said.err += text)
    })
    add(program, terminal)
    try {
      await program.parseAsync(words, { from: 'user' })
    } catch (error) {
      said.error = error
    }
    return said
  }
}

function inputOf(text: string): NodeJS.ReadStream {
  const input = new PassThrough()
  input.end(text)
  return input as unknown as NodeJS.ReadStream
}

// Somebody who answers each question when it is asked.
function atTerminal(terminal: Terminal, said: Said, keys: readonly string[]): void {
  const input = new PassThrough()
  const screen = new PassThrough()
  const left = [...keys]
  screen.on('data', (chunk: Buffer) => {
    const text = chunk.toString()
    said.err += text
    if (text.includes(': ')) setImmediate(() => input.write(`${left.shift() ?? ''}\r`))
  })
  Object.assign(input, { isTTY: true, setRawMode: () => input })
  Object.assign(terminal, { input, screen })
}
