import type { ComponentChildren } from 'preact'
import { t } from '../state/i18n.js'

/**
 * The line above a table: how many rows there are or are chosen, and what can be done with them. It has the same height
 * whatever is chosen, so that the rows below stay under the pointer that chooses them.
 * @param onClear chooses none; left out while nothing is chosen
 */
export function Tools({
  count,
  onClear,
  news,
  children
}: {
  count: string
  onClear?: (() => void) | undefined
  /** What has come meanwhile and is held back. */
  news?: ComponentChildren
  children: ComponentChildren
}) {
  return (
    <div class="tools">
      <p class="tools-count" role="status">
        {count}
      </p>
      {onClear && (
        <button
          type="button"
          class="quiet icon"
          aria-label={t('select.clear')}
          title={t('select.clear')}
          onClick={onClear}
        >
          ✕
        </button>
      )}
      {news}
      <div class="tools-buttons">{children}</div>
    </div>
  )
}

/** How many rows and addresses are chosen. */
export function chosenWords(rows: number, ips: number): string {
  return `${t('select.rows', { n: rows })}, ${t('select.ips', { n: ips })}`
}
