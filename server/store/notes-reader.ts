import { closeSync, constants, fstatSync, lstatSync, openSync, read } from 'node:fs'
import { promisify } from 'node:util'
import { systemCode } from '../../common/errors.js'
import { readNote, type LiveNote } from '../../common/live-messages.js'

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const CHUNK = 64 * 1024
/** Longer lines are none of ours. */
const LONGEST_LINE = 256 * 1024

interface Opened {
  file: number
  inode: number
  at: number
  /** The beginning of a line whose end is not there yet. */
  rest: Buffer
}

/** Reads the notes as they grow (live-notes.ts), each once, also across the file's being set aside. */
export class NotesReader {
  #current: Opened | undefined
  /** The file set aside last: a process that had opened it before may still be writing. */
  #former: Opened | undefined
  #looking: Promise<void> | undefined
  #again = false
  #ended = false

  constructor(
    private readonly path: string,
    private readonly told: (note: LiveNote) => void,
    private readonly failed: (error: unknown) => void
  ) {}

  /** Starts at the file's end: what was is known already. */
  begin(): void {
    this.#current = opened(this.path)
    if (this.#current !== undefined) this.#current.at = fstatSync(this.#current.file).size
  }

  /** Reads what is new. Cheap when nothing is: a stat. Never rejects; looks that come meanwhile are one. */
  async look(): Promise<void> {
    if (this.#ended) return
    this.#again = true
    this.#looking ??= this.#lookAll()
    await this.#looking
  }

  /** Closes the files. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#looking
    close(this.#former)
    close(this.#current)
  }

  async #lookAll(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false
        await this.#lookOnce().catch(this.failed)
      }
    } finally {
      // In the same turn as the last look at what is wanted: nothing can come in between and be left.
      this.#looking = undefined
    }
  }

  async #lookOnce(): Promise<void> {
    if (this.#former !== undefined) await this.#read(this.#former)
    if (this.#current !== undefined) await this.#read(this.#current)
    // Held open, its inode can't become another's.
    if (this.#current !== undefined && inodeAt(this.path) === this.#current.inode) return
    const next = opened(this.path)
    if (next === undefined || next.inode === this.#current?.inode) return close(next)
    const before = opened(`${this.path}.1`)
    if (before !== undefined) {
      // Set aside twice since the last look: the one in between was never open here.
      const missed = this.#current !== undefined && before.inode !== this.#current.inode
      if (missed) await this.#read(before)
      close(before)
    }
    close(this.#former)
    if (this.#current !== undefined) await this.#read(this.#current)
    this.#former = this.#current
    this.#current = next
    await this.#read(next)
  }

  async #read(from: Opened): Promise<void> {
    const { size } = fstatSync(from.file)
    // Emptied by hand.
    if (size < from.at) from.at = 0
    while (from.at < size) {
      const { bytesRead, buffer } = await readSome(from.file, Buffer.allocUnsafe(CHUNK), 0, CHUNK, from.at)
      if (bytesRead === 0) return
      from.at += bytesRead
      const text = Buffer.concat([from.rest, buffer.subarray(0, bytesRead)])
      const end = text.lastIndexOf(0x0a)
      from.rest = text.length - end > LONGEST_LINE ? Buffer.alloc(0) : Buffer.from(text.subarray(end + 1))
      if (end < 0) continue
      for (const line of text.toString('utf8', 0, end).split('\n')) {
        const note = readNote(line)
        if (note !== undefined) this.told(note)
      }
    }
  }
}

const readSome = promisify(read)

function close(opened: Opened | undefined): void {
  if (opened !== undefined) closeSync(opened.file)
}

/** The inode of the file; undefined when there is none. */
function inodeAt(path: string): number | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.ino
  } catch {
    return undefined
  }
}

function opened(path: string): Opened | undefined {
  try {
    const file = openSync(path, READ)
    return { file, inode: fstatSync(file).ino, at: 0, rest: Buffer.alloc(0) }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
