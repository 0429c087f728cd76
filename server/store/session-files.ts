import { randomBytes } from 'node:crypto'
import { isoTime, timeOf, type Clock } from '../../common/clock.js'
import type { JsonFiles } from '../../common/json-file.js'
import type { Paths } from './folders.js'
import { KINDS, type EndedSessions } from './kinds.js'

/** What all server processes share of sessions: the signing key, and which sessions were ended early. */
export class SessionFiles {
  constructor(
    private readonly files: JsonFiles,
    private readonly paths: Paths,
    private readonly clock: Clock
  ) {}

  /** The signing key, made at first use. */
  async key(): Promise<Buffer> {
    const known = (await this.files.read(this.paths.sessionKey(), KINDS.sessionKey)).value.key
    if (known !== '') return Buffer.from(known, 'hex')
    const key = await this.files.change(this.paths.sessionKey(), KINDS.sessionKey, ({ value }) => {
      if (value.key !== '') return { result: value.key }
      const made = randomBytes(32).toString('hex')
      return { value: { key: made }, result: made }
    })
    return Buffer.from(key, 'hex')
  }

  /** True when one of these sessions was ended early: by a log-out, or because a newer id took its place. */
  async isEnded(...ids: string[]): Promise<boolean> {
    const { value } = await this.files.read(this.paths.endedSessions(), KINDS.endedSessions)
    const now = this.clock()
    return ids.some(id => Object.hasOwn(value, id) && timeOf(value[id]?.from) <= now)
  }

  /**
   * Ends a session for every server process; the earliest end that was asked for counts.
   * @param until milliseconds after which it would have ended anyway
   * @param from milliseconds when the end begins; at once by default
   */
  async end(id: string, until: number, from = this.clock()): Promise<void> {
    const earlier = (ended: EndedSessions) => Object.hasOwn(ended, id) && timeOf(ended[id]?.from) <= from
    // Parallel requests of one page end the same id: all but the first need no lock.
    const known = await this.files.read(this.paths.endedSessions(), KINDS.endedSessions)
    if (earlier(known.value)) return
    await this.files.change(this.paths.endedSessions(), KINDS.endedSessions, ({ value }) => {
      if (earlier(value)) return { result: undefined }
      const now = this.clock()
      const still = Object.entries(value).filter(([other, ends]) => other !== id && timeOf(ends.until) > now)
      const ended = [id, { from: isoTime(from), until: isoTime(until) }] as const
      return { value: Object.fromEntries([...still, ended]), result: undefined }
    })
  }
}
