import { constants } from 'node:fs'
import { lstat, open, type FileHandle } from 'node:fs/promises'
import { systemCode } from '../../common/errors.js'
import { readNote, type LiveNote } from '../../common/live-messages.js'

const READ = constants.O_RDONLY | constants.O_NOFOLLOW
const CHUNK = 64 * 1024
/** Longer lines are none of ours. */
const LONGEST_LINE = 256 * 1024

interface Opened {
  file: FileHandle
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
  async begin(): Promise<void> {
    this.#current = await opened(this.path)
    if (this.#current !== undefined) this.#current.at = (await this.#current.file.stat()).size
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
    await this.#former?.file.close()
    await this.#current?.file.close()
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
    if (this.#current !== undefined && (await inodeAt(this.path)) === this.#current.inode) return
    const next = await opened(this.path)
    if (next === undefined || next.inode === this.#current?.inode) return await next?.file.close()
    const before = await opened(`${this.path}.1`)
    if (before !== undefined) {
      // Set aside twice since the last look: the one in between was never open here.
      const missed = this.#current !== undefined && before.inode !== this.#current.inode
      if (missed) await this.#read(before)
      await before.file.close()
    }
    await this.#former?.file.close()
    if (this.#current !== undefined) await this.#read(this.#current)
    this.#former = this.#current
    this.#current = next
    await this.#read(next)
  }

  async #read(from: Opened): Promise<void> {
    const { size } = await from.file.stat()
    // Emptied by hand.
    if (size < from.at) from.at = 0
    while (from.at < size) {
      const { bytesRead, buffer } = await from.file.read(Buffer.alloc(CHUNK), 0, CHUNK, from.at)
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

/** The inode of the file; undefined when there is none. */
async function inodeAt(path: string): Promise<number | undefined> {
  return lstat(path).then(
    ({ ino }) => ino,
    () => undefined
  )
}

async function opened(path: string): Promise<Opened | undefined> {
  try {
    const file = await open(path, READ)
    return { file, inode: (await file.stat()).ino, at: 0, rest: Buffer.alloc(0) }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
