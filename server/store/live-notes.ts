import { close, constants, fstatSync, openSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { promisify } from 'node:util'
import { isoTime, type Clock } from '../../common/clock.js'
import { writeWhole } from '../../common/durable-file.js'
import { adopt, versionOf, type JsonFiles } from '../../common/json-file.js'
import type { LiveData, LiveNote, SharedType } from '../../common/live-messages.js'
import type { Paths } from './folders.js'
import { NotesReader } from './notes-reader.js'

/** A pipe that lies there is not waited for. */
const APPEND =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK
const MODE = 0o640
const closed = promisify(close)
/** Hosts that are all to come do so one after another, this many milliseconds apart, and all within … */
const APART_MS = 10
const WITHIN_MS = 10_000
/** Size at which the file is set aside: far more than is written between two looks of a reader. */
const FULL_BYTES = 1024 * 1024

/**
 * archive/live.jsonl: what just changed, one JSON object a line, written by every process that changes something and
 * read by every server process as it grows. It makes things fast, never right: nobody depends on a note, so none is
 * synced to the disk, and one that can't be written hinders no change.
 */
export class LiveNotes {
  readonly #readers = new Set<NotesReader>()
  #waiting: string[] = []
  #writing: Promise<void> | undefined

  /** @param failed told when notes could not be written */
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly clock: Clock,
    private readonly failed: (error: unknown) => void,
    private readonly fullBytes = FULL_BYTES
  ) {}

  /** Tells the browsers of every server process. Resolves when the note is written; never rejects. */
  async publish<Name extends SharedType>(type: Name, data: LiveData[Name]): Promise<void> {
    await this.#add([{ type, time: isoTime(this.clock()), data }])
  }

  /** As `publish`, for many of one type at once. */
  async publishAll<Name extends SharedType>(type: Name, all: readonly LiveData[Name][]): Promise<void> {
    await this.#add(all.map(data => ({ type, time: isoTime(this.clock()), data })))
  }

  /** Tells a host that waits, at whichever server process, to come and ask. Never rejects. */
  async wake(server: string): Promise<void> {
    await this.#add([{ type: 'wake', time: isoTime(this.clock()), data: { server } }])
  }

  /** As `wake`, for many hosts that would otherwise all come at once. */
  async wakeAll(servers: readonly string[]): Promise<void> {
    const time = isoTime(this.clock())
    const apart = Math.min(APART_MS, WITHIN_MS / servers.length)
    await this.#add(
      servers.map((server, at) => ({ type: 'wake', time, data: { server, after: Math.floor(at * apart) } }))
    )
  }

  /** Follows the notes from now on. Look whenever the file may have grown; own notes need no look. */
  follow(told: (note: LiveNote) => void): NotesReader {
    const reader = new NotesReader(this.paths.liveNotes(), told, this.failed)
    reader.begin()
    this.#readers.add(reader)
    return reader
  }

  /** Ends a reader; nothing is under way in the archive then. */
  async unfollow(reader: NotesReader): Promise<void> {
    this.#readers.delete(reader)
    await reader.end()
    await this.#settingAside
  }

  async #add(notes: readonly object[]): Promise<void> {
    if (notes.length === 0) return
    this.#waiting.push(...notes.map(note => `${JSON.stringify(note)}\n`))
    // What comes while others are being written goes with the next write.
    this.#writing ??= this.#writeAll()
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    try {
      // What is told in the same turn goes with the first.
      await Promise.resolve()
      while (this.#waiting.length > 0) {
        const lines = this.#waiting
        this.#waiting = []
        await this.#append(lines.join('')).catch(this.failed)
        for (const reader of this.#readers) void reader.look()
      }
    } finally {
      // In the same turn as the last look at what waits: nothing can come in between and be left.
      this.#writing = undefined
    }
  }

  async #append(lines: string): Promise<void> {
    const path = this.paths.liveNotes()
    const file = openSync(path, APPEND, MODE)
    try {
      // One write: the system keeps those of several processes apart.
      const bytes = Buffer.from(lines)
      await writeWhole(file, bytes)
      const { size } = fstatSync(file)
      if (size === bytes.length) adopt(path, file)
      // Nobody who tells of something waits for that.
      if (size >= this.fullBytes) this.#settingAside ??= this.#setAside()
    } finally {
      // In a thread: on a file system of another machine it waits until the note is there.
      await closed(file)
    }
  }

  #settingAside: Promise<void> | undefined

  async #setAside(): Promise<void> {
    const path = this.paths.liveNotes()
    try {
      await this.files.locked(path, async () => {
        // Another process may have done it.
        if (Number((await versionOf(path)).split(':')[1] ?? 0) >= this.fullBytes)
          await rename(path, `${path}.1`)
      })
    } catch (error) {
      this.failed(error)
    } finally {
      this.#settingAside = undefined
    }
  }
}
