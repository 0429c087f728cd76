import { signal, type Signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { get, Refusal } from './api.js'
import { sessionIsOver, session } from './session.js'

/** Something read from the server, kept up to date while a view shows it. */
export interface Resource<T> {
  /** The last that was read; stays while newer reads fail. */
  value: Signal<T | undefined>
  /** Why the last read failed. */
  problem: Signal<Refusal | undefined>
}

interface Kept extends Resource<unknown> {
  path: string
  etag: string | null
  readers: number
  live: boolean
  running: Promise<void> | undefined
}

/** Resources nobody looks at that stay for the way back. */
const MOST_IDLE = 150

const all = new Map<string, Kept>()
/** Milliseconds when something was last heard of the server. */
export const heardAt = signal(0)
/** True while the server does not answer. */
export const unreachable = signal(false)

/** Reads `path` of the API and keeps it fresh while the component is there. Undefined reads nothing. */
export function useResource<T>(path: string | undefined): Resource<T> {
  const kept = path === undefined ? NONE : keep(path)
  useEffect(() => {
    if (kept === NONE) return
    kept.readers++
    void load(kept, false)
    return () => {
      kept.readers--
      tidy()
    }
  }, [kept])
  return kept as Resource<T>
}

/** Like `useResource`, for any number of paths at once. What is not `live` is read once. */
export function useResources<T>(paths: readonly { path: string; live: boolean }[]): Resource<T>[] {
  const some = paths.map(({ path, live }) => Object.assign(keep(path), { live }))
  useEffect(() => {
    for (const one of some) {
      one.readers++
      if (one.live || one.value.value === undefined) void load(one, false)
    }
    return () => {
      for (const one of some) one.readers--
      tidy()
    }
  }, [paths.map(one => one.path).join('\n')])
  return some as Resource<T>[]
}

/** Reads anew what is on the screen, because something was changed. */
export async function refresh(): Promise<void> {
  await Promise.all(
    [...all.values()]
      .filter(one => one.readers > 0 && (one.live || one.value.value === undefined))
      .map(one => load(one, false, true))
  )
}

/** Forgets everything: somebody else may log in. */
export function forgetAll(): void {
  for (const one of all.values()) {
    one.value.value = undefined
    one.problem.value = undefined
    one.etag = null
  }
}

/**
 * Asks for news of what is on the screen.
 * @param concerns told a path of the API; false leaves it out
 * @param anew true when something is known to have changed just now
 */
export function lookForNews(concerns: (path: string) => boolean, anew = false): void {
  if (document.visibilityState !== 'visible' || session.value == null) return
  for (const one of all.values()) {
    if (one.readers > 0 && one.live && concerns(one.path)) void load(one, true, anew)
  }
}

const NONE: Kept = make('')

function make(path: string): Kept {
  return {
    path,
    value: signal<unknown>(undefined),
    problem: signal<Refusal | undefined>(undefined),
    etag: null,
    readers: 0,
    live: true,
    running: undefined
  }
}

function keep(path: string): Kept {
  const known = all.get(path)
  if (known !== undefined) return known
  const made = make(path)
  all.set(path, made)
  return made
}

/** @param anew waits for a read that is under way and reads once more: it may have begun before the change */
async function load(one: Kept, byItself: boolean, anew = false): Promise<void> {
  const before = one.running
  if (before !== undefined) {
    await before
    // Whatever runs now was begun after the change.
    if (!anew || one.running !== undefined) return one.running
  }
  one.running = read(one, byItself)
  await one.running
  one.running = undefined
}

async function read(one: Kept, byItself: boolean): Promise<void> {
  try {
    const reply = await get(one.path, { byItself, known: one.etag })
    unreachable.value = false
    heardAt.value = Date.now()
    one.problem.value = undefined
    if (reply === undefined) return
    one.etag = reply.etag
    one.value.value = reply.value
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.status === 401) sessionIsOver()
    else one.problem.value = error
    unreachable.value = error.status === 0
    if (error.status !== 0) heardAt.value = Date.now()
  }
}

function tidy(): void {
  const idle = [...all.values()].filter(one => one.readers === 0)
  for (const one of idle.slice(0, Math.max(0, idle.length - MOST_IDLE))) all.delete(one.path)
}
