import * as Type from 'typebox'
import type { Static } from 'typebox'
import type { CommandOutcome } from '../../common/commands.js'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { shapeCheck } from '../../common/shapes.js'

const Row = Type.Object({
  id: Type.String(),
  /** It began and has not ended. */
  begun: Type.Optional(Type.Literal(true)),
  /** What the server is still to be told. */
  untold: Type.Optional(
    Type.Object({
      state: Type.Union([Type.Literal('completed'), Type.Literal('failed')]),
      output: Type.String()
    })
  )
})
type Row = Static<typeof Row>
const ROWS: JsonKind<Row[]> = {
  check: shapeCheck(Type.Array(Row)),
  empty: () => [],
  corrupt: 'set-aside',
  mode: 0o640,
  rows: true
}
/** Commands remembered, and outcomes kept for a server that can't be told now. */
const MOST = 500
const MOST_UNTOLD = 20
const INTERRUPTED = 'interrupted: the client was ended while it ran this; it is not known how far it came'

/**
 * Remembers which commands this host has begun: whatever its server says (one restored from a backup says it again), none
 * is run twice. And what came of those the server could not be told of.
 */
export class CommandLog {
  constructor(
    private readonly files: JsonFiles,
    private readonly path: string
  ) {}

  /** Notes that a command begins. @returns false when it began before */
  async begin(id: string): Promise<boolean> {
    return this.files.change(this.path, ROWS, ({ value }) =>
      value.some(row => row.id === id)
        ? { result: false }
        : { value: [...value, { id, begun: true as const }].slice(-MOST), result: true }
    )
  }

  /** Answers commands that a former run began and did not live to end. They are not run again. */
  async endInterrupted(): Promise<void> {
    const untold = { state: 'failed' as const, output: INTERRUPTED }
    await this.files.change(this.path, ROWS, ({ value }) =>
      value.some(({ begun }) => begun)
        ? { value: value.map(row => (row.begun ? { id: row.id, untold } : row)), result: undefined }
        : { result: undefined }
    )
  }

  async ended({ id, state, output }: CommandOutcome): Promise<void> {
    await this.#replace(id, { id, untold: { state, output } })
  }

  /** Outcomes the server was not told of, oldest first. */
  async untold(): Promise<CommandOutcome[]> {
    const { value } = await this.files.read(this.path, ROWS)
    return value
      .flatMap(({ id, untold }) => (untold === undefined ? [] : [{ id, ...untold }]))
      .slice(-MOST_UNTOLD)
  }

  async told(id: string): Promise<void> {
    await this.#replace(id, { id })
  }

  async #replace(id: string, next: Row): Promise<void> {
    await this.files.change(this.path, ROWS, ({ value }) => ({
      value: value.map(row => (row.id === id ? next : row)),
      result: undefined
    }))
  }
}
