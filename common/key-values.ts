import { ProductError } from './errors.js'

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/
/** What makes `$` more than itself in bash: names, and one-character parameters such as `$1` and `$$`. */
const REFERENCE = /[A-Za-z_{(0-9@*#?$!-]/

/**
 * Reads `KEY=value` lines as bash would assign them, without ever running anything: quotes, `$NAME` and
 * `${NAME}` of keys set further up, `export`, comments. Existing clients' `config.env` are such files; ours too,
 * with blanks around `=` allowed.
 * @param name the file's name, for messages; values are never in them
 * @throws ProductError CONFIG with file, line and what to do for anything else
 */
export function readKeyValues(text: string, name: string): Map<string, string> {
  const values = new Map<string, string>()
  text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .forEach((line, at) => {
      if (/^\s*(#.*)?$/.test(line)) return
      const bad = (why: string) => new ProductError('CONFIG', `${name} line ${at + 1}: ${why}`)
      const found = ASSIGNMENT.exec(line)
      const dashed = /^\s*([A-Za-z_][A-Za-z0-9_-]*)\s*=/.exec(line)?.[1]
      if (found === null && dashed !== undefined) throw bad(`write ${dashed.replaceAll('-', '_')}`)
      if (found === null) throw bad('KEY=value is needed; nothing in this file is run')
      if (line.includes('\0')) throw bad('a NUL is in the line: is this the right file?')
      const [, key = '', rest = ''] = found
      values.set(key, readValue(rest, values, bad))
    })
  return values
}

/** The line, from 1 on, that sets a key last, in text that `readKeyValues` took; undefined when none does. */
export function lineOfKey(text: string, key: string): number | undefined {
  const at = text.split(/\r?\n/).findLastIndex(line => ASSIGNMENT.exec(line)?.[1] === key)
  return at < 0 ? undefined : at + 1
}

function readValue(
  rest: string,
  known: ReadonlyMap<string, string>,
  bad: (why: string) => ProductError
): string {
  let value = ''
  let at = 0
  while (at < rest.length) {
    const character = rest[at] ?? ''
    if (character === "'") {
      const end = rest.indexOf("'", at + 1)
      if (end < 0) throw bad("a closing ' is missing")
      value += rest.slice(at + 1, end)
      at = end + 1
    } else if (character === '"') {
      const { text, next } = doubleQuoted(rest, at + 1, known, bad)
      value += text
      at = next
    } else if (/\s/.test(character)) {
      if (!/^\s*(#.*)?$/.test(rest.slice(at))) throw bad('put a value with blanks in quotes')
      return value
    } else if (character === '$') {
      const { text, next } = reference(rest, at, known, bad)
      value += text
      at = next
    } else if (/[`;&|<>()]/.test(character)) {
      throw bad(`${character} is not understood, nothing in this file is run; put the value itself in quotes`)
    } else if (character === '~' && (at === 0 || rest[at - 1] === ':')) {
      throw bad('~ is not understood; put the whole path, or quotes')
    } else if (character === '\\') {
      if (at + 1 === rest.length) throw bad('a value cannot go on in the next line')
      value += rest[at + 1] ?? ''
      at += 2
    } else {
      value += character
      at++
    }
  }
  return value
}

function doubleQuoted(
  rest: string,
  start: number,
  known: ReadonlyMap<string, string>,
  bad: (why: string) => ProductError
): { text: string; next: number } {
  let text = ''
  let at = start
  while (at < rest.length) {
    const character = rest[at] ?? ''
    if (character === '"') return { text, next: at + 1 }
    if (character === '`') throw bad('a command in ` is not run; put the value itself')
    if (character === '\\' && /["\\$`]/.test(rest[at + 1] ?? '')) {
      text += rest[at + 1] ?? ''
      at += 2
    } else if (character === '$' && REFERENCE.test(rest[at + 1] ?? '')) {
      const found = reference(rest, at, known, bad)
      text += found.text
      at = found.next
    } else {
      text += character
      at++
    }
  }
  throw bad('a closing " is missing')
}

function reference(
  rest: string,
  at: number,
  known: ReadonlyMap<string, string>,
  bad: (why: string) => ProductError
): { text: string; next: number } {
  const found = /^\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/.exec(rest.slice(at))
  if (found === null) {
    throw bad("$… is not understood, nothing in this file is run; put the value itself, a literal $ in '…'")
  }
  const key = found[1] ?? found[2] ?? ''
  const text = known.get(key)
  // Without its name: it may be a piece of a password that holds a $.
  if (text === undefined) throw bad("a $NAME is not set further up in this file; put a literal $ in '…'")
  return { text, next: at + found[0].length }
}
