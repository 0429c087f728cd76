/** Characters that are turned into bytes at once. */
const AT_ONCE = 1024 * 1024

/**
 * A text's UTF-8 bytes, piece by piece. Those of a long text share one memory: a piece holds until the next is asked for.
 * To turn a text of many megabytes into bytes as a whole takes three times as long: fresh memory costs more than the work.
 */
export function* utf8Pieces(text: string): Generator<Buffer, void, undefined> {
  if (text.length <= AT_ONCE) return yield Buffer.from(text)
  // As large as the text, though a piece (of three bytes a character at the most) uses no more than its beginning: what
  // isn't touched costs nothing, and by what it sees taken the collector knows to clear away older long texts.
  const room = Buffer.allocUnsafeSlow(Math.max(3 * AT_ONCE, text.length))
  for (let from = 0; from < text.length;) {
    const end = endOfPiece(text, from + AT_ONCE)
    yield room.subarray(0, room.write(text.slice(from, end)))
    from = end
  }
}

/** Two halves of a character are bytes only together. */
function endOfPiece(text: string, end: number): number {
  const last = text.charCodeAt(end - 1)
  return end < text.length && last >= 0xd800 && last < 0xdc00 ? end - 1 : end
}
