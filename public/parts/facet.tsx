import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { placeBelow } from './place-below.js'
import { num, t } from '../state/i18n.js'

/** A filter by any of several values, each with the number of rows it would show. */
export function Facet({
  label,
  options,
  chosen,
  onChange
}: {
  label: string
  options: readonly { value: string; text: string; count: number; sign?: ComponentChildren }[]
  chosen: readonly string[]
  onChange: (chosen: string[]) => void
}) {
  const id = useId()
  const names = options.filter(one => chosen.includes(one.value)).map(one => one.text)
  const summary =
    names.length === 0 ? t('events.filter.any') : names.length <= 2 ? names.join(', ') : num(names.length)
  return (
    <div class="facet">
      <button type="button" popovertarget={id} class={chosen.length > 0 ? 'chosen' : ''}>
        <span class="facet-label">{label}:</span> <span class="facet-value">{summary}</span>{' '}
        <span aria-hidden="true">▾</span>
      </button>
      <div
        id={id}
        popover="auto"
        onBeforeToggle={placeBelow}
        class="menu facet-menu"
        role="group"
        aria-label={label}
      >
        {options.map(({ value, text, count, sign }) => (
          <label key={value} class="check">
            <input
              type="checkbox"
              checked={chosen.includes(value)}
              onChange={event =>
                onChange(
                  event.currentTarget.checked ? [...chosen, value] : chosen.filter(one => one !== value)
                )
              }
            />
            <span class="check-text">
              {sign} {text}
            </span>
            <span class="count">{num(count)}</span>
          </label>
        ))}
        {chosen.length > 0 && (
          <button type="button" class="quiet" onClick={() => onChange([])}>
            {t('events.filter.clear')}
          </button>
        )}
      </div>
    </div>
  )
}
