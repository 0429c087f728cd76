import { useState } from 'preact/hooks'
import { COMMAND_TYPES, paramsOf } from '../data/command-rows.js'
import { parseIp } from '../data/ip.js'
import type { HostCommand, Overview } from '../data/shapes.js'
import { commandDialog, commandName, giveCommand } from '../state/commanding.js'
import { t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { Choices } from './choices.js'
import { useChosenServers } from './chosen-servers.js'
import { Dialog, DialogProblem } from './dialog.js'

/** Asks what is to be done, and on which hosts. */
export function CommandDialog() {
  const begin = commandDialog.value ?? {}
  const fleet = useResource<Overview>('servers').value.value?.servers ?? []
  const names = fleet.map(one => one.name)
  const [servers, setServers] = useChosenServers(begin.servers, names)
  const [type, setType] = useState(begin.type ?? 'whitelist_sync')
  const [jail, setJail] = useState(begin.params?.jail ?? '')
  const [ip, setIp] = useState(begin.params?.ip ?? '')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const close = () => (commandDialog.value = undefined)
  const needs = paramsOf(type)
  const jails = fleet
    .filter(one => servers.length === 0 || servers.includes(one.name))
    .flatMap(one => one.lists.map(list => list.jail))

  const submit = async () => {
    const params: HostCommand['params'] = {}
    if (needs.includes('jail')) params.jail = jail.trim()
    if (needs.includes('ip')) params.ip = ip.trim()
    if (servers.length === 0) return setProblem(t('block.needServer'))
    if (params.jail === '') return setProblem(t('command.needJail'))
    if (params.ip !== undefined && (parseIp(params.ip) === undefined || params.ip.includes('/')))
      return setProblem(t('command.needIp'))
    setBusy(true)
    const taken = await giveCommand({ servers, type, params }).finally(() => setBusy(false))
    if (taken) close()
  }

  return (
    <Dialog title={t('command.title')} onClose={close}>
      <form
        class="stack"
        onSubmit={event => {
          event.preventDefault()
          void submit()
        }}
      >
        <label>
          {t('command.what')}
          <select
            value={type}
            onChange={event => {
              const wanted = event.currentTarget.value
              setType(COMMAND_TYPES.find(one => one === wanted) ?? type)
              setProblem('')
            }}
          >
            {COMMAND_TYPES.map(one => (
              <option key={one} value={one}>
                {commandName(one)}
              </option>
            ))}
          </select>
        </label>
        <p class="quiet">{t(`command.hint.${type}`)}</p>
        {needs.length > 0 && (
          <div class="pair">
            <label>
              {t('command.jail')}
              <input
                list="command-jails"
                autocomplete="off"
                spellcheck={false}
                maxLength={256}
                value={jail}
                onInput={event => setJail(event.currentTarget.value)}
              />
              <datalist id="command-jails">
                {[...new Set(jails)].sort().map(name => (
                  <option key={name} value={name} />
                ))}
              </datalist>
            </label>
            {needs.includes('ip') && (
              <label>
                {t('col.ip')}
                <input
                  autocomplete="off"
                  spellcheck={false}
                  maxLength={64}
                  value={ip}
                  onInput={event => setIp(event.currentTarget.value)}
                />
              </label>
            )}
          </div>
        )}
        <Choices
          label={t('block.servers')}
          all={t('servers.all')}
          options={names}
          chosen={servers}
          onChange={setServers}
        />
        <DialogProblem problem={problem === '' ? undefined : { text: problem, details: [] }} />
        <footer>
          <button type="button" onClick={close}>
            {t('app.cancel')}
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {servers.length === 0 ? t('command.submit.none') : t('command.submit', { n: servers.length })}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
