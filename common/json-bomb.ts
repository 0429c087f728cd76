/**
 * Bounds on the structure of JSON text, far above what any file of ours holds: values that a few bytes make large
 * in memory, and nesting that overflows the stack when it is written again.
 */
export const JSON_LIMITS = {
  /** Arrays and objects within each other. */
  depth: 32,
  /** Arrays and objects in all: a list's entries with their tags, and room for fields of others. */
  containers: 3_000_000,
  /** Commas in all. */
  members: 20_000_000
} as const

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Looks at untrusted JSON text before it is parsed; text that is no JSON may pass, the parser refuses it.
 * @returns why it must not be parsed, or undefined
 */
export function bombIn(text: string): string | undefined {
  let depth = 0
  let containers = 0
  let members = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at)
        break
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > JSON_LIMITS.depth) return `is nested deeper than ${JSON_LIMITS.depth}`
        if (++containers > JSON_LIMITS.containers) return 'has too many arrays and objects'
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth--
        break
      case 0x2c: // ,
        if (++members > JSON_LIMITS.members) return 'has too many members'
    }
  }
  return undefined
}

/** Place of the quote that ends the string begun at `start`; the text's end when none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}
