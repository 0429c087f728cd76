import type { LogFile } from './log-file.js'

/** Every line that can be an event holds one of these. Each begins with a letter that is rare in such logs. */
const BAN = Buffer.from('Ban ')
const UNBAN = Buffer.from('Unban ')
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
/** No line of fail2ban's is longer; one that is gets passed over and never held whole. */
export const LONGEST_LINE = 64 * 1024
const CHUNK = 1024 * 1024

/** Room before what is read, for the beginning of a line that the piece before ended in. */
const FRONT = LONGEST_LINE + 1

/**
 * Gives every whole line between `start` and the file's size that can be an event, in order and without its
 * line end. The file is read in pieces, the next one while this one is searched; lines in between are never made
 * into strings.
 * @param chunk bytes read at a time
 * @returns the offset behind the last whole line
 */
export async function candidateLines(
  { handle, size }: LogFile,
  start: number,
  take: (line: string) => void,
  chunk = CHUNK
): Promise<number> {
  const width = Math.min(chunk, size - start)
  let buffer = Buffer.allocUnsafe(FRONT + width)
  let other = Buffer.allocUnsafe(FRONT + width)
  // Where the line that is not finished yet begins, and how many bytes of it stand before the piece.
  let lineStart = start
  let held = 0
  // Inside a line that is too long: everything up to its end is passed over.
  let skipping = false
  const read = (into: Buffer, position: number) =>
    handle.read(into, FRONT, Math.min(width, size - position), position)
  let position = start
  let reading = read(buffer, position)
  try {
    while (position < size) {
      const { bytesRead } = await reading
      if (bytesRead === 0) break
      position += bytesRead
      if (position < size) reading = read(other, position)
      const filled = buffer.subarray(FRONT - held, FRONT + bytesRead)
      const last = filled.lastIndexOf(LINE_FEED)
      if (last >= 0) {
        takeCandidates(filled.subarray(skipping ? filled.indexOf(LINE_FEED) + 1 : 0, last + 1), take)
        skipping = false
        lineStart = position - (filled.length - last - 1)
      }
      held = skipping ? 0 : filled.length - last - 1
      if (held > LONGEST_LINE) {
        skipping = true
        held = 0
      }
      filled.copy(other, FRONT - held, filled.length - held)
      ;[buffer, other] = [other, buffer]
    }
  } finally {
    // The file may be closed only when nothing reads it any more.
    await reading.catch(() => undefined)
  }
  // Also of a line that is too long so far: read from its middle, its end would pass for a line.
  return lineStart
}

/** Finds the lines with a needle in a block of whole lines: a search over the block's bytes, not one a line. */
function takeCandidates(block: Buffer, take: (line: string) => void): void {
  let ban = block.indexOf(BAN)
  let unban = block.indexOf(UNBAN)
  while (ban >= 0 || unban >= 0) {
    const at = unban < 0 || (ban >= 0 && ban < unban) ? ban : unban
    const start = block.lastIndexOf(LINE_FEED, at) + 1
    const end = block.indexOf(LINE_FEED, at)
    if (end - start <= LONGEST_LINE) {
      take(block.toString('utf8', start, block[end - 1] === CARRIAGE_RETURN ? end - 1 : end))
    }
    if (ban >= 0 && ban < end) ban = block.indexOf(BAN, end)
    if (unban >= 0 && unban < end) unban = block.indexOf(UNBAN, end)
  }
}
