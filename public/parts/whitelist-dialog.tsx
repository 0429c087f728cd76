import { useState } from 'preact/hooks'
import { ipsIn, parseIp } from '../data/ip.js'
import type { Overview } from '../data/shapes.js'
import { Refusal } from '../state/api.js'
import { t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { addToWhitelist, whitelistDialog } from '../state/whitelisting.js'
import { AddressesField } from './addresses-field.js'
import { Choices } from './choices.js'
import { Dialog, DialogProblem } from './dialog.js'
import { EndField, endOf } from './end-field.js'
import { wordsOf } from '../state/refusals.js'
import { WideConfirm, wideWords } from './wide-confirm.js'

/** Asks what is never to be blocked, and where. */
export function WhitelistDialog() {
  const begin = whitelistDialog.value ?? {}
  const names = (useResource<Overview>('servers').value.value?.servers ?? []).map(one => one.name)
  const [text, setText] = useState((begin.ips ?? []).join('\n'))
  const [servers, setServers] = useState(begin.servers ?? [])
  const [description, setDescription] = useState('')
  const [end, setEnd] = useState({ choice: '', moment: '' })
  const [sure, setSure] = useState(false)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const close = () => (whitelistDialog.value = undefined)
  const ips = ipsIn(text)
  const wide = wideWords(ips)

  const submit = async () => {
    const expires = endOf(end, Date.now())
    const bad = ips.find(ip => parseIp(ip) === undefined)
    if (ips.length === 0) return setProblem(t('block.needIp'))
    if (bad !== undefined) return setProblem(t('block.bad', { text: bad }))
    if (expires === undefined) return setProblem(t('white.needEnd'))
    setBusy(true)
    try {
      await addToWhitelist({ ips, description: description.trim(), expires, servers })
      close()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      setProblem(wordsOf(error))
    } finally {
      setBusy(false)
    }
  }

  return (
    <Dialog title={t('white.title')} onClose={close}>
      <form
        class="stack"
        onSubmit={event => {
          event.preventDefault()
          void submit()
        }}
      >
        <p class="quiet">{t('white.what')}</p>
        <AddressesField
          text={text}
          count={ips.length}
          onInput={next => {
            setText(next)
            setSure(false)
          }}
        />
        <div class="pair">
          <label>
            {t('white.description')}
            <input
              value={description}
              maxLength={500}
              placeholder={t('white.description.hint')}
              onInput={event => setDescription(event.currentTarget.value)}
            />
          </label>
          <EndField end={end} onChange={setEnd} />
        </div>
        <Choices label={t('white.servers')} options={names} chosen={servers} onChange={setServers} />
        <WideConfirm words={wide} sure={sure} onChange={setSure} />
        <DialogProblem problem={problem === '' ? undefined : { text: problem, details: [] }} />
        <footer>
          <button type="button" onClick={close}>
            {t('app.cancel')}
          </button>
          <button type="submit" class="primary" disabled={busy || (wide.length > 0 && !sure)}>
            {ips.length === 0 ? t('white.submit.none') : t('white.submit', { n: ips.length })}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
