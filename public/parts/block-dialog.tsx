import { useState } from 'preact/hooks'
import { ipsIn, parseIp } from '../data/ip.js'
import type { Overview } from '../data/shapes.js'
import { Refusal } from '../state/api.js'
import { block, blockDialog, detailsOf } from '../state/blocking.js'
import { t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { AddressesField } from './addresses-field.js'
import { Choices } from './choices.js'
import { useChosenServers } from './chosen-servers.js'
import { Dialog, DialogProblem } from './dialog.js'
import { EndField, endOf } from './end-field.js'
import { wordsOf } from '../state/refusals.js'
import { WideConfirm, wideWords } from './wide-confirm.js'

/** Asks what to block where; wide things are confirmed in words. */
export function BlockDialog() {
  const begin = blockDialog.value ?? {}
  const fleet = useResource<Overview>('servers').value.value?.servers ?? []
  const [text, setText] = useState((begin.ips ?? []).join('\n'))
  const names = fleet.map(server => server.name)
  const [servers, setServers] = useChosenServers(begin.servers, names)
  const [jails, setJails] = useState(begin.jails ?? [])
  const [newJail, setNewJail] = useState('')
  const [reason, setReason] = useState('')
  const [tags, setTags] = useState('')
  const [end, setEnd] = useState({ choice: '', moment: '' })
  const [sure, setSure] = useState(false)
  const [problem, setProblem] = useState<{ text: string; details: readonly string[] }>()
  const [busy, setBusy] = useState(false)
  const close = () => (blockDialog.value = undefined)

  const ips = ipsIn(text)
  const wide = wideWords(ips)
  const known = fleet.flatMap(server => server.lists.map(list => list.jail))
  const allJails = [...jails, ...newJail.split(',').map(one => one.trim())].filter(one => one !== '')

  const submit = async () => {
    const expires = endOf(end, Date.now())
    const wrong = whatIsWrong(ips, servers, allJails, expires)
    if (wrong !== undefined) return setProblem({ text: wrong, details: [] })
    setBusy(true)
    try {
      const tagList = tags.split(',').map(one => one.trim())
      const wish = { ips, servers, jails: [...new Set(allJails)], reason: reason.trim() }
      const bad = await block({ ...wish, expires: expires ?? null, tags: tagList.filter(one => one !== '') })
      if (bad.length === 0) close()
      else {
        setText([...new Set(bad.map(one => one.ip))].join('\n'))
        setProblem({ text: t('block.refused'), details: detailsOf(bad) })
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      setProblem(
        error.results.length > 0
          ? { text: t('block.refused'), details: detailsOf(error.results) }
          : { text: wordsOf(error), details: [] }
      )
    } finally {
      setBusy(false)
    }
  }

  return (
    <Dialog title={t('block.title')} onClose={close}>
      <form
        class="stack"
        onSubmit={event => {
          event.preventDefault()
          void submit()
        }}
      >
        <AddressesField
          text={text}
          count={ips.length}
          onInput={next => {
            setText(next)
            setSure(false)
          }}
        />
        <Choices
          label={t('block.servers')}
          all={t('servers.all')}
          options={names}
          chosen={servers}
          onChange={setServers}
        />
        <Choices
          label={t('block.jails')}
          options={[...known, ...(begin.jails ?? [])]}
          chosen={jails}
          onChange={setJails}
        >
          <input
            aria-label={t('block.jail.new')}
            placeholder={t('block.jail.new')}
            value={newJail}
            maxLength={256}
            onInput={event => setNewJail(event.currentTarget.value)}
          />
        </Choices>
        <div class="pair">
          <label>
            {t('block.reason')}
            <input
              value={reason}
              maxLength={1000}
              placeholder={t('block.reason.hint')}
              onInput={event => setReason(event.currentTarget.value)}
            />
          </label>
          <EndField end={end} onChange={setEnd} />
        </div>
        <label>
          {t('block.tags')}
          <input
            value={tags}
            maxLength={500}
            placeholder={t('block.tags.hint')}
            onInput={event => setTags(event.currentTarget.value)}
          />
        </label>
        <WideConfirm words={wide} sure={sure} onChange={setSure} />
        <DialogProblem problem={problem} />
        <footer>
          <button type="button" onClick={close}>
            {t('app.cancel')}
          </button>
          <button type="submit" class="primary danger" disabled={busy || (wide.length > 0 && !sure)}>
            {ips.length === 0 ? t('block.submit.none') : t('block.submit', { n: ips.length })}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}

function whatIsWrong(
  ips: readonly string[],
  servers: readonly string[],
  jails: readonly string[],
  expires: string | null | undefined
): string | undefined {
  if (ips.length === 0) return t('block.needIp')
  const bad = ips.find(ip => parseIp(ip) === undefined)
  if (bad !== undefined) return t('block.bad', { text: bad })
  if (servers.length === 0) return t('block.needServer')
  if (jails.length === 0) return t('block.needJail')
  return expires === undefined ? t('block.needEnd') : undefined
}
