import * as Type from 'typebox'
import { isoTime } from '../../common/clock.js'
import { printable } from '../../common/names.js'
import { shapeCheck } from '../../common/shapes.js'
import type { WhitelistState } from '../store/kinds.js'

/** What a client tells of its whitelist; unknown fields are passed over. */
export const WhitelistReport = Type.Object({
  result: Type.Union([Type.Literal('success'), Type.Literal('fail'), Type.Literal('unchanged')]),
  hash: Type.String({ pattern: '^([0-9a-f]{64})?$' }),
  message: Type.Optional(Type.String({ maxLength: 4096 }))
})
export type WhitelistReport = Type.Static<typeof WhitelistReport>

const check = shapeCheck(WhitelistReport)

/** Reads update.php's field `whitelist`; undefined when it is anything else than such a report. */
export function readWhitelistReport(text: string | undefined): WhitelistReport | undefined {
  if (text === undefined || text.length > 8192) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return check(value) === undefined ? (value as WhitelistReport) : undefined
  } catch {
    return undefined
  }
}

/** A report as it is kept. @param now milliseconds */
export function whitelistState({ result, hash, message }: WhitelistReport, now: number): WhitelistState {
  const told = message === undefined ? {} : { message: printable(message, 300) }
  return { at: isoTime(now), result, hash, ...told }
}
