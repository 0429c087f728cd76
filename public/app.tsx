import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { BlockDialog } from './parts/block-dialog.js'
import { CommandDialog } from './parts/command-dialog.js'
import { Header } from './parts/header.js'
import { Help } from './parts/help.js'
import { Failed, Loading } from './parts/states.js'
import { Toasts } from './parts/toasts.js'
import { UnblockDialog } from './parts/unblock-dialog.js'
import { WhitelistDialog } from './parts/whitelist-dialog.js'
import { blockDialog, unblockDialog } from './state/blocking.js'
import { commandDialog } from './state/commanding.js'
import { moment, now, t } from './state/i18n.js'
import { heardAt, unreachable } from './state/resource.js'
import type { View } from './data/views.js'
import { go, href, route } from './state/route.js'
import { ended, mayChange, session, sessionProblem } from './state/session.js'
import { whitelistDialog } from './state/whitelisting.js'
import { AddressView } from './views/address.js'
import { BlocklistsView } from './views/blocklists.js'
import { CommandsView } from './views/commands.js'
import { EventsView } from './views/events.js'
import { LoginPage, LoginDialog } from './views/login.js'
import { OverviewView } from './views/overview.js'
import { StatisticsView } from './views/statistics.js'
import { WarningsView } from './views/warnings.js'
import { WhitelistView } from './views/whitelist.js'
import { timeOf } from './data/time.js'

const VIEW_OF: Record<View, () => preact.JSX.Element> = {
  overview: OverviewView,
  events: EventsView,
  blocklists: BlocklistsView,
  whitelist: WhitelistView,
  statistics: StatisticsView,
  warnings: WarningsView,
  commands: CommandsView,
  address: AddressView
}
/** Warned of this long before the session ends in any case; milliseconds. */
const SOON_MS = 3 * 60_000

const helpIsOpen = signal(false)

/** The page. */
export function App() {
  useEffect(() => {
    document.addEventListener('keydown', pageKeys)
    return () => document.removeEventListener('keydown', pageKeys)
  }, [])
  const { view } = route.value
  useEffect(() => {
    document.title = `${t(`view.${view}`)} · Fail2Ban-Report`
  })
  if (session.value === undefined) {
    const problem = sessionProblem.value
    return <main>{problem === undefined ? <Loading /> : <Failed problem={problem} />}</main>
  }
  if (session.value === null && !ended.value) return <LoginPage />
  const Present = VIEW_OF[view]
  return (
    <>
      <a class="skip" href="#main">
        {t('app.skip')}
      </a>
      <Header onHelp={() => (helpIsOpen.value = true)} />
      <main id="main" tabIndex={-1} class={`view-${view}`}>
        <h1 class="unseen">{t(`view.${view}`)}</h1>
        {unreachable.value && heardAt.value > 0 && (
          <div class="banner bad" role="alert">
            {t('app.offline.hint', { when: moment(new Date(heardAt.value).toISOString()) })}
          </div>
        )}
        <EndsSoon />
        <Present key={view} />
      </main>
      <Toasts />
      {blockDialog.value !== undefined && <BlockDialog />}
      {unblockDialog.value !== undefined && <UnblockDialog />}
      {commandDialog.value !== undefined && <CommandDialog />}
      {whitelistDialog.value !== undefined && <WhitelistDialog />}
      {helpIsOpen.value && <Help onClose={() => (helpIsOpen.value = false)} />}
      {session.value === null && <LoginDialog />}
    </>
  )
}

function EndsSoon() {
  const left = timeOf(session.value?.expires.absolute) - now.value
  if (!(left > 0 && left < SOON_MS)) return null
  const time = `${Math.ceil(left / 60_000)} min`
  return (
    <div class="banner" role="status">
      {t('session.soon', { time })}
    </div>
  )
}

/** Goes to the view's search; from a view that has none, to the address one looks for. */
function search(): void {
  const field = () => document.querySelector<HTMLElement>('[data-search]')
  if (field() !== null) return field()?.focus()
  go(href('address'))
  // The view is drawn before the next frame.
  requestAnimationFrame(() => field()?.focus())
}

/** Keys that work everywhere but where somebody types. */
function pageKeys(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  const { target } = event
  const types =
    target instanceof HTMLElement &&
    (target.matches('textarea, select, input:not([type=checkbox])') || target.closest('dialog') !== null)
  if (types || document.querySelector('dialog[open]') !== null) return
  if (event.key === '?') helpIsOpen.value = true
  else if (event.key === '/') search()
  else if (event.key === 'j' || event.key === 'k') {
    // Into the table: from there on the keys are its own.
    const grid = document.querySelector<HTMLElement>('[role=grid]')
    grid?.focus()
    grid?.dispatchEvent(new KeyboardEvent('keydown', { key: event.key }))
  } else if (event.key === 'b') {
    const button = document.querySelector<HTMLElement>('[data-block]')
    if (button !== null) button.click()
    else if (mayChange.value) blockDialog.value = {}
  } else return
  event.preventDefault()
}
