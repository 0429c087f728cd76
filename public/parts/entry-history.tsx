import type { History, HistoryStep } from '../data/shapes.js'
import { query } from '../state/api.js'
import { moment, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { ActorName, whatWords } from './audit-words.js'
import { Failed, Loading } from './states.js'

/** One entry's history: who asked for what, when its host got it, and when it had carried it out. */
export function EntryHistory({ server, jail, ip }: { server: string; jail: string; ip: string }) {
  const list = `servers/${encodeURIComponent(server)}/blocklists/${encodeURIComponent(jail)}`
  const found = useResource<History>(`${list}/history${query({ ip })}`)
  const steps = found.value.value?.history
  if (steps === undefined) {
    return found.problem.value === undefined ? <Loading /> : <Failed problem={found.problem.value} />
  }
  return (
    <section class="history" aria-labelledby="history-title">
      <h3 id="history-title">{t('history.title')}</h3>
      {steps.length === 0 && <p class="quiet">{t('history.none')}</p>}
      <ol>
        {steps.map((step, at) => (
          <li key={at}>
            <p>
              <strong>{whatWords(step.what)}</strong> · <ActorName actor={step.by} />
            </p>
            <StepTimes step={step} />
          </li>
        ))}
      </ol>
    </section>
  )
}

function StepTimes({ step }: { step: HistoryStep }) {
  const { asked, handedOut, done, doneBy } = step
  const times: [string, string | null, boolean][] = [
    [t('history.asked'), asked, false],
    [t('history.handedOut'), handedOut, asked !== null && done === null],
    [t(step.what === 'block' ? 'history.inForce' : 'history.done'), done, asked !== null]
  ]
  return (
    <ul class="history-times">
      {times
        .filter(([, time, waits]) => time !== null || waits)
        .map(([name, time]) => (
          <li key={name} class={time === null ? 'quiet' : ''}>
            <span aria-hidden="true">{time === null ? '○' : '●'}</span> {name}:{' '}
            {time === null ? t('history.waits') : <time title={time}>{moment(time)}</time>}
            {time !== null && time === done && doneBy?.kind === 'client' && (
              <span class="quiet"> {t('audit.from', { from: doneBy.from })}</span>
            )}
          </li>
        ))}
    </ul>
  )
}
