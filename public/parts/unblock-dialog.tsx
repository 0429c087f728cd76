import { MANY, unblock, unblockDialog } from '../state/blocking.js'
import { t } from '../state/i18n.js'
import { Dialog } from './dialog.js'

/** Shows what is going to be let in again, and asks. */
export function UnblockDialog() {
  const wish = unblockDialog.value ?? { places: [], entries: [] }
  const close = () => (unblockDialog.value = undefined)
  const all = (of: 'server' | 'jail' | 'ip') => [...new Set(wish.places.map(one => one[of]))]
  const ips = all('ip')
  return (
    <Dialog title={t('unblock.title')} onClose={close}>
      <form
        class="stack"
        onSubmit={event => {
          event.preventDefault()
          close()
          void unblock(wish)
        }}
      >
        <p>
          <strong>{t('unblock.what', { n: ips.length })}</strong>
        </p>
        <p class="addresses">
          {ips.slice(0, MANY).join(', ')}
          {ips.length > MANY && ' …'}
        </p>
        <p class="quiet">
          {t('servers')}: {all('server').join(', ')} · {t('jail')}: {all('jail').join(', ')}
        </p>
        <footer>
          <button type="button" onClick={close}>
            {t('app.cancel')}
          </button>
          <button type="submit" class="primary" autofocus>
            {t('unblock.submit')}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
