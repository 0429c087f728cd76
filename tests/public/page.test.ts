import { readFile } from 'node:fs/promises'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'
import t from 'tap'
import { localDay } from '../../common/clock.js'
import { archiveOf, browserOf, logIn, NO_BROWSER, open, serverOf, tryLogIn } from '../support/browser.js'
import { VIEWS as ALL } from '../../public/data/views.js'
import { writeFleet } from '../support/fleet.js'
import type { Installation } from '../support/installation.js'
import { writeHostStates } from './host-states.js'

const VIEWS = [
  ...ALL.filter(view => view !== 'address'),
  'commands&id=web-1~012345678901',
  'overview&host=web-1',
  'address&ip=198.51.100.64'
]
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

const small = async (at: Installation) => {
  const servers = ['web-1', 'db-1']
  await writeFleet(archiveOf(at), { servers, days: 2, eventsPerDay: 500, now: Date.now() })
  await writeHostStates(at, servers)
}
const settled = async (page: Page) => {
  await page.locator('main .panel, main form').first().waitFor()
  await page.waitForFunction(
    () =>
      document.querySelector('.loading') === null &&
      ![...document.querySelectorAll('.tile-value, td')].some(one => one.textContent === '…')
  )
}

t.test(
  'people log in, see what their role may do, and end up where they wanted to go',
  { skip: NO_BROWSER },
  async t => {
    const at = await serverOf(t, small, '--base-path', '/Fail2Ban-Report')
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, 'view=events&server=db-1&action=Unban&sort=ip', null)
    await tryLogIn(page, 'alice', 'not her password')
    await page.getByText('Wrong user name or password.').waitFor()
    await logIn(page, 'alice')
    await page.locator('.grid-body .action').first().waitFor()
    t.strictSame([...new Set(await page.locator('.grid-body .action').allTextContents())], ['Unban'])
    t.equal(await page.locator('.toolbar select').first().inputValue(), 'db-1')
    t.equal(await page.locator('[data-block]').count(), 1, 'an admin may block')

    // The session ends under the open page: nothing of the page is lost.
    await page.locator('[data-search]').fill('1')
    await page.locator('[data-block]').click()
    await page.locator('dialog textarea').fill('203.0.113.5')
    await page.locator('dialog').getByLabel('sshd').check()
    await page.context().clearCookies()
    await page.locator('dialog button[type=submit]').click()
    await page.getByText('Your session has ended.').waitFor()
    await tryLogIn(page, 'alice', 'alice has a password')
    await page.getByText('Your session has ended.').waitFor({ state: 'detached' })
    t.equal(
      await page.locator('dialog textarea').inputValue(),
      '203.0.113.5',
      'what was typed is still there'
    )
    t.equal(await page.locator('[data-search]').inputValue(), '1')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Account and display' }).click()
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.locator('[name=password]').waitFor()
    t.strictSame(complaints, [])

    const viewer = await open(browser, at, 'view=blocklists', 'victor')
    await settled(viewer.page)
    await viewer.page.locator('.grid-body .grid-row').first().waitFor()
    t.equal(await viewer.page.locator('[data-block]').count(), 0, 'a viewer has no button to block')
    t.equal(await viewer.page.getByRole('button', { name: /Unblock/ }).count(), 0, 'nor to unblock')
    await viewer.page.goto(`${at.url}/?view=events`)
    await viewer.page.locator('.grid-body input').first().check()
    t.equal(await viewer.page.getByRole('button', { name: /block/i }).count(), 0)
  }
)

t.test(
  'axe finds nothing serious on any view, in any colours, on any width',
  { skip: NO_BROWSER },
  async t => {
    const at = await serverOf(t, small)
    const browser = await browserOf(t)
    const check = async (page: Page, what: string) => {
      await page.evaluate(await readFile(AXE, 'utf8'))
      const found = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: {
            run: (
              options: object
            ) => Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>
          }
        }
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
        const { violations } = await axe.run({ runOnly: { type: 'tag', values: tags } })
        return violations
          .filter(one => ['serious', 'critical'].includes(one.impact))
          .map(one => `${one.id}: ${one.nodes[0]?.html ?? ''}`)
      })
      t.strictSame(found, [], what)
    }
    for (const colorScheme of ['light', 'dark'] as const) {
      // axe comes in by evaluate, which the page's own CSP forbids to no script of the page.
      const { page } = await open(browser, at, '', null, {
        colorScheme,
        bypassCSP: true,
        reducedMotion: 'reduce'
      })
      await check(page, `login ${colorScheme}`)
      await logIn(page, 'alice')
      for (const width of colorScheme === 'light' ? [1440, 390] : [1440]) {
        await page.setViewportSize({ width, height: 900 })
        for (const view of VIEWS) {
          await page.goto(`${at.url}/?view=${view}`)
          await settled(page)
          await check(page, `${view} ${colorScheme} ${width}`)
        }
      }
      await page.goto(`${at.url}/?view=blocklists`)
      await page.locator('[data-block]').click()
      await page.locator('dialog textarea').fill('10.0.0.0/9')
      await check(page, `block dialog ${colorScheme}`)
      await page.keyboard.press('Escape')
      await page.keyboard.press('?')
      await page.locator('dialog kbd').first().waitFor()
      await check(page, `help ${colorScheme}`)
      await page.context().close()
    }
  }
)

