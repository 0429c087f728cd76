const ISO = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/

/** Milliseconds of an ISO 8601 text; NaN when it is none. Browsers read a date into almost any text otherwise. */
export function timeOf(text: string | null | undefined): number {
  return ISO.test(text ?? '') ? Date.parse(text ?? '') : NaN
}
