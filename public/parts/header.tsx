import { useEffect, useRef } from 'preact/hooks'
import { placeBelow } from './place-below.js'
import iconUrl from '../icon.svg'
import { copyMade, isCopy } from '../state/copy.js'
import { language, LANGUAGE_NAMES, moment, t } from '../state/i18n.js'
import { hubIsUp } from '../state/live.js'
import { theme, THEMES } from '../state/preferences.js'
import { forgetAll, heardAt, unreachable } from '../state/resource.js'
import { VIEWS } from '../data/views.js'
import { href, param, route } from '../state/route.js'
import { guarded } from '../state/blocking.js'
import { logOut, session } from '../state/session.js'

/** The bar on top: where to go, whether the page is up to date, and who is logged in. */
export function Header({ onHelp }: { onHelp: () => void }) {
  const server = param('server')
  const { view: present } = route.value
  const menu = useRef<HTMLElement>(null)
  useEffect(() => {
    // On narrow screens the menu is wider than the window. Not scrollIntoView: the Tab key would go on from there.
    const bar = menu.current
    const link = bar?.querySelector<HTMLElement>('[aria-current]')
    if (bar && link)
      bar.scrollLeft = link.offsetLeft - bar.offsetLeft - (bar.clientWidth - link.offsetWidth) / 2
  }, [present])
  return (
    <header class="top">
      <a class="brand" href={href('overview')}>
        <img src={iconUrl} alt="" width={26} height={26} />
        <span>Fail2Ban-Report</span>
      </a>
      <nav aria-label={t('app.menu')} ref={menu}>
        {VIEWS.filter(view => view !== 'commands' || !isCopy).map(view => (
          <a
            key={view}
            href={href(
              view,
              view === 'overview' || view === 'address' || view === 'whitelist' ? {} : { server }
            )}
            {...(present === view ? { 'aria-current': 'page' as const } : {})}
          >
            {t(`view.${view}`)}
          </a>
        ))}
      </nav>
      <div class="top-end">
        {isCopy ? (
          <span title={t('app.copy.hint')}>{t('app.copy', { when: moment(copyMade.value) })}</span>
        ) : (
          <Live />
        )}
        <button
          type="button"
          class="quiet icon"
          aria-label={t('app.help')}
          title={t('app.help')}
          onClick={onHelp}
        >
          ?
        </button>
        <Account />
      </div>
    </header>
  )
}

function Live() {
  return (
    <span
      class={unreachable.value ? 'live off' : 'live'}
      title={unreachable.value ? '' : t(hubIsUp.value ? 'app.live.hub' : 'app.live.poll')}
    >
      <span class="dot" aria-hidden="true" />
      {unreachable.value ? t('app.offline') : heardAt.value > 0 ? t('app.live') : ''}
    </span>
  )
}

function Account() {
  const menu = useRef<HTMLDivElement>(null)
  const who = session.value
  return (
    <>
      <button type="button" class="quiet account" popovertarget="account">
        <span class="avatar" aria-hidden="true">
          {(who?.user ?? '–').slice(0, 1).toUpperCase()}
        </span>
        <span class="account-name">{who?.user}</span>
        <span class="unseen">{t('app.account')}</span>
      </button>
      <div id="account" popover="auto" onBeforeToggle={placeBelow} ref={menu} class="menu">
        {who && !isCopy && (
          <p>
            <strong>{who.user}</strong>
            <br />
            <small>{t(`role.${who.role}`)}</small>
          </p>
        )}
        <DisplayChoices />
        <p>
          <small>{t('app.zone', { zone: Intl.DateTimeFormat().resolvedOptions().timeZone })}</small>
        </p>
        {!isCopy && (
          <button
            type="button"
            onClick={() => {
              menu.current?.hidePopover()
              void guarded(async () => {
                await logOut()
                forgetAll()
              })
            }}
          >
            {t('app.logout')}
          </button>
        )}
      </div>
    </>
  )
}

/** Language and colours; on the log-in page as well. */
export function DisplayChoices() {
  return (
    <>
      <label>
        {t('app.language')}
        <select value={language.value} onChange={event => (language.value = event.currentTarget.value)}>
          {LANGUAGE_NAMES.map(({ code, name }) => (
            <option key={code} value={code} lang={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t('app.theme')}
        <select
          value={theme.value}
          onChange={event => {
            theme.value = THEMES.find(one => one === event.currentTarget.value) ?? 'auto'
          }}
        >
          {THEMES.map(one => (
            <option key={one} value={one}>
              {t(`theme.${one}`)}
            </option>
          ))}
        </select>
      </label>
    </>
  )
}
