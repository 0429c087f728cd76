import { isoTime, timeOf } from '../../common/clock.js'
import { ProductError } from '../../common/errors.js'

const ISO = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/

/** An end as it is stored; null stays null. @param now milliseconds @throws ProductError BAD_INPUT */
export function endOf(text: string | null, now: number): string | null {
  if (text === null) return null
  const end = ISO.test(text) ? timeOf(text) : NaN
  if (Number.isNaN(end)) {
    throw new ProductError('BAD_INPUT', 'expires is a time such as 2027-01-31T12:00:00Z, or null for no end')
  }
  if (end <= now) throw new ProductError('BAD_INPUT', 'expires lies in the past')
  return isoTime(end)
}
