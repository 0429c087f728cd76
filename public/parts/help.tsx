import { t, type MessageKey } from '../state/i18n.js'
import { Dialog } from './dialog.js'

const KEYS: [string[], MessageKey][] = [
  [['/'], 'help.search'],
  [['j', 'k'], 'help.move'],
  [['x'], 'help.select'],
  [['Enter'], 'help.open'],
  [['b'], 'help.block'],
  [['Esc'], 'help.escape'],
  [['?'], 'help.help']
]

/** The keys that do something. */
export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t('help.title')} onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([keys, text]) => (
          <div key={text}>
            <dt>
              {keys.map(key => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(text)}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
