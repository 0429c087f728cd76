import { signal } from '@preact/signals'

/** A notice that goes by itself. */
export interface Toast {
  id: number
  kind: 'done' | 'problem'
  text: string
  /** More lines, such as what was refused. */
  details: readonly string[]
  undo: (() => Promise<void>) | undefined
  /** What it changed and no later notice has changed since, as keys that only have to differ. */
  about: readonly string[]
}

/** What is being told, oldest first. */
export const toasts = signal<readonly Toast[]>([])

const MOST = 4
let last = 0

/** Tells something. What earlier notices say of the same things is over, and so is their way back. */
export function tell(
  kind: Toast['kind'],
  text: string,
  {
    details = [],
    undo,
    about = []
  }: { details?: readonly string[]; undo?: () => Promise<void>; about?: readonly string[] } = {}
): void {
  const changed = new Set(about)
  const earlier = toasts.value.flatMap(toast => {
    const left = toast.about.filter(key => !changed.has(key))
    return left.length === 0 && toast.about.length > 0 ? [] : [{ ...toast, about: left }]
  })
  toasts.value = [...earlier, { id: ++last, kind, text, details, undo, about }].slice(-MOST)
}

/** Takes a notice away. */
export function dismiss(id: number): void {
  toasts.value = toasts.value.filter(one => one.id !== id)
}
