import { effect, signal } from '@preact/signals'

export const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

/** Light, dark, or as the system is. */
export const theme = kept('theme', THEMES, 'auto')

effect(() => {
  document.documentElement.dataset.theme = theme.value
})

/** A choice that this browser remembers. */
export function kept<const T extends string>(name: string, choices: readonly T[], fallback: T) {
  const stored = read(name)
  const choice = signal(choices.find(one => one === stored) ?? fallback)
  effect(() => write(name, choice.value))
  return choice
}

// A browser may refuse to store anything at all: then a choice holds until the page is closed.
function read(name: string): string | null {
  try {
    return localStorage.getItem(`f2br-${name}`)
  } catch {
    return null
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(`f2br-${name}`, value)
  } catch {
    // See above.
  }
}
