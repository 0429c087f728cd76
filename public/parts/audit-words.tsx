import type { Actor } from '../data/shapes.js'
import { t, type MessageKey } from '../state/i18n.js'

const WORDS = {
  block: 'audit.block',
  unblock: 'audit.unblock',
  expired: 'audit.expired',
  'handed-out': 'audit.handed-out',
  'in-force': 'audit.in-force',
  removed: 'audit.removed',
  kept: 'audit.kept',
  added: 'audit.added',
  changed: 'audit.changed',
  'list-stored': 'audit.list-stored'
} as const satisfies Record<string, MessageKey>

/** What happened, in words; a kind that this page does not know yet by its name. */
export function whatWords(what: string): string {
  const key = (WORDS as Partial<Record<string, MessageKey>>)[what]
  return key === undefined ? what : t(key)
}

/** Who did it, and from where. */
export function ActorName({ actor }: { actor: Actor | null }) {
  if (actor === null) return <span class="quiet">{t('lists.unknown')}</span>
  if (actor.kind === 'server') return <span>{t('audit.by.server')}</span>
  const name = actor.kind === 'cli' ? t('audit.by.cli', { name: actor.name }) : actor.name
  const from = actor.kind === 'cli' ? '' : actor.from
  return (
    <span>
      <strong>{name}</strong>
      {from !== '' && <span class="quiet"> {t('audit.from', { from })}</span>}
    </span>
  )
}
