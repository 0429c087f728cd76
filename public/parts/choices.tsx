import type { ComponentChildren } from 'preact'

/** Any of several values, as boxes to tick. @param all the name of a box that ticks all */
export function Choices({
  label,
  all,
  options,
  chosen,
  onChange,
  children
}: {
  label: string
  all?: string
  options: readonly string[]
  chosen: readonly string[]
  onChange: (chosen: string[]) => void
  children?: ComponentChildren
}) {
  const names = [...new Set([...options, ...chosen])].sort()
  return (
    <fieldset>
      <legend>{label}</legend>
      <div class="choices">
        {all !== undefined && names.length > 1 && (
          <label class="check">
            <input
              type="checkbox"
              checked={chosen.length === names.length}
              onChange={event => onChange(event.currentTarget.checked ? names : [])}
            />
            {all}
          </label>
        )}
        {names.map(name => (
          <label key={name} class="check">
            <input
              type="checkbox"
              checked={chosen.includes(name)}
              onChange={event =>
                onChange(event.currentTarget.checked ? [...chosen, name] : chosen.filter(one => one !== name))
              }
            />
            {name}
          </label>
        ))}
        {children}
      </div>
    </fieldset>
  )
}
