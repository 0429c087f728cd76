import type { RefObject } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

interface Still {
  scroller: RefObject<HTMLElement>
  height: number
  count: number
  rowKey: ((row: number) => string) | undefined
  about: string | undefined
  /** True while somebody reads: at rest on top, what is new is shown at once. */
  reading: () => boolean
  /** Told by how many places the rows in sight have moved down. */
  onMoved: (by: number) => void
}

/** Keeps the rows in sight where they are when others come or go above them. */
export function useStillRows({ scroller, height, count, rowKey, about, reading, onMoved }: Still): void {
  const before = useRef({ about, count: 0, keys: [] as string[], first: 0 })
  useLayoutEffect(() => {
    const box = scroller.current
    if (box === null || rowKey === undefined) return
    const { first, keys } = before.current
    const same = before.current.about === about && before.current.count > 0 && count > 0
    const moved = same && rowKey(Math.min(first, count - 1)) !== keys[0]
    if (moved && reading()) {
      const by = movedBy(keys, first, count, rowKey)
      if (by !== 0) {
        box.scrollTop += by * height
        onMoved(by)
      }
    }
    const top = Math.min(count - 1, Math.floor(box.scrollTop / height))
    const seen = Math.min(count - top, Math.ceil(box.clientHeight / height) + 1)
    before.current = {
      about,
      count,
      first: top,
      keys: Array.from({ length: Math.max(0, seen) }, (_, at) => rowKey(top + at))
    }
  })
}

/** How far down the first row that was in sight, and still is there, has come. */
function movedBy(
  keys: readonly string[],
  first: number,
  count: number,
  rowKey: (row: number) => string
): number {
  const places = new Map<string, number>()
  for (let row = 0; row < count; row++) places.set(rowKey(row), row)
  for (const [at, key] of keys.entries()) {
    const place = places.get(key)
    if (place !== undefined) return place - (first + at)
  }
  return 0
}
