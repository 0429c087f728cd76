import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef } from 'preact/hooks'
import { t } from '../state/i18n.js'

/** A native modal dialog that is open as long as it is drawn. @param onClose also on Escape */
export function Dialog({
  title,
  onClose,
  children,
  firm = false
}: {
  title: string
  onClose: () => void
  children: ComponentChildren
  /** True when there is no way past it. */
  firm?: boolean
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  // One may open over another.
  const titleId = useId()
  // At once: what is typed next is for the dialog.
  useLayoutEffect(() => {
    const opener = document.activeElement
    dialog.current?.showModal()
    // Where a keyboard would cover half of a small screen, it comes when it is asked for.
    if (matchMedia('(pointer: fine)').matches)
      dialog.current?.querySelector<HTMLElement>('form :is(textarea, select, input)')?.focus()
    return () => {
      if (opener instanceof HTMLElement) opener.focus()
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onCancel={event => {
        event.preventDefault()
        if (!firm) onClose()
      }}
      onClick={event => {
        if (event.target === dialog.current && !firm) onClose()
      }}
    >
      <div class="dialog">
        <header>
          <h2 id={titleId}>{title}</h2>
          {!firm && (
            <button type="button" class="quiet icon" aria-label={t('app.close')} onClick={onClose}>
              ✕
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  )
}

/** Why a dialog's wish was not carried out; nothing while there is no reason. */
export function DialogProblem({
  problem
}: {
  problem: { text: string; details: readonly string[] } | undefined
}) {
  if (problem === undefined) return null
  return (
    <div class="banner bad" role="alert">
      <p>{problem.text}</p>
      <ul>
        {problem.details.slice(0, 20).map((line, at) => (
          <li key={at}>{line}</li>
        ))}
      </ul>
    </div>
  )
}
