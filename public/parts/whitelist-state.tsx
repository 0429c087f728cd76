import type { ServerSummary } from '../data/shapes.js'
import { whitelistState, type WhitelistState } from '../data/whitelist-state.js'
import { giveCommand } from '../state/commanding.js'
import { ago, t } from '../state/i18n.js'
import { useState } from 'preact/hooks'

const SIGNS: Record<WhitelistState, [string, string]> = {
  failed: ['✕', 'bad'],
  behind: ['◔', 'wait'],
  never: ['○', 'quiet'],
  unknown: ['?', 'wait'],
  inStep: ['✓', 'good']
}

/** How a host stands with the whitelist, with a sign. @param now the server's time, milliseconds */
export function WhitelistBadge({ server, now }: { server: ServerSummary; now: number }) {
  const state = whitelistState(server)
  const [sign, tone] = SIGNS[state]
  return (
    <span class={`badge ${tone}`} title={whitelistWords(server, now)}>
      <span aria-hidden="true">{sign}</span> {t(`host.white.${state}`)}
    </span>
  )
}

/** What there is to say of a host's copy: since when, or why not. */
export function whitelistWords(server: ServerSummary, now: number): string {
  const state = whitelistState(server)
  const { at = '', message = '' } = server.host.whitelist ?? {}
  return t(`host.white.${state}.long`, {
    when: ago(at, now),
    why: message === '' ? t('lists.unknown') : message
  })
}

/** Has one host sync its whitelist now. */
export function SyncWhitelist({ server, small = false }: { server: string; small?: boolean }) {
  const [busy, setBusy] = useState(false)
  const sync = async () => {
    setBusy(true)
    await giveCommand({ servers: [server], type: 'whitelist_sync', params: {} }).finally(() => setBusy(false))
  }
  return (
    <button
      type="button"
      class={small ? 'small' : ''}
      disabled={busy}
      aria-label={t('host.white.sync.one', { server })}
      onClick={() => void sync()}
    >
      {t(small ? 'host.white.sync.short' : 'host.white.sync')}
    </button>
  )
}
