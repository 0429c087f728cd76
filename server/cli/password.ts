import type { ReadStream } from 'node:tty'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { ProductError } from '../../common/errors.js'

/**
 * Reads a new password: asked for twice, unseen, at a terminal; else the first line of standard input. Never
 * from the command line, where every process of the machine could read it.
 * @param check tells a password that can't be taken, before it is asked for again
 * @throws ProductError BAD_INPUT when nothing came or the two differ; what `check` throws
 */
export async function readNewPassword(
  input: NodeJS.ReadStream,
  terminal: NodeJS.WriteStream,
  check: (password: string) => void
): Promise<string> {
  if (!input.isTTY) return firstLine(input)
  const password = await ask(input, terminal, 'New password: ')
  check(password)
  if ((await ask(input, terminal, 'The same again: ')) !== password) {
    throw new ProductError('BAD_INPUT', 'the two passwords differ; nothing changed')
  }
  return password
}

async function firstLine(input: NodeJS.ReadStream): Promise<string> {
  const lines = createInterface({ input, crlfDelay: Infinity })
  for await (const line of lines) {
    lines.close()
    return line
  }
  throw new ProductError('BAD_INPUT', 'no password came; type it when asked, or send it on standard input')
}

async function ask(input: ReadStream, terminal: NodeJS.WriteStream, question: string): Promise<string> {
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: mute, terminal: true })
  terminal.write(question)
  try {
    return await lines.question('')
  } finally {
    lines.close()
    terminal.write('\n')
  }
}
