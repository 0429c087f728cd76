import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setImmediate as breathe } from 'node:timers/promises'
import { isoTime, type Clock } from '../../common/clock.js'
import { systemCode } from '../../common/errors.js'
import { namesIn, versionNow, type JsonFiles, type Snapshot } from '../../common/json-file.js'
import { isListName, type ServerName } from '../../common/names.js'
import { sha256 } from '../../common/sha256.js'
import { appendLines, asDiskError, removeFile, ROTATE_AT, writeLines } from './audit-file.js'
import { olderLines, type Place } from './audit-read.js'
import { readRow, type AuditActor, type AuditDraft } from './audit-row.js'
import type { Paths } from './folders.js'
import type { TextHashes } from './text-hashes.js'

/** A change of a file, as `JsonFiles.change` wants it: its rows are noted `before`, and told once it is `written`. */
export interface AuditedChange<T> {
  value: T
  text?: string
  /** @throws ProductError DISK: the change must not be made then */
  before: (next: string) => Promise<void>
  /** Never throws. */
  written: () => Promise<void>
}

/** How a file's text is to be, and its SHA-256 (hex). */
export interface Spelled {
  text?: string | undefined
  hash?: string | undefined
}

const AT_ONCE = 5000

/**
 * Writes the audit trails: `archive/<server>/audit.jsonl` of a host's lists, `archive/audit.jsonl` of users, clients,
 * API keys and the whitelist.
 *
 * The change itself is the truth; the trail tells of it, and no line is lost by a crash. A change of a file goes
 * so, all under that file's lock: (1) its rows are written to `audit-open-<file>.jsonl` beside the trail and
 * synced, with the hashes of the file before and after; (2) the file is replaced; (3) the rows are appended to the
 * trail and synced; (4) the note of (1) is deleted; then the reply goes out. Whoever next changes the file, or
 * housekeeping, finds the note that a killed process left, and the file's hash tells whether the change took
 * place: its rows are appended then (those that are not there yet, marked `recovered`), else dropped. If other
 * hands changed the file meanwhile that can't be told: the rows come with `unconfirmed`. A failure of (1) refuses
 * the change; a failure of (3) does not, as it has happened: `delayed` is told, the note stays, and so do the rows.
 *
 * Edits of the files by other hands leave no trace here.
 */
