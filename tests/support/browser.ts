import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { Installation } from './installation.js'
import { PASSWORDS, USERS } from './app.js'
import { ownFolder } from './own-folder.js'

const CHROMIUM = '/usr/bin/chromium'

/** Why browser tests can't run here, or false. */
export const NO_BROWSER = existsSync(CHROMIUM) ? false : 'no chromium on this machine'

/** The one browser of a test file: to start it takes a second. */
let ofFile: Promise<Browser> | undefined

/** Debian's Chromium; what a test opens in it ends with the test. */
export async function browserOf(t: Test): Promise<Browser> {
  // Only here: benchmarks use this file as well, and are no tests.
  const { default: file } = await import('tap')
  if (ofFile === undefined) {
    const begun = (ofFile = launchBrowser())
    file.teardown(async () => (await begun).close())
  }
  const browser = await ofFile
  t.teardown(() => Promise.all(browser.contexts().map(context => context.close())))
  return browser
}

/** Starts Debian's Chromium, which asks nothing of anybody but the pages it is sent to. */
export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync']
    ]
  })
}

/** A real server with the users alice (admin) and victor (viewer). @param prepare fills the folders before it starts */
export async function serverOf(
  t: Test,
  prepare: (at: Installation) => Promise<void> = () => Promise.resolve(),
  ...flags: string[]
): Promise<Installation> {
  const started: Installation[] = []
  // Before the folder is made: tap then removes it after this, else under the running server, which makes it anew.
  t.teardown(() => Promise.all(started.map(one => one.stop())))
  const at = new Installation(ownFolder(t, {}))
  started.push(at)
  await mkdir(at.path('settings'), { recursive: true })
  await writeFile(at.path('settings', 'users.json'), JSON.stringify(USERS))
  await mkdir(at.path('archive'), { recursive: true })
  await prepare(at)
  await at.serve(undefined, ...flags)
  return at
}

/** Something went wrong in a page that nobody asked about. */
export interface Opened {
  page: Page
  /** Errors of scripts, and what the console and the CSP complained of. */
  complaints: string[]
}

/** Opens the dashboard; logs in unless `user` is null. @param view what follows the `?` */
export async function open(
  browser: Browser,
  at: Installation,
  view = '',
  user: keyof typeof PASSWORDS | null = 'alice',
  options: BrowserContextOptions = {}
): Promise<Opened> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    ...options
  })
  // esbuild (tsx) wraps named functions in this helper of its own, also those that run in the page.
  await context.addInitScript('globalThis.__name = named => named')
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => {
    // A refused log-in or change is told on the page; the browser lists every reply that is no 2xx.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      complaints.push(message.text())
    }
  })
  await page.goto(`${at.url}/${view === '' ? '' : `?${view}`}`)
  if (user !== null) await logIn(page, user)
  return { page, complaints }
}

/** Logs in with the form. */
export async function logIn(page: Page, user: keyof typeof PASSWORDS): Promise<void> {
  await tryLogIn(page, user, PASSWORDS[user])
  await page.locator('header.top').waitFor()
}

/** Fills the log-in form and sends it. */
export async function tryLogIn(page: Page, user: string, password: string): Promise<void> {
  await page.locator('[name=username]').fill(user)
  await page.locator('[name=password]').fill(password)
  await page.locator('form:has([name=username]) button[type=submit]').click()
}

/** Milliseconds from a page's navigation to its first row. */
export async function rowsAfter(page: Page, url: string, row = '.grid-body .grid-row'): Promise<number> {
  await page.goto(url, { waitUntil: 'commit' })
  return page.evaluate(
    row =>
      new Promise<number>(done => {
        const look = () => {
          if (document.querySelector(row) === null) requestAnimationFrame(look)
          // One frame later it is painted.
          else requestAnimationFrame(() => setTimeout(() => done(performance.now())))
        }
        look()
      }),
    row
  )
}

/** Milliseconds from a text typed into the search to its rows. */
export async function rowsAfterKey(page: Page, text: string): Promise<number> {
  return page.evaluate(async text => {
    const input = document.querySelector<HTMLInputElement>('[data-search]')
    if (input === null) throw new Error('there is no search')
    const start = performance.now()
    input.value = text
    input.dispatchEvent(new Event('input', { bubbles: true }))
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)))
    return performance.now() - start
  }, text)
}

/** Where the built program's data of a server lies. */
export const archiveOf = (at: Installation, ...parts: string[]) => join(at.path('archive'), ...parts)
