import { ProductError } from '../../common/errors.js'

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/

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
      if (found === null) throw bad('KEY=value is needed; nothing in this file is run')
      const [, key = '', rest = ''] = found
      values.set(key, readValue(rest, values, bad))
    })
  return values
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
    } else if (character === '\\') {
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
    } else if (character === '$' && /[A-Za-z_{(]/.test(rest[at + 1] ?? '')) {
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
  if (found === null) throw bad('$… is not understood, nothing in this file is run; put the value itself')
  const key = found[1] ?? found[2] ?? ''
  const text = known.get(key)
  if (text === undefined) throw bad(`$${key} is not set further up in this file`)
  return { text, next: at + found[0].length }
}
