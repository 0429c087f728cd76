import type { ComponentChildren } from 'preact'
import type { Refusal } from '../state/api.js'
import { t } from '../state/i18n.js'
import { wordsOf } from '../state/refusals.js'
import { refresh } from '../state/resource.js'

/** What stands where there is nothing to be shown: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  )
}

/** Holds the place of what is being loaded; shows itself only when that takes long. */
export function Loading() {
  return (
    <p class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      {t('app.loading')}
    </p>
  )
}

/** Tells that something could not be loaded. */
export function Failed({ problem }: { problem: Refusal }) {
  return (
    <div class="banner bad" role="alert">
      <span>{t('app.failed', { why: wordsOf(problem) })}</span>
      <button type="button" onClick={() => void refresh()}>
        {t('app.retry')}
      </button>
    </div>
  )
}
