import { createHash } from 'node:crypto'
import t from 'tap'
import { sha256 } from '../../common/sha256.js'
import { utf8Pieces } from '../../common/utf8-pieces.js'

const MEGA = 1024 * 1024

/** Copies: the pieces share their memory. */
function collected(text: string): Buffer[] {
  const pieces: Buffer[] = []
  for (const bytes of utf8Pieces(text)) pieces.push(Buffer.from(bytes))
  return pieces
}

for (const [what, text] of [
  ['nothing', ''],
  ['a short text', 'dräußen 🏠'],
  ['a text that fills one piece', 'a'.repeat(MEGA)],
  ['a text that is one character longer', 'a'.repeat(MEGA + 1)],
  ['characters of three bytes', '€'.repeat(2 * MEGA + 5)],
  ['a character of two halves at the border of two pieces', `${'a'.repeat(MEGA - 1)}🏠${'b'.repeat(MEGA)}`],
  ['many of them', `a${'🏠'.repeat(MEGA)}`],
  ['a half without its other at the border', `${'a'.repeat(MEGA - 1)}\ud83c${'b'.repeat(9)}`],
  ['a half at the end', `${'a'.repeat(MEGA)}\ud83c`]
] as const) {
  t.test(`pieces of ${what} are the text's bytes, and so is their hash`, t => {
    const whole = Buffer.from(text)
    const pieces = collected(text)
    t.ok(Buffer.concat(pieces).equals(whole))
    t.equal(sha256(text), createHash('sha256').update(whole).digest('hex'))
    t.equal(sha256(whole), sha256(text))
    t.end()
  })
}

t.test('a long text comes in several pieces', t => {
  t.equal(collected('a'.repeat(3 * MEGA)).length, 3)
  t.end()
})
