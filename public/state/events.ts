import { useMemo, useRef } from 'preact/hooks'
import { tableOf, type EventTable } from '../data/event-table.js'
import type { Columns, Overview } from '../data/shapes.js'
import { query } from './api.js'
import { daysBefore, type Range } from './range.js'
import { useResource, useResources } from './resource.js'

interface Days {
  server: string
  days: string[]
}

/** Events of servers and days; undefined while they are being loaded. */
export interface LoadedEvents {
  table: EventTable | undefined
  /** Days that could not be loaded. */
  failed: number
  loaded: number
  wanted: number
}

/** Loads the events of a server, or of all, for a range of days; today's are kept up to date. */
export function useEvents(server: string, range: Range, overview: Overview | undefined): LoadedEvents {
  const names = overview?.servers.map(one => one.name) ?? []
  const servers = server === '' ? names : [server]
  const listed = useResources<Days>(
    servers.map(name => ({ path: `days${query({ server: name })}`, live: false }))
  )
  // A host's day may begin before or end after the server's own.
  const recent = daysBefore(overview?.today ?? range.to, 1)
  const live = (day: string) => day >= recent
  const paths = listed.flatMap((days, at) => {
    const name = servers[at] ?? ''
    const known = (days.value.value?.days ?? []).filter(day => day >= range.from && day <= range.to)
    // Today's file may come at any moment.
    const today = overview?.today ?? ''
    const all = today >= range.from && today <= range.to && !known.includes(today) ? [...known, today] : known
    return all.map(day => ({ path: `columns${query({ server: name, day })}`, live: live(day) }))
  })
  const parts = useResources<Columns>(paths)
  const ready = listed.every(settled) && parts.every(settled) && overview !== undefined
  const values = parts.map(one => one.value.value)
  const key = useRef<{ values: typeof values; version: number }>({ values: [], version: 0 })
  const same =
    key.current.values.length === values.length && values.every((one, at) => one === key.current.values[at])
  if (!same) key.current = { values, version: key.current.version + 1 }
  const table = useMemo(
    () => (ready ? tableOf(values.filter(one => one !== undefined)) : undefined),
    [ready, key.current.version]
  )
  return {
    table,
    failed: [...listed, ...parts].filter(one => one.problem.value !== undefined).length,
    loaded: values.filter(one => one !== undefined).length,
    wanted: parts.length
  }
}

function settled(one: ReturnType<typeof useResource<unknown>>): boolean {
  return one.value.value !== undefined || one.problem.value !== undefined
}
