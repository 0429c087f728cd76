import { COMMAND_TYPES, isOpen } from '../data/command-rows.js'
import { copyText } from '../data/export.js'
import type { HostCommand, OneCommand } from '../data/shapes.js'
import { commandDialog, commandName } from '../state/commanding.js'
import { moment, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { mayChange } from '../state/session.js'
import { tell } from '../state/toasts.js'
import { CommandBadge } from './command-badge.js'
import { Dialog } from './dialog.js'
import { Failed, Loading } from './states.js'

/** Everything of one command, its output for those who may see it. */
export function CommandDetails({ id, onClose }: { id: string; onClose: () => void }) {
  const found = useResource<OneCommand>(`v1/commands/${encodeURIComponent(id)}`)
  const command = found.value.value?.command
  const title = command === undefined ? t('view.commands') : commandName(command.command_type)
  return (
    <Dialog title={title} onClose={onClose}>
      {command === undefined ? (
        found.problem.value === undefined ? (
          <Loading />
        ) : (
          <Failed problem={found.problem.value} />
        )
      ) : (
        <Details command={command} onClose={onClose} />
      )}
    </Dialog>
  )
}

function Details({ command, onClose }: { command: HostCommand; onClose: () => void }) {
  const { params } = command
  const type = COMMAND_TYPES.find(one => one === command.command_type)
  const facts: [string, string | undefined][] = [
    [t('col.server'), command.server_id],
    [t('command.type'), command.command_type],
    [t('col.ip'), params.ip],
    [t('command.jail'), params.jail],
    [t('command.by'), command.created_by],
    [t('command.asked'), moment(command.created_at)],
    [t('command.started'), moment(command.started_at) || t('history.waits')],
    [t('command.endedAt'), moment(command.ended_at) || t('history.waits')]
  ]
  const again = () => {
    if (type === undefined) return
    onClose()
    commandDialog.value = { servers: [command.server_id], type, params }
  }
  return (
    <>
      <p role="status">
        <CommandBadge state={command.state} /> {stateWords(command)}
      </p>
      <dl class="facts">
        {facts
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      <Output command={command} />
      {mayChange.value && type !== undefined && (
        <footer>
          <button type="button" onClick={again}>
            {t('command.again')}
          </button>
        </footer>
      )}
    </>
  )
}

/** What there is to say of a state beyond its name. */
function stateWords({ state, started_at }: HostCommand): string {
  if (state === 'pending') return t('command.waits')
  if (state === 'running') return t('command.runs')
  if (state === 'timeout') return t(started_at === null ? 'command.unfetched' : 'command.untold')
  return ''
}

function Output({ command }: { command: HostCommand }) {
  const { output, state } = command
  if (isOpen(command) || state === 'timeout') return null
  if (!mayChange.value) return <p class="quiet">{t('command.output.admins')}</p>
  const text = output ?? ''
  const copy = async () => {
    if (await copyText(text)) tell('done', t('command.output.copied'))
    else tell('problem', t('copy.failed'))
  }
  return (
    <section class="stack" aria-labelledby="output-title">
      <header class="panel-head">
        <h3 id="output-title">{t('command.output')}</h3>
        {text !== '' && (
          <button type="button" class="small" onClick={() => void copy()}>
            {t('command.output.copy')}
          </button>
        )}
      </header>
      {text === '' ? (
        <p class="quiet">{t('command.output.none')}</p>
      ) : (
        <pre class="output" tabIndex={0} aria-labelledby="output-title">
          {pretty(text)}
        </pre>
      )}
    </section>
  )
}

/** JSON is easier to read with line ends; all else stays as it is. */
function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
