/** What Python's `repr` prints of lists, tuples and dicts, as far as fail2ban's replies are made of them. */
export type PythonValue = string | number | boolean | null | PythonValue[] | { [key: string]: PythonValue }

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r' }
const DEEPEST = 20

/**
 * Reads Python's `repr` of texts, numbers, lists, tuples and dicts with text keys: `fail2ban-client banned` and `-d`
 * print such text, which is no JSON. Nothing is ever evaluated.
 * @throws Error when it is anything else
 */
export function readPython(text: string): PythonValue {
  const reader = new Reader(text)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  #at = 0

  constructor(private readonly text: string) {}

  value(depth: number): PythonValue {
    this.#blanks()
    const next = this.text[this.#at] ?? ''
    if (depth > DEEPEST) throw new Error('nested too deeply')
    if (next === "'" || next === '"') return this.#string(next)
    if (next === '[') return this.#items(']', depth)
    if (next === '(') return this.#items(')', depth)
    if (next === '{') return this.#dict(depth)
    const [word = ''] = /^[\w.+-]+/.exec(this.text.slice(this.#at, this.#at + 40)) ?? []
    this.#at += word.length
    if (word === 'None') return null
    if (word === 'True' || word === 'False') return word === 'True'
    if (word === '' || Number.isNaN(Number(word))) throw new Error('not a Python value')
    return Number(word)
  }

  end(): void {
    this.#blanks()
    if (this.#at < this.text.length) throw new Error('more than one Python value')
  }

  #items(close: string, depth: number): PythonValue[] {
    const items: PythonValue[] = []
    this.#at++
    while (!this.#ends(close)) {
      items.push(this.value(depth + 1))
      this.#comma(close)
    }
    return items
  }

  #dict(depth: number): PythonValue {
    const entries: [string, PythonValue][] = []
    this.#at++
    while (!this.#ends('}')) {
      const key = this.value(depth + 1)
      this.#blanks()
      if (typeof key !== 'string' || this.text[this.#at] !== ':') throw new Error('not a Python dict')
      this.#at++
      entries.push([key, this.value(depth + 1)])
      this.#comma('}')
    }
    return Object.fromEntries(entries)
  }

  #ends(close: string): boolean {
    this.#blanks()
    if (this.text[this.#at] !== close) return false
    this.#at++
    return true
  }

  #comma(close: string): void {
    this.#blanks()
    const next = this.text[this.#at]
    if (next === ',') this.#at++
    else if (next !== close) throw new Error('a comma is missing')
  }

  #blanks(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at++
  }

  #string(quote: string): string {
    let value = ''
    for (this.#at++; ; this.#at++) {
      const next = this.text[this.#at]
      if (next === undefined) throw new Error('a closing quote is missing')
      if (next === quote) break
      value += next === '\\' ? this.#escape() : next
    }
    this.#at++
    return value
  }

  #escape(): string {
    const next = this.text[++this.#at] ?? ''
    const digits = { x: 2, u: 4, U: 8 }[next]
    if (digits === undefined) return ESCAPES[next] ?? next
    const hex = this.text.slice(this.#at + 1, this.#at + 1 + digits)
    const code = /^[0-9a-f]+$/i.test(hex) ? parseInt(hex, 16) : NaN
    if (!(code <= 0x10ffff)) throw new Error('a bad escape')
    this.#at += digits
    return String.fromCodePoint(code)
  }
}