t.test('the keyboard alone is enough', { skip: NO_BROWSER }, async t => {
  const at = await serverOf(t, small)
  const browser = await browserOf(t)
  const { page } = await open(browser, at, 'view=events')
  await page.locator('.grid-body .grid-row').first().waitFor()
  const active = page.locator('.active-row')
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key)
  }
  await press('?')
  await page.locator('dialog kbd').first().waitFor()
  await press('Escape')
  await page.locator('dialog').waitFor({ state: 'detached' })
  await press('j', 'j', 'j', 'k')
  t.equal(await active.getAttribute('aria-rowindex'), '3', 'j and k move')
  await press('x', 'j', 'x')
  t.match(await page.locator('.tools-count').textContent(), /^2 rows/)
  const ips = await page.locator('.grid-body [aria-selected=true] .ip').allTextContents()
  await press('b')
  const dialog = page.locator('dialog')
  t.strictSame((await dialog.locator('textarea').inputValue()).split('\n').sort(), [...new Set(ips)].sort())
  t.equal(
    await page.evaluate(() => document.activeElement?.tagName),
    'TEXTAREA',
    'the focus is where one types'
  )
  await press('Escape')
  await press('/')
  t.equal(await page.evaluate(() => document.activeElement?.hasAttribute('data-search')), true)
  await press('j', 'b')
  t.equal(await page.locator('[data-search]').inputValue(), 'jb', 'letters are letters where one types')
  await page.locator('[data-search]').fill('')
  await page.locator('[role=grid]').focus()
  await press('x')
  t.match(await page.locator('.tools-count').textContent(), /^\d+ rows?/)
  await press('Escape')
  t.match(await page.locator('.tools-count').textContent(), /events/, 'Escape chooses none')
  await page.getByRole('button', { name: 'Jail', exact: true }).focus()
  await press(' ')
  await page.waitForURL(/sort=jail/)
  await page.getByLabel(/Select all/).focus()
  await press(' ')
  t.match(
    await page.locator('.tools-count').textContent(),
    /^\d+ rows?/,
    'a box is ticked with the space bar'
  )
  await press(' ')
  await page.locator('[role=grid]').focus()
  await press('Home', 'Enter')
  await page.waitForURL(/view=address/)
  await page.goto(`${at.url}/?view=statistics`)
  await page.locator('.tile').first().waitFor()
  await press('b')
  await page.locator('dialog textarea').waitFor()
  await press('Escape', '/')
  await page.waitForURL(/view=address/)
  await page.locator('[data-search]:focus').waitFor()
  const { page: fresh } = await open(browser, at, 'view=overview')
  await fresh.keyboard.press('Tab')
  t.equal(await fresh.evaluate(() => document.activeElement?.textContent), 'Skip to the content')
})

