/** The present moment in milliseconds since 1970; passed in, so that tests need no sleeping. */
export type Clock = () => number

/** The last moment that is written down: later ones have no four-digit year. Milliseconds. */
export const LAST_MOMENT = Date.parse('9999-12-31T23:59:59.999Z')

/** ISO 8601 with milliseconds and offset (sync-contract.md §1: `timestamp`, `lastModified`). */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '+00:00')
}

/** Milliseconds of an ISO 8601 text; NaN when it is none or absent. */
export function timeOf(text: unknown): number {
  return typeof text === 'string' ? Date.parse(text) : NaN
}
