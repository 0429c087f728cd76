import { candidateLines } from './candidate-lines.js'
import { continues, openLog, positionIn, type LogFile, type LogPosition } from './log-file.js'
import { rotatedSince } from './rotated.js'

export type { LogPosition } from './log-file.js'

/** What one reading of the log did. */
export interface LogReading {
  position: LogPosition
  /** Bytes of lines that were read; what had been read before is not among them. */
  bytesRead: number
  /** The log was replaced, and the rest of the old one was nowhere to be found: events may be missing. */
  gap: boolean
}

/**
 * Gives every line that can be an event and was not read before, in order. Only new bytes are read, in pieces.
 * Rotation (rename or copy) is recognised: the rest of the old file comes first. A line without its end waits for
 * the next reading; one over 64 KiB is passed over.
 * @param chunk bytes read at a time
 * @throws ProductError CONFIG when the log is not there or can't be read
 */
export async function readLog(
  path: string,
  from: LogPosition | undefined,
  take: (line: string) => void,
  chunk?: number
): Promise<LogReading> {
  const current = await openLog(path)
  const open = [current]
  try {
    if (from === undefined || continues(current, from)) {
      const start = from?.offset ?? 0
      const end = await candidateLines(current, start, take, chunk)
      return { position: positionIn(current, end), bytesRead: current.size - start, gap: false }
    }
    const rotated = await rotatedSince(path, from)
    open.push(...rotated)
    // fail2ban writes to the renamed file until it is told to reopen: an empty new one is not the next one yet.
    const files = current.size === 0 && rotated.length > 0 ? rotated : [...rotated, current]
    return { ...(await readInTurn(files, from, take, chunk)), gap: rotated.length === 0 }
  } finally {
    for (const { handle } of open) await handle.close()
  }
}

/** Reads files one behind the other; the first continues the position where it is its file. */
async function readInTurn(
  files: readonly LogFile[],
  from: LogPosition,
  take: (line: string) => void,
  chunk: number | undefined
): Promise<Omit<LogReading, 'gap'>> {
  let position = from
  let bytesRead = 0
  for (const [at, file] of files.entries()) {
    const start = at === 0 && continues(file, from) ? from.offset : 0
    position = positionIn(file, await candidateLines(file, start, take, chunk))
    bytesRead += file.size - start
  }
  return { position, bytesRead }
}