t.test('text from logs and clients stays text everywhere', { skip: NO_BROWSER }, async t => {
  const nasty = [
    '<script>window.pwned=1</script>',
    '"><img src=x onerror=window.pwned=1>',
    '=HYPERLINK("http://x")',
    "{{constructor.constructor('window.pwned=1')()}}"
  ]
  const day = localDay(Date.now())
  const stamp = `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)} 00:00:01,000`
  const at = await serverOf(t, async at => {
    await mkdir(archiveOf(at, 'web-1', 'fail2ban'), { recursive: true })
    await mkdir(archiveOf(at, 'web-1', 'blocklists'), { recursive: true })
    const events = nasty.flatMap((text, n) =>
      Array.from({ length: 25 }, () => ({
        timestamp: stamp,
        action: 'Ban',
        ip: n === 0 ? text : '203.0.113.9',
        jail: text
      }))
    )
    await writeFile(archiveOf(at, 'web-1', 'fail2ban', `fail2ban-events-${day}.json`), JSON.stringify(events))
    const entries = nasty.map((text, n) => ({
      ...{ ip: n === 0 ? text : `203.0.113.${n}`, jail: text, source: text, reason: text, tags: [text] },
      ...{ timestamp: text, expires: text, lastModified: text, pending: true }
    }))
    await writeFile(archiveOf(at, 'web-1', 'blocklists', 'sshd.blocklist.json'), JSON.stringify(entries))
    const white = nasty.map((text, n) => ({
      ...{ ip: n === 0 ? text : `198.51.100.${n}`, description: text, addedBy: text },
      ...{ addedAt: text, expires: text, servers: [text] }
    }))
    await writeFile(archiveOf(at, 'whitelist.json'), JSON.stringify(white))
    await writeFile(
      archiveOf(at, 'web-1', 'host.json'),
      JSON.stringify({ lastSeen: nasty[1], lastSync: nasty[1], version: nasty[0], firewall: nasty[1] })
    )
  })
  const browser = await browserOf(t)
  const { page, complaints } = await open(browser, at)
  for (const view of [
    'overview',
    'events',
    'events&increases=1&jail=%3Cscript%3E&ip=%22%3E%3Cimg%20src=x%20onerror=1%3E',
    'blocklists',
    'whitelist',
    'statistics',
    'warnings',
    'address&ip=203.0.113.9',
    'address&ip=%3Cimg%20src=x%20onerror=window.pwned=1%3E'
  ]) {
    await page.goto(`${at.url}/?view=${view}`)
    await settled(page)
    t.equal(await page.locator('main img, main script').count(), 0, `${view}: no element came of it`)
  }
  await page.goto(`${at.url}/?view=blocklists`)
  await page.locator('.grid-body .grid-row').first().waitFor()
  for (const text of nasty) {
    t.ok((await page.locator('.cell-reason', { hasText: text }).count()) > 0, `${text} is shown as it is`)
  }
  await page.getByRole('button', { name: 'Details of 203.0.113.1' }).click()
  await page.locator('dialog .facts').getByText(nasty[1]!).first().waitFor()
  t.equal(await page.locator('dialog img').count(), 0)
  await page.keyboard.press('Escape')

  await page.goto(`${at.url}/?view=whitelist`)
  await page.locator('.grid-body .grid-row').first().waitFor()
  for (const text of nasty) t.ok((await page.locator('.cell-description', { hasText: text }).count()) > 0)

  await page.goto(`${at.url}/?view=events`)
  await page.locator('.grid-body .grid-row').first().waitFor()
  const saved = async (kind: 'CSV' | 'JSON') => {
    await page.getByRole('button', { name: 'Export' }).click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: kind, exact: true }).click()
    ])
    await page.keyboard.press('Escape')
    return readFile(await download.path(), 'utf8')
  }
  const csv = await saved('CSV')
  t.match(csv, `,"'=HYPERLINK(""http://x"")",Ban,`, 'no formula for a spreadsheet')
  t.equal(csv.trimEnd().split('\r\n').length, 101)
  const json = JSON.parse(await saved('JSON')) as { jail: string }[]
  t.strictSame([...new Set(json.map(one => one.jail))].sort(), [...nasty].sort())
  t.equal(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned), undefined)
  t.strictSame(complaints, [])
})

t.test('both languages have every text, and the choice is remembered', { skip: NO_BROWSER }, async t => {
  const at = await serverOf(t, small)
  const browser = await browserOf(t)
  const { page } = await open(browser, at, '', null, { locale: 'de-DE' })
  await tryLogIn(page, 'alice', 'not her password')
  await page.getByText('Benutzername oder Passwort ist falsch.').waitFor()
  await logIn(page, 'alice')
  await page.getByRole('link', { name: 'Sperrlisten' }).waitFor()
  t.equal(await page.evaluate(() => document.documentElement.lang), 'de')
  for (const view of VIEWS) {
    await page.goto(`${at.url}/?view=${view}`)
    await settled(page)
    const text = await page.locator('main').textContent()
    t.notMatch(
      text,
      /\b(Bans|Server needs|Today|Yesterday|Address(es)?|Blocked|Waiting)\b/,
      `${view} is German`
    )
    t.notMatch(text, /\{\w+\}/, `${view}: every place is filled`)
  }
  await page.goto(`${at.url}/?view=blocklists`)
  await page.locator('[data-block]').click()
  const dialog = page.locator('dialog')
  await dialog.locator('textarea').fill('127.0.0.1')
  await dialog.getByLabel('web-1').check()
  await dialog.getByLabel('sshd').check()
  await dialog.locator('button[type=submit]').click()
  await dialog.getByText('127.0.0.1 trifft 127.0.0.0/8: eine Loopback-Adresse').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Konto und Anzeige' }).click()
  await page.getByLabel('Sprache').selectOption('en')
  await page.getByLabel('Colours').selectOption('dark')
  await page.reload()
  await page.getByRole('link', { name: 'Blocklists' }).waitFor()
  t.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark')
})

t.test(
  'an empty installation says what to do, a dead server that it is dead',
  { skip: NO_BROWSER },
  async t => {
    const at = await serverOf(t)
    const browser = await browserOf(t)
    const { page } = await open(browser, at)
    await page.getByText('No server yet').waitFor()
    await page.getByText('fail2ban-report client add').first().waitFor()
    await page.goto(`${at.url}/?view=events`)
    await page.getByText('No events in this time.').waitFor()
    await page.goto(`${at.url}/?view=warnings`)
    await page.getByText('No warnings on this day.').waitFor()
    await at.stop()
    await page.getByText('The server does not answer. What you see is from').waitFor()
    t.equal(await page.getByText('No warnings on this day.').count(), 1, 'what was there stays')
  }
)
