/** The element with this id. @throws Error when the page has none of this kind */
export function byId<T extends Element>(id: string, kind: new () => T): T {
  const found = document.getElementById(id)
  if (!(found instanceof kind)) throw new Error(`the page lacks #${id}`)
  return found
}

/** Makes an element. Children that are text become text, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  more: { className?: string; label?: string } = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name)
  if (more.className !== undefined) element.className = more.className
  if (more.label !== undefined) element.dataset.label = more.label
  element.append(...children)
  return element
}

/** A button that runs `click`. */
export function button(text: string, click: () => void): HTMLButtonElement {
  const made = make('button', {}, text)
  made.type = 'button'
  made.addEventListener('click', click)
  return made
}

/** A moment in the reader's own language and zone; empty when there is none. */
export function moment(iso: string | null | undefined): string {
  const ms = Date.parse(iso ?? '')
  return Number.isNaN(ms) ? (iso ?? '') : new Date(ms).toLocaleString()
}
