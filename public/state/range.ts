import { param } from './route.js'

/** The days a view is about, `YYYYMMDD`, oldest first, and how they were chosen. */
export interface Range {
  /** '' is today, a number so many days up to today, `own` a choice of two days. */
  kind: string
  from: string
  to: string
}

/** Longest range that is looked at. */
const MOST_DAYS = 92

/** The range in the address bar. @param today `YYYYMMDD` */
export function rangeParam(today: string): Range {
  const [from, to, kind] = [param('from'), param('to'), param('range')]
  if (isDay(from) || isDay(to)) {
    const [a, b] = [isDay(from) ? from : to, isDay(to) ? to : from].sort()
    return { kind: 'own', from: a ?? today, to: b ?? today }
  }
  if (kind === 'yesterday') return { kind, from: daysBefore(today, 1), to: daysBefore(today, 1) }
  const days = /^\d{1,2}$/.test(kind) ? Math.min(MOST_DAYS, Math.max(1, Number(kind))) : 1
  return { kind: days === 1 ? '' : String(days), from: daysBefore(today, days - 1), to: today }
}

/** The day some days before one. */
export function daysBefore(day: string, days: number): string {
  const date = new Date(
    Date.UTC(Number(day.slice(0, 4)), Number(day.slice(4, 6)) - 1, Number(day.slice(6, 8)) - days)
  )
  return date.toISOString().slice(0, 10).replaceAll('-', '')
}

function isDay(text: string): boolean {
  return /^\d{8}$/.test(text)
}
