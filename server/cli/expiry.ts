import { isoTime, timeOf } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'
import { flagText } from './context.js'

/** The time that `--expires` gives, as it is stored; null for no end. @throws ProductError BAD_INPUT */
export function endOfFlag(flags: Record<string, unknown>, now: number): string | null {
  if (flags.expires === undefined) return null
  const ms = timeOf(flagText(flags, 'expires'))
  if (Number.isNaN(ms))
    throw new ProductError('BAD_INPUT', '--expires takes an ISO 8601 time, such as 2027-01-31T12:00:00Z')
  if (ms <= now) throw new ProductError('BAD_INPUT', '--expires lies in the past')
  return isoTime(ms)
}
