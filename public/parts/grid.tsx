import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { useReading } from './reading.js'
import { useStillRows } from './still-rows.js'
import { t, type MessageKey } from '../state/i18n.js'
import { useVirtualRows } from './virtual-rows.js'

export interface GridColumn {
  key: string
  label: MessageKey
  /** False for what has no order. */
  sorts?: boolean
}

/** What a grid needs to know of its rows; rows are told apart by their place, from 0. */
interface GridProps {
  label: string
  columns: readonly GridColumn[]
  count: number
  /** The class that lays the columns out; the stylesheet has one for each grid. */
  layout: string
  cell: (row: number, column: string) => ComponentChildren
  sort: { column: string; descending: boolean }
  onSort: (column: string, descending: boolean) => void
  /** Left out where nothing can be chosen. */
  selection?: GridSelection
  onOpen: (row: number) => void
  empty: ComponentChildren
  /** Told when the first row is not in sight, or the pointer or the focus is on the rows: news are held back then. */
  onReading?: (reading: boolean) => void
  /** What tells a row from the others, where rows may come in between: what is being read then stays where it is. */
  rowKey?: (row: number) => string
  /** With `rowKey`: what was asked for; when that changes, rows move. */
  about?: string
}

export interface GridSelection {
  has: (row: number) => boolean
  /** Chooses or drops rows, both ends included. */
  set: (from: number, to: number, chosen: boolean) => void
  all: (chosen: boolean) => void
  count: number
}

const WIDE_ROW = 34
const NARROW_ROW = 58
const narrow = matchMedia('(max-width: 48rem)')

/** A table of any length: only the rows in sight are in the page. Arrow keys, j and k move, x or space choose. */
export function Grid(props: GridProps) {
  const { count, columns, selection, sort } = props
  const scroller = useRef<HTMLDivElement>(null)
  const [height, setHeight] = useState(narrow.matches ? NARROW_ROW : WIDE_ROW)
  const [active, setActive] = useState(-1)
  const anchor = useRef(-1)
  const rows = useVirtualRows(scroller, count, height)
  const { reading, marks } = useReading(height, props.onReading)
  useStillRows({
    scroller,
    height,
    count,
    rowKey: props.rowKey,
    about: props.about,
    reading,
    onMoved: by => setActive(row => (row < 0 ? row : row + by))
  })
  useEffect(() => {
    const changed = () => setHeight(narrow.matches ? NARROW_ROW : WIDE_ROW)
    narrow.addEventListener('change', changed)
    return () => narrow.removeEventListener('change', changed)
  }, [])
  const at = Math.min(active, count - 1)

  const moveTo = (row: number) => {
    const next = Math.max(0, Math.min(count - 1, row))
    setActive(next)
    rows.scrollToIndex(next, { align: 'auto' })
  }
  const choose = (row: number, range: boolean) => {
    if (selection === undefined || row < 0 || row >= count) return
    const from = range && anchor.current >= 0 ? Math.min(anchor.current, count - 1) : row
    selection.set(Math.min(from, row), Math.max(from, row), range || !selection.has(row))
    anchor.current = row
    setActive(row)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    // Space and Enter belong to the button or box that has the focus.
    if (event.target !== scroller.current && (event.key === ' ' || event.key === 'Enter')) return
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 400) / height) - 2)
    const moves: Record<string, number> = {
      ...{ j: at + 1, ArrowDown: at + 1, k: at - 1, ArrowUp: at - 1 },
      ...{ PageDown: at + page, PageUp: at - page, Home: 0, End: count - 1 }
    }
    const target = moves[event.key]
    if (target !== undefined) {
      if (event.shiftKey && at >= 0) selection?.set(Math.min(at, target), Math.max(at, target), true)
      moveTo(target)
    } else if (event.key === 'x' || event.key === ' ') choose(at, false)
    else if (event.key === 'Enter' && at >= 0) props.onOpen(at)
    else if (event.key === 'Escape' && selection !== undefined && selection.count > 0) selection.all(false)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  return (
    <div class={`grid ${props.layout}`}>
      <div
        ref={scroller}
        class="grid-scroll"
        role="grid"
        tabIndex={0}
        aria-label={props.label}
        aria-rowcount={count + 1}
        aria-multiselectable={selection !== undefined}
        {...(at >= 0 ? { 'aria-activedescendant': `row-${at}` } : {})}
        onKeyDown={onKeyDown}
        {...marks}
      >
        <div class="grid-head" role="rowgroup">
          <div role="row" aria-rowindex={1} class="grid-row">
            {selection && (
              <span role="columnheader" class="cell-select">
                <input
                  type="checkbox"
                  aria-label={t('select.all', { n: count })}
                  checked={count > 0 && selection.count === count}
                  ref={box => {
                    if (box) box.indeterminate = selection.count > 0 && selection.count < count
                  }}
                  onChange={event => selection.all(event.currentTarget.checked)}
                />
              </span>
            )}
            {columns.map(column => (
              <HeadCell key={column.key} column={column} sort={sort} onSort={props.onSort} />
            ))}
          </div>
        </div>
        <div class="grid-body" role="rowgroup" style={{ height: `${rows.getTotalSize()}px` }}>
          {rows.getVirtualItems().map(({ index, start }) => (
            <div
              key={index}
              id={`row-${index}`}
              role="row"
              aria-rowindex={index + 2}
              {...(selection === undefined ? {} : { 'aria-selected': selection.has(index) })}
              class={`grid-row${index === at ? ' active-row' : ''}`}
              style={{ transform: `translateY(${start}px)`, height: `${height}px` }}
              onClick={event => {
                if (event.target instanceof Element && event.target.closest('a, button, input') !== null)
                  return
                if (event.shiftKey) choose(index, true)
                else setActive(index)
              }}
              onDblClick={() => props.onOpen(index)}
            >
              {selection && (
                <span role="gridcell" class="cell-select">
                  <input
                    type="checkbox"
                    tabIndex={-1}
                    aria-label={t('col.select')}
                    checked={selection.has(index)}
                    onClick={event => choose(index, event.shiftKey)}
                  />
                </span>
              )}
              {columns.map(({ key }) => (
                <span key={key} role="gridcell" class={`cell-${key}`}>
                  {props.cell(index, key)}
                </span>
              ))}
            </div>
          ))}
        </div>
        {count === 0 && props.empty}
      </div>
    </div>
  )
}

function HeadCell({
  column,
  sort,
  onSort
}: {
  column: GridColumn
  sort: GridProps['sort']
  onSort: GridProps['onSort']
}) {
  const sorted = sort.column === column.key
  const text = t(column.label)
  if (column.sorts === false) {
    return (
      <span role="columnheader" class={`cell-${column.key}`}>
        {text}
      </span>
    )
  }
  return (
    <span
      role="columnheader"
      class={`cell-${column.key}`}
      aria-sort={sorted ? (sort.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button
        type="button"
        class="sort"
        title={t('col.sort', { column: text })}
        onClick={() =>
          onSort(column.key, sorted ? !sort.descending : column.key === 'time' || column.key === 'mark')
        }
      >
        {text}
        <span aria-hidden="true" class="sort-sign">
          {sorted ? (sort.descending ? '▾' : '▴') : ''}
        </span>
      </button>
    </span>
  )
}
