import type { HTMLAttributes } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

type Marks = Pick<
  HTMLAttributes<HTMLElement>,
  'onScroll' | 'onPointerEnter' | 'onPointerLeave' | 'onFocusIn' | 'onFocusOut'
>

/**
 * Whether somebody reads a table: it is scrolled, or the pointer or the focus is in it. A row that moves then is one that
 * is clicked by mistake.
 * @param height of a row @param tell told when that changes @returns what to put on the element that scrolls
 */
export function useReading(
  height: number,
  tell: ((reading: boolean) => void) | undefined
): { reading: () => boolean; marks: Marks } {
  const state = useRef({ away: false, pointer: false, focus: false, told: false })
  const note = (change: Partial<typeof state.current>) => {
    const next = Object.assign(state.current, change)
    const reading = next.away || next.pointer || next.focus
    if (reading === next.told) return
    next.told = reading
    tell?.(reading)
  }
  useEffect(() => () => tell?.(false), [])
  return {
    reading: () => state.current.told,
    marks: {
      onScroll: event => note({ away: event.currentTarget.scrollTop > height }),
      onPointerEnter: () => note({ pointer: true }),
      onPointerLeave: () => note({ pointer: false }),
      onFocusIn: () => note({ focus: true }),
      onFocusOut: event => {
        const to = event.relatedTarget
        note({ focus: to instanceof Node && event.currentTarget.contains(to) })
      }
    }
  }
}
