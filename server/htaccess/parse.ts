import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'

/** A directive of Apache's configuration, or a section with what is in it. */
export interface Directive {
  line: number
  /** In lower case; that of a section as `<files>`. */
  name: string
  args: string[]
  /** As it stands in the file, for messages. */
  text: string
  /** Empty for what is no section. */
  inside: Directive[]
}

const MOST_BYTES = 256 * 1024
const DEEPEST = 20

/**
 * Reads an .htaccess as Apache does (`ap_cfg_getline`, `ap_getword_conf`): a backslash at the end of a line goes on in
 * the next one, also of a comment; a comment is a line of its own; a quote counts at the beginning of a word.
 * @throws ProductError BAD_INPUT naming the line, where Apache would not start with it
 */
export function parseHtaccess(text: string): Directive[] {
  if (Buffer.byteLength(text) > MOST_BYTES) throw bad(1, `the file is larger than ${MOST_BYTES} bytes`)
  if (text.includes('\0')) throw bad(1, 'a NUL is in the file: is this the right one?')
  const root: Directive[] = []
  const open: Directive[] = []
  for (const { line, text: whole } of logicalLines(text)) {
    const trimmed = whole.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const into = open.at(-1)?.inside ?? root
    if (trimmed.startsWith('</')) {
      const closed = open.pop()
      const name = /^<\/([A-Za-z]+)\s*>$/.exec(trimmed)?.[1]?.toLowerCase()
      if (name === undefined || closed?.name !== `<${name}>`)
        throw bad(line, `nothing is open for ${trimmed}`)
    } else if (trimmed.startsWith('<')) {
      const [, name = '', rest = ''] = /^<([A-Za-z]+)(?:\s+(.*?))?\s*>$/s.exec(trimmed) ?? []
      if (name === '') throw bad(line, `a > is missing, or a name: ${trimmed}`)
      if (open.length >= DEEPEST) throw bad(line, `sections are nested deeper than ${DEEPEST}`)
      const section = directive(line, `<${name.toLowerCase()}>`, words(rest, line), trimmed)
      into.push(section)
      open.push(section)
    } else {
      const [name = '', ...args] = words(trimmed, line)
      into.push(directive(line, name.toLowerCase(), args, trimmed))
    }
  }
  const left = open.at(-1)
  if (left !== undefined) throw bad(left.line, `${left.text} is never closed`)
  return root
}

function directive(line: number, name: string, args: string[], text: string): Directive {
  return { line, name, args, text: printable(text, 200), inside: [] }
}

function logicalLines(text: string): { line: number; text: string }[] {
  const found: { line: number; text: string }[] = []
  let begun: { line: number; text: string } | undefined
  text
    .replace(/^\ufeff/, '')
    .split('\n')
    .forEach((raw, at) => {
      const part = raw.replace(/\r$/, '')
      begun = begun === undefined ? { line: at + 1, text: part } : { ...begun, text: begun.text + part }
      if (begun.text.endsWith('\\\\'))
        throw bad(at + 1, 'two backslashes end the line: unclear whether it goes on')
      if (begun.text.endsWith('\\')) begun.text = begun.text.slice(0, -1)
      else {
        found.push(begun)
        begun = undefined
      }
    })
  if (begun !== undefined) found.push(begun)
  return found
}

function words(text: string, line: number): string[] {
  const found: string[] = []
  let rest = text.trim()
  while (rest !== '') {
    const quote = rest[0] === '"' || rest[0] === "'" ? rest[0] : ''
    const pattern = quote === '' ? /^\S+/ : quote === '"' ? /^"((?:\\.|[^"\\])*)"/s : /^'((?:\\.|[^'\\])*)'/s
    const word = pattern.exec(rest)
    if (word === null) throw bad(line, `a closing ${quote} is missing`)
    // A backslash is itself but before another one, or before the quote.
    found.push(
      (word[1] ?? word[0]).replaceAll(/\\(["'\\])/g, (all, one: string) =>
        one === '\\' || one === quote ? one : all
      )
    )
    rest = rest.slice(word[0].length).trimStart()
  }
  return found
}

function bad(line: number, why: string): ProductError {
  return new ProductError('BAD_INPUT', `line ${line}: ${printable(why, 200)}`)
}
