import { computed, effect, signal } from '@preact/signals'
import { de } from '../messages/de.js'
import { en } from '../messages/en.js'
import { kept } from './preferences.js'
import { timeOf } from '../data/time.js'

/** A text with `{name}` places; or one for each plural form that the language has for `{n}`. */
export type Message = string | ({ other: string } & Partial<Record<Intl.LDMLPluralRule, string>>)
export type MessageKey = keyof typeof en
/** A language: one file in `messages/`, and one row here. */
export type Messages = Record<MessageKey, Message>

const LANGUAGES: Record<string, { name: string; messages: Messages }> = {
  en: { name: 'English', messages: en },
  de: { name: 'Deutsch', messages: de }
}
export const LANGUAGE_NAMES = Object.entries(LANGUAGES).map(([code, { name }]) => ({ code, name }))

const preferred = navigator.languages.map(one => one.slice(0, 2)).find(code => code in LANGUAGES) ?? 'en'
/** The language of the page. */
export const language = kept('language', Object.keys(LANGUAGES), preferred)

/** The reader's own region within the language, for dates and numbers. */
const locale = computed(
  () => navigator.languages.find(one => one.slice(0, 2) === language.value) ?? language.value
)
const messages = computed<Messages>(() => LANGUAGES[language.value]?.messages ?? en)
const plurals = computed(() => new Intl.PluralRules(language.value))
/** Passes each minute: ages on the page go on. */
export const now = signal(Date.now())

effect(() => {
  document.documentElement.lang = language.value
})
setInterval(() => (now.value = Date.now()), 15_000)

/** A text of the page in the reader's language. Numbers are written as the language does. */
export function t(key: MessageKey, values: Record<string, string | number> = {}): string {
  const message = messages.value[key]
  const form =
    typeof message === 'string'
      ? message
      : (message[plurals.value.select(Number(values.n ?? 0))] ?? message.other)
  return form.replaceAll(/\{(\w+)\}/g, (place, name: string) => {
    const value = values[name]
    return value === undefined ? place : typeof value === 'number' ? num(value) : value
  })
}

/** A number as the language writes it; a fraction only where it says something. */
export function num(value: number): string {
  const maximumFractionDigits = Math.abs(value) < 20 ? 1 : 0
  return new Intl.NumberFormat(locale.value, { maximumFractionDigits }).format(value)
}

/** A moment in the reader's own zone; the text itself where it is none. */
export function moment(iso: string | null | undefined): string {
  const ms = timeOf(iso)
  if (Number.isNaN(ms)) return iso ?? ''
  return new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'short' }).format(ms)
}

/** A day, `YYYYMMDD`, in words. */
export function dayName(day: string, style: 'short' | 'full' | 'long' = 'long'): string {
  const date = Date.UTC(Number(day.slice(0, 4)), Number(day.slice(4, 6)) - 1, Number(day.slice(6, 8)))
  if (Number.isNaN(date)) return day
  const parts: Intl.DateTimeFormatOptions =
    style === 'short'
      ? { day: '2-digit', month: '2-digit' }
      : { day: 'numeric', month: 'short', year: 'numeric', ...(style === 'long' ? { weekday: 'short' } : {}) }
  return new Intl.DateTimeFormat(locale.value, { ...parts, timeZone: 'UTC' }).format(date)
}

/** How long ago a moment was, or how far ahead it is. @param from milliseconds */
export function ago(iso: string, from: number): string {
  const at = timeOf(iso)
  if (Number.isNaN(at - from)) return iso
  const seconds = Math.round((at - from) / 1000)
  const format = new Intl.RelativeTimeFormat(locale.value, { numeric: 'auto', style: 'short' })
  const size = Math.abs(seconds)
  if (size < 60) return seconds < 0 ? t('time.justNow') : format.format(0, 'second')
  if (size < 3600) return format.format(Math.trunc(seconds / 60), 'minute')
  if (size < 48 * 3600) return format.format(Math.trunc(seconds / 3600), 'hour')
  return format.format(Math.trunc(seconds / 86_400), 'day')
}

/** How long something takes, in the largest unit that says it. @param ms milliseconds */
export function duration(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000)
  const [value, unit] =
    seconds < 120
      ? [seconds, 'second']
      : seconds < 7200
        ? [Math.round(seconds / 60), 'minute']
        : [Math.round(seconds / 3600), 'hour']
  return new Intl.NumberFormat(locale.value, { style: 'unit', unit, unitDisplay: 'long' }).format(value)
}

/** A country's name in the reader's language. @param code ISO 3166-1 alpha-2 */
export function countryName(code: string): string {
  return new Intl.DisplayNames(locale.value, { type: 'region', fallback: 'code' }).of(code) ?? code
}
