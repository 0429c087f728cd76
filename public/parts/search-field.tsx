import { change } from '../state/route.js'

/** The search of a view, whose text is in the address bar; the key `/` leads to it. @param name of the value there */
export function SearchField({
  label,
  name,
  text,
  placeholder = ''
}: {
  label: string
  name: string
  text: string
  placeholder?: string
}) {
  return (
    <label class="field search">
      {label}
      <input
        type="search"
        data-search
        autocomplete="off"
        spellcheck={false}
        placeholder={placeholder}
        value={text}
        onInput={event => change({ [name]: event.currentTarget.value }, true)}
      />
    </label>
  )
}
