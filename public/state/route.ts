import { signal } from '@preact/signals'
import { VIEWS, type View } from '../data/views.js'

/** Where the reader is: the whole state of a view, so that its address can be passed on. */
export interface Route {
  view: View
  params: URLSearchParams
}

type Changes = Record<string, string | undefined>

/** The address bar as a signal. */
export const route = signal(read())

addEventListener('popstate', () => (route.value = read()))

function read(): Route {
  const params = new URLSearchParams(location.search)
  const named = params.get('view')
  return { view: VIEWS.find(view => view === named) ?? 'overview', params }
}

/** One value of the view's state; empty when it has its default. */
export function param(name: string): string {
  return route.value.params.get(name) ?? ''
}

/** A value that is a list. */
export function listParam(name: string): string[] {
  return route.value.params.getAll(name)
}

/** The column that rows are sorted by, as the address bar says it; else the usual one, descending. */
export function sortParam<Column extends string>(
  columns: readonly Column[],
  usual: Column
): { column: Column; descending: boolean } {
  const text = param('sort')
  const column = columns.find(one => one === text.replace(/^-/, ''))
  return column === undefined
    ? { column: usual, descending: true }
    : { column, descending: text.startsWith('-') }
}

/** The address of a view; relative, so that any base path will do. */
export function href(view: View, values: Changes = {}): string {
  const params = new URLSearchParams({ view })
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== '') params.set(name, value)
  }
  return `?${params.toString()}`
}

/** The address of the present view with other values. */
export function hrefWith(values: Changes): string {
  const params = new URLSearchParams(route.value.params)
  for (const [name, value] of Object.entries(values)) {
    params.delete(name)
    if (value !== undefined && value !== '') params.set(name, value)
  }
  return `?${params.toString()}`
}

/** Goes to an address that `href` made. */
export function go(to: string): void {
  history.pushState(null, '', to)
  route.value = read()
  scrollTo(0, 0)
}

/**
 * Changes values of the present view; undefined or empty takes one away, an array stands for a list.
 * @param typing true while somebody types: the way back leads past it
 */
export function change(
  changes: Record<string, string | readonly string[] | undefined>,
  typing = false
): void {
  const params = new URLSearchParams(route.value.params)
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name)
    for (const one of [value ?? []].flat()) if (one !== '') params.append(name, one)
  }
  if (params.toString() === route.value.params.toString()) return
  const to = `?${params.toString()}`
  if (typing) history.replaceState(null, '', to)
  else history.pushState(null, '', to)
  route.value = read()
}

/** Lets links to views change the view without loading the page anew. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return
  const link = event.target instanceof Element ? event.target.closest('a') : null
  const to = link?.getAttribute('href')
  if (to?.startsWith('?') !== true) return
  event.preventDefault()
  go(to)
}
