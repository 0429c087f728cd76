import { useState } from 'preact/hooks'
import { isWide, parseIp } from '../data/ip.js'
import type { Overview } from '../data/shapes.js'
import { Refusal } from '../state/api.js'
import { block, blockDialog, detailsOf, MANY } from '../state/blocking.js'
import { t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { Choices } from './choices.js'
import { Dialog } from './dialog.js'
import { EndField, endOf } from './end-field.js'
import { wordsOf } from './states.js'

/** Asks what to block where; wide things are confirmed in words. */
export function BlockDialog() {
  const begin = blockDialog.value ?? {}
  const fleet = useResource<Overview>('servers').value.value?.servers ?? []
  const [text, setText] = useState((begin.ips ?? []).join('\n'))
  const [servers, setServers] = useState(begin.servers ?? [])
  const [jails, setJails] = useState(begin.jails ?? [])
  const [newJail, setNewJail] = useState('')
  const [reason, setReason] = useState('')
  const [tags, setTags] = useState('')
  const [end, setEnd] = useState({ choice: '', moment: '' })
  const [sure, setSure] = useState(false)
  const [problem, setProblem] = useState<{ text: string; details: readonly string[] }>()
  const [busy, setBusy] = useState(false)
  const close = () => (blockDialog.value = undefined)

  const ips = [...new Set(text.split(/[\s,;]+/).filter(one => one !== ''))]
  const wide = wideWords(ips)
  const known = fleet.flatMap(server => server.lists.map(list => list.jail))
  const allJails = [...jails, ...newJail.split(',').map(one => one.trim())].filter(one => one !== '')
  const names = fleet.map(server => server.name)

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
        <label>
          {t('block.ips')}
          <textarea
            rows={Math.min(6, Math.max(2, ips.length))}
            spellcheck={false}
            value={text}
            placeholder={t('block.ips.hint')}
            onInput={event => {
              setText(event.currentTarget.value)
              setSure(false)
            }}
          />
        </label>
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
        {wide.length > 0 && (
          <div class="banner wait">
            {wide.map(line => (
              <p key={line}>{line}</p>
            ))}
            <label class="check">
              <input
                type="checkbox"
                checked={sure}
                onChange={event => setSure(event.currentTarget.checked)}
              />
              {t('block.wide.confirm')}
            </label>
          </div>
        )}
        {problem && (
          <div class="banner bad" role="alert">
            <p>{problem.text}</p>
            <ul>
              {problem.details.slice(0, 20).map((line, at) => (
                <li key={at}>{line}</li>
              ))}
            </ul>
          </div>
        )}
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

/** What makes a block wide, in words; empty when it is not. */
function wideWords(ips: readonly string[]): string[] {
  const networks = ips.flatMap(ip => {
    const range = parseIp(ip)
    if (range === undefined || !isWide(range)) return []
    return range.family === 4
      ? [t('block.wide.network', { ip, n: 2 ** (32 - range.bits) })]
      : [t('block.wide.network6', { ip })]
  })
  return ips.length > MANY ? [...networks, t('block.wide.many', { n: ips.length })] : networks
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