export class AuditStore {
  /** @param delayed told when a change is made but its rows could not be appended yet */
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly clock: Clock,
    private readonly hashes: TextHashes,
    private readonly delayed: (error: unknown) => void,
    private readonly rotateAt: number = ROTATE_AT
  ) {}

  /**
   * A file's change with what it tells the trail.
   * @param server whose trail; undefined for users' and clients' @param current the file as it is now
   * @param spelled the text of `value`, where a client's own spelling is kept, and its SHA-256 (hex) where it is known
   */
  change<T extends object>(
    server: ServerName | undefined,
    { path, current }: { path: string; current: Snapshot<T> },
    value: T,
    actor: AuditActor,
    drafts: readonly AuditDraft[],
    { text, hash }: Spelled = {}
  ): AuditedChange<T> {
    const trail = this.paths.audit(server)
    const note = noteOf(trail, path)
    let noted = ''
    return {
      value,
      ...(text === undefined ? {} : { text }),
      before: async next => {
        await this.#settle(trail, note, current.text)
        if (drafts.length === 0) return
        const { batch, lines } = await this.#lines(actor, drafts)
        const to = hash ?? sha256(next)
        const head: Note = {
          batch,
          from: inNote(this.hashes.of(current)),
          to: inNote(to),
          rows: drafts.length
        }
        this.hashes.set(value, to)
        await writeLines(note, `${JSON.stringify(head)}\n${lines}`)
        noted = lines
      },
      written: async () => {
        if (noted === '') return
        try {
          await this.files.locked(trail, async lock => {
            await appendLines(trail, noted, lock, this.rotateAt)
            removeFile(note)
          })
        } catch (error) {
          this.delayed(error)
        }
      }
    }
  }

  /** Appends rows of what replaces no file, such as a hand-over. @throws ProductError DISK, LOCK_TIMEOUT, LOCK_LOST */
  async note(server: ServerName, actor: AuditActor, drafts: readonly AuditDraft[]): Promise<void> {
    await this.#append(this.paths.audit(server), (await this.#lines(actor, drafts)).lines)
  }

  /** Completes what killed processes left half done. */
  async recover(server?: ServerName): Promise<void> {
    const trail = this.paths.audit(server)
    for (const name of await namesIn(dirname(trail))) {
      const path = this.#fileOfNote(server, name)
      if (path === undefined) continue
      // Under the file's lock: no writer is between its note and its change.
      await this.files.locked(path, async () => {
        await this.#settle(trail, join(dirname(trail), name), (await textOf(path)) ?? '')
      })
    }
  }

  async #lines(actor: AuditActor, drafts: readonly AuditDraft[]): Promise<{ batch: string; lines: string }> {
    const now = this.clock()
    const batch = `${now.toString(36)}-${randomBytes(6).toString('hex')}`
    // The same in every row of the batch: spelled once.
    const rest = JSON.stringify({ time: isoTime(now), actor }).slice(1, -1)
    const parts: string[] = []
    for (let at = 0; at < drafts.length; at += AT_ONCE) {
      // A bulk change must not keep other requests waiting while its rows are spelled.
      if (at > 0) await breathe()
      for (const draft of drafts.slice(at, at + AT_ONCE)) {
        parts.push(`{"id":"${batch}-${parts.length}",${rest},${JSON.stringify(draft).slice(1)}\n`)
      }
    }
    return { batch, lines: parts.join('') }
  }

  async #append(trail: string, lines: string): Promise<void> {
    await this.files.locked(trail, lock => appendLines(trail, lines, lock, this.rotateAt))
  }

  /** @param text the changed file as it is now */
  async #settle(trail: string, note: string, text: string): Promise<void> {
    const left = await textOf(note)
    if (left === undefined) return
    if (left === '') return removeFile(note)
    const { head, lines } = parseNote(left)
    const now = inNote(sha256(text))
    // A note that was not finished precedes its change; so does one whose file is as it was.
    if (head !== undefined && (now === head.to || now !== head.from)) {
      const known = await this.#idsOf(trail, head.batch)
      const missing = lines.flatMap(line => {
        const row = readRow(line)
        if (row === undefined || known.has(row.id)) return []
        return `${JSON.stringify({ ...row, recovered: true, ...(now === head.to ? {} : { unconfirmed: true }) })}\n`
      })
      if (missing.length > 0) await this.#append(trail, missing.join(''))
    }
    removeFile(note)
  }

  async #idsOf(trail: string, batch: string): Promise<Set<string>> {
    const ids = new Set<string>()
    let next: Place | undefined
    do {
      const piece = await olderLines(trail, next)
      for (const { text } of piece.lines) {
        const id = text.includes(batch) ? readRow(text)?.id : undefined
        if (id !== undefined) ids.add(id)
      }
      next = piece.next
    } while (next !== undefined)
    return ids
  }

  #fileOfNote(server: ServerName | undefined, name: string): string | undefined {
    const [, stem] = /^audit-open-(.+)\.jsonl$/.exec(name) ?? []
    if (stem === undefined) return undefined
    const file = `${stem}.json`
    if (server !== undefined && isListName(file)) return this.paths.list(server, file)
    const { paths } = this
    const others =
      server === undefined
        ? [paths.userList(), paths.clientList(), paths.whitelist(), paths.apiKeys()]
        : [paths.commands(server)]
    return others.find(path => basename(path) === file)
  }
}

interface Note {
  batch: string
  from: string
  to: string
  rows: number
}

function noteOf(trail: string, path: string): string {
  return join(dirname(trail), `audit-open-${basename(path, '.json')}.jsonl`)
}

function parseNote(text: string): { head: Note | undefined; lines: string[] } {
  const [first = '', ...lines] = text.split('\n')
  const whole = lines.pop() === ''
  try {
    const head = JSON.parse(first) as Note
    return { head: whole && lines.length === head.rows ? head : undefined, lines }
  } catch {
    return { head: undefined, lines }
  }
}

/** A hash as notes spell it. */
function inNote(hash: string): string {
  return Buffer.from(hash, 'hex').toString('base64url')
}

/** A file's text; undefined when it is missing, which is seen at once. */
async function textOf(path: string): Promise<string | undefined> {
  try {
    if (versionNow(path) === '') return undefined
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw asDiskError(path, error)
  }
}
