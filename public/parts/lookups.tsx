import { useState } from 'preact/hooks'
import type { Lookup, LookupName, Settings } from '../data/shapes.js'
import { get, query, Refusal } from '../state/api.js'
import { isCopy } from '../state/copy.js'
import { ago, now, t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { wordsOf } from '../state/refusals.js'

/** Asks services about an address, each only when somebody wants to know. */
export function Lookups({ ip }: { ip: string }) {
  const settings = useResource<Settings>('settings').value.value
  if (isCopy || ip.includes('/')) return <div />
  const names = settings?.lookups ?? []
  return (
    <section class="panel" aria-labelledby="lookups-title">
      <h2 id="lookups-title">{t('address.lookups')}</h2>
      {names.map(name => (
        <LookupBox key={name} name={name} ip={ip} />
      ))}
      <p class="quiet">
        {t('address.lookup.hint')} {settings !== undefined && names.length < 3 && t('address.lookup.noKey')}
      </p>
    </section>
  )
}

function LookupBox({ name, ip }: { name: LookupName; ip: string }) {
  const [answer, setAnswer] = useState<Lookup>()
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const ask = async () => {
    setBusy(true)
    setProblem('')
    try {
      setAnswer((await get<Lookup>(`lookups${query({ ip, source: name })}`))?.value)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      setProblem(wordsOf(error))
    } finally {
      setBusy(false)
    }
  }
  const facts = Object.entries(answer?.facts ?? {}).filter(([, value]) => value !== '')
  return (
    <div class="lookup">
      <h3>{t(`address.lookup.${name}`)}</h3>
      <button type="button" class="small" disabled={busy} onClick={() => void ask()}>
        {t('address.lookup.ask')}
        <span class="unseen"> {t(`address.lookup.${name}`)}</span>
      </button>
      <div aria-live="polite" class="lookup-answer">
        {problem !== '' && <p class="bad">{problem}</p>}
        {answer && facts.length === 0 && <p class="quiet">{t('address.lookup.none')}</p>}
        {answer && facts.length > 0 && (
          <dl class="facts">
            {facts.map(([key, value]) => (
              <div key={key}>
                <dt>{key}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        )}
        {answer && <small class="quiet">{t('address.lookup.at', { when: ago(answer.at, now.value) })}</small>}
      </div>
    </div>
  )
}
