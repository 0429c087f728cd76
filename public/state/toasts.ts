import { signal } from '@preact/signals'

/** A notice that goes by itself. */
export interface Toast {
  id: number
  kind: 'done' | 'problem'
  text: string
  /** More lines, such as what was refused. */
  details: readonly string[]
  undo: (() => Promise<void>) | undefined
}

/** What is being told, oldest first. */
export const toasts = signal<readonly Toast[]>([])

const MOST = 4
let last = 0

/** Tells something. */
export function tell(
  kind: Toast['kind'],
  text: string,
  more: { details?: readonly string[]; undo?: () => Promise<void> } = {}
): void {
  const toast = { id: ++last, kind, text, details: more.details ?? [], undo: more.undo }
  toasts.value = [...toasts.value, toast].slice(-MOST)
}

/** Takes a notice away. */
export function dismiss(id: number): void {
  toasts.value = toasts.value.filter(one => one.id !== id)
}
