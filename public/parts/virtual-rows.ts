import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from '@tanstack/virtual-core'
import type { RefObject } from 'preact'
import { useEffect, useMemo, useReducer } from 'preact/hooks'

/** Rows beyond the edge that are drawn as well. */
const BEYOND = 8

/** Which rows of a long table are to be drawn, kept up to date while it is scrolled. */
export function useVirtualRows(
  scroller: RefObject<HTMLElement>,
  count: number,
  height: number
): Virtualizer<HTMLElement, HTMLElement> {
  const [, redraw] = useReducer((times: number) => times + 1, 0)
  const rows = useMemo(
    () =>
      new Virtualizer<HTMLElement, HTMLElement>({
        ...options(scroller, count, height),
        onChange: () => redraw(undefined)
      }),
    []
  )
  rows.setOptions({ ...rows.options, ...options(scroller, count, height) })
  useEffect(() => rows._didMount(), [])
  useEffect(() => rows._willUpdate())
  useEffect(() => rows.measure(), [height])
  return rows
}

function options(scroller: RefObject<HTMLElement>, count: number, height: number) {
  return {
    count,
    estimateSize: () => height,
    getScrollElement: () => scroller.current,
    overscan: BEYOND,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll
  }
}
