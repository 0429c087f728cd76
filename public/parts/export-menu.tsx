import { useId } from 'preact/hooks'
import { copyText, save, toCsv } from '../data/export.js'
import { t } from '../state/i18n.js'
import { tell } from '../state/toasts.js'
import { placeBelow } from './place-below.js'

/** Copies what is shown, or saves it as CSV or JSON. Rows are texts, in the order of `head`. */
export function ExportMenu({
  name,
  head,
  rows,
  lines
}: {
  name: string
  head: readonly string[]
  rows: () => string[][]
  lines: () => string[]
}) {
  const id = useId()
  const copy = async () => {
    const all = lines()
    if (await copyText(all.join('\n') + '\n')) tell('done', t('copy.done', { n: all.length }))
    else tell('problem', t('copy.failed'))
  }
  const asJson = () =>
    JSON.stringify(
      rows().map(row => Object.fromEntries(head.map((key, at) => [key, row[at] ?? '']))),
      null,
      1
    )
  return (
    <>
      <button type="button" class="only-wide" onClick={() => void copy()}>
        {t('copy.list')}
      </button>
      <button type="button" popovertarget={id}>
        {t('export')} <span aria-hidden="true">▾</span>
      </button>
      <div id={id} popover="auto" class="menu" onBeforeToggle={placeBelow}>
        <button type="button" class="only-narrow" onClick={() => void copy()}>
          {t('copy.list')}
        </button>
        <button
          type="button"
          onClick={() => save(`${name}.csv`, 'text/csv;charset=utf-8', toCsv(head, rows()))}
        >
          CSV
        </button>
        <button type="button" onClick={() => save(`${name}.json`, 'application/json', asJson())}>
          JSON
        </button>
      </div>
    </>
  )
}
