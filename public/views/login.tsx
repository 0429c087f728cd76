import { useState } from 'preact/hooks'
import iconUrl from '../icon.svg'
import { Dialog } from '../parts/dialog.js'
import { DisplayChoices } from '../parts/header.js'
import { wordsOf } from '../state/refusals.js'
import { Refusal } from '../state/api.js'
import { t } from '../state/i18n.js'
import { refresh } from '../state/resource.js'
import { logIn } from '../state/session.js'

/** The page for those who are not logged in. The address stays: they end up where they wanted to go. */
export function LoginPage() {
  return (
    <main class="login">
      <div class="login-box">
        <h1>
          <img src={iconUrl} alt="" width={40} height={40} />
          Fail2Ban-Report
        </h1>
        <LoginForm />
        <p class="hint">{t('login.first')}</p>
      </div>
      <div class="login-display">
        <DisplayChoices />
      </div>
    </main>
  )
}

/** Over the page of somebody whose session has ended. */
export function LoginDialog() {
  return (
    <Dialog title={t('login.title')} onClose={() => undefined} firm>
      <p>{t('login.ended')}</p>
      <LoginForm />
    </Dialog>
  )
}

function LoginForm() {
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const submit = async (form: HTMLFormElement) => {
    const field = (name: string) => (form.elements.namedItem(name) as HTMLInputElement).value
    setBusy(true)
    try {
      await logIn(field('username'), field('password'))
      await refresh()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      setProblem(wordsOf(error))
      form.querySelector<HTMLInputElement>('[name=password]')?.select()
    } finally {
      setBusy(false)
    }
  }
  return (
    <form
      class="stack"
      onSubmit={event => {
        event.preventDefault()
        void submit(event.currentTarget)
      }}
    >
      <label>
        {t('login.user')}
        <input name="username" autocomplete="username" required maxLength={64} autofocus />
      </label>
      <label>
        {t('login.password')}
        <input name="password" type="password" autocomplete="current-password" required maxLength={1024} />
      </label>
      {problem !== '' && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" class="primary" disabled={busy}>
        {t('login.submit')}
      </button>
    </form>
  )
}
