import { useEffect, useState } from 'preact/hooks'
import { t } from '../state/i18n.js'
import { dismiss, toasts, type Toast } from '../state/toasts.js'

const SHOWN_MS = 8000
/** What went wrong, or can be undone, stays longer. */
const SHOWN_LONGER_MS = 15_000

/** The notices, read out as they come. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(toast => (
        <ToastBox key={toast.id} toast={toast} />
      ))}
    </div>
  )
}

function ToastBox({ toast }: { toast: Toast }) {
  const [held, setHeld] = useState(false)
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    if (held || busy) return
    const shown = toast.kind === 'problem' || toast.undo !== undefined ? SHOWN_LONGER_MS : SHOWN_MS
    const timer = setTimeout(() => dismiss(toast.id), shown)
    return () => clearTimeout(timer)
  }, [held, busy])
  const undo = async () => {
    setBusy(true)
    await toast.undo?.()
    dismiss(toast.id)
  }
  return (
    <div
      class={`toast ${toast.kind}`}
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocusIn={() => setHeld(true)}
      onFocusOut={() => setHeld(false)}
    >
      <div class="toast-text">
        <p>{toast.text}</p>
        {toast.details.length > 0 && (
          <ul>
            {toast.details.slice(0, 5).map((line, at) => (
              <li key={at}>{line}</li>
            ))}
            {toast.details.length > 5 && <li>…</li>}
          </ul>
        )}
      </div>
      {toast.undo && (
        <button type="button" disabled={busy} onClick={() => void undo()}>
          {t('app.undo')}
        </button>
      )}
      <button type="button" class="quiet icon" aria-label={t('app.close')} onClick={() => dismiss(toast.id)}>
        ✕
      </button>
    </div>
  )
}
