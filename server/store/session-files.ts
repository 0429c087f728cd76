import { randomBytes } from 'node:crypto'
import { isoTime, timeOf, type Clock } from '../../common/clock.js'
import type { JsonFiles } from '../../common/json-file.js'
import type { Paths } from './folders.js'
import { KINDS } from './kinds.js'

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

  /** True when the session was ended by a log-out. */
  async isEnded(id: string): Promise<boolean> {
    return Object.hasOwn((await this.files.read(this.paths.endedSessions(), KINDS.endedSessions)).value, id)
  }

  /** Ends a session for every server process. @param until milliseconds after which it would have ended anyway */
  async end(id: string, until: number): Promise<void> {
    const now = this.clock()
    await this.files.change(this.paths.endedSessions(), KINDS.endedSessions, ({ value }) => {
      const still = Object.entries(value).filter(([, ends]) => timeOf(ends) > now)
      return { value: Object.fromEntries([...still, [id, isoTime(until)]]), result: undefined }
    })
  }
}
