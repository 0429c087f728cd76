import type { Overview } from '../data/shapes.js'
import { t } from '../state/i18n.js'
import { useResource } from '../state/resource.js'
import { change, param } from '../state/route.js'

/** Chooses the server a view is about; none is all of them. */
export function ServerSelect() {
  const names = useResource<Overview>('servers').value.value?.servers.map(one => one.name) ?? []
  const chosen = param('server')
  const known = chosen === '' || names.includes(chosen) ? names : [chosen, ...names]
  return (
    <label class="field">
      {t('server')}
      <select value={chosen} onChange={event => change({ server: event.currentTarget.value })}>
        <option value="">{t('servers.all')}</option>
        {known.map(name => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}
