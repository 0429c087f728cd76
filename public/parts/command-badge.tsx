import type { CommandState } from '../data/shapes.js'
import { t } from '../state/i18n.js'

const SIGNS: Record<CommandState, [string, string]> = {
  pending: ['◔', 'wait'],
  running: ['⟳', 'wait'],
  completed: ['✓', 'good'],
  failed: ['✕', 'bad'],
  timeout: ['!', 'bad']
}

/** How a command stands, with a sign. */
export function CommandBadge({ state }: { state: CommandState }) {
  const [sign, tone] = SIGNS[state]
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{sign}</span> {t(`command.state.${state}`)}
    </span>
  )
}
