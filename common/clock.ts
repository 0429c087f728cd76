/** The present moment in milliseconds since 1970; passed in, so that tests need no sleeping. */
export type Clock = () => number

// Date.parse alone reads a date into almost any text that ends with a number.
const ISO = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/

/** The last moment that is written down: later ones have no four-digit year. Milliseconds. */
export const LAST_MOMENT = Date.parse('9999-12-31T23:59:59.999Z')

/** ISO 8601 with milliseconds and offset (sync-contract.md §1: `timestamp`, `lastModified`). */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '+00:00')
}

/** The day of a moment in this machine's zone, `YYYYMMDD`, or of one some days before it. */
export function localDay(ms: number, daysBefore = 0): string {
  const at = new Date(ms)
  // Noon: a day that is an hour longer or shorter stays one day.
  const day = new Date(at.getFullYear(), at.getMonth(), at.getDate() - daysBefore, 12)
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()]
    .map(part => String(part).padStart(2, '0'))
    .join('')
}

/** Milliseconds of an ISO 8601 text; NaN when it is none or absent. */
export function timeOf(text: unknown): number {
  return typeof text === 'string' && ISO.test(text) ? Date.parse(text) : NaN
}
