import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import t from 'tap'
import { localDay } from '../../common/clock.js'
import type { BanEvent } from '../../common/shapes.js'
import { VIEWS } from '../../public/data/views.js'
import { archiveOf, browserOf, logIn, NO_BROWSER, open, serverOf } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'
import { mmdbOf } from '../support/mmdb.js'
import { writeHostStates } from './host-states.js'

// SCREENSHOTS=1 renews the pictures that are kept beside the dashboard's source. Without it what is cut is looked for, which
// is the same in light and dark.
const RENEW = process.env.SCREENSHOTS !== undefined
const SCHEMES = RENEW ? (['light', 'dark'] as const) : (['light'] as const)
const KEPT = fileURLToPath(new URL('../../public/screenshots/', import.meta.url))
const SERVERS = ['web-1', 'web-2', 'db-1', 'mail-1', 'mx-backup', 'shop']
const SIZES = { wide: [1440, 900], medium: [1024, 768], narrow: [390, 844] } as const

const WHITELIST = [
  ...[
    ['192.0.2.0/24', 'office and VPN', []],
    ['198.18.7.5', 'monitoring', []],
    ['2001:db8:40::/48', 'customer: Meyer GmbH', ['shop', 'web-1']],
    ['203.0.113.77', 'pentest until the end of the week', ['web-2']],
    ['203.0.113.78', 'old backup host', []]
  ].map(([ip, description, servers], n) => ({
    ...{ ip, description, servers, addedBy: n % 2 ? 'alice' : 'bob' },
    addedAt: new Date(Date.now() - (n * 9 + 1) * 86_400_000).toISOString(),
    expires: n < 3 ? null : new Date(Date.now() + (n === 3 ? 4 : -6) * 86_400_000).toISOString()
  }))
]

/** Every first octet a country, so that most addresses have one. */
function countries(): Buffer {
  const codes = ['US', 'CN', 'DE', 'NL', 'BR', 'IN', 'VN', 'RU', 'FR', 'KR', 'ID', 'SG']
  return mmdbOf(
    Array.from({ length: 223 }, (_, n) => [
      `${n + 1}.0.0.0/8`,
      { country_code: codes[(n * 7) % codes.length] }
    ])
  )
}

/** What is wider than its place: it could be reached only by scrolling sideways. */
const cut = async (page: Page) =>
  page.evaluate(() =>
    [
      document.documentElement,
      ...document.querySelectorAll(
        '.scroll-x:not(details *), .grid-scroll, dialog, .cell-act, .top nav, .tools'
      )
    ]
      // On narrow screens the menu and a table's head are meant to be moved.
      .filter(one => !(one.matches('.top nav') && innerWidth < 768))
      .map(one => ({ what: one.className || one.tagName, px: one.scrollWidth - one.clientWidth }))
      .filter(one => one.px > 0)
  )

t.test('every view fits every window', { skip: NO_BROWSER }, async t => {
  await mkdir(KEPT, { recursive: true })
  const picture = async (page: Page, name: string) => {
    if (RENEW) await page.screenshot({ path: join(KEPT, `${name}.png`), animations: 'disabled' })
  }
  const geoip = join(await mkdtemp(join(tmpdir(), 'f2br-geoip-')), 'countries.mmdb')
  t.teardown(() => rm(dirname(geoip), { recursive: true }))
  await writeFile(geoip, countries())
  const at = await serverOf(
    t,
    async at => {
      await writeFleet(archiveOf(at), { servers: SERVERS, days: 30, eventsPerDay: 700, now: Date.now() })
      await writeFile(archiveOf(at, 'whitelist.json'), JSON.stringify(WHITELIST))
      await writeHostStates(at, SERVERS)
    },
    '--geoip',
    geoip
  )
  const today = archiveOf(at, 'web-1', 'fail2ban', `fail2ban-events-${localDay(Date.now())}.json`)
  // Somebody who comes back: there is something to see of him.
  const seen = (JSON.parse(await readFile(today, 'utf8')) as BanEvent[]).find(
    (event, n, all) => all.filter(one => one.ip === event.ip).length > 3 && n > 0
  )?.ip
  const browser = await browserOf(t)
  for (const colorScheme of SCHEMES) {
    const { page, complaints } = await open(browser, at, '', null, { colorScheme })
    for (const [size, [width, height]] of Object.entries(SIZES)) {
      await page.setViewportSize({ width, height })
      await picture(page, `login-${size}-${colorScheme}`)
    }
    await logIn(page, 'alice')
    if (colorScheme === 'light') {
      // A block that was asked for here has a history.
      await page.goto(`${at.url}/?view=blocklists&server=shop`)
      await page.locator('[data-block]').click()
      await page.locator('dialog textarea').fill('198.51.100.200')
      await page.locator('dialog').getByLabel('sshd').check()
      await page.locator('dialog').getByLabel('Reason').fill('probes the shop for weeks')
      await page.locator('dialog button[type=submit]').click()
      await page.locator('dialog').waitFor({ state: 'detached' })
    }
    for (const view of VIEWS) {
      await page.goto(`${at.url}/?view=${view}${view === 'address' ? `&ip=${seen}` : ''}`)
      await page.locator('main .panel').first().waitFor()
      await page.waitForFunction(
        () =>
          document.querySelector('.loading') === null &&
          ![...document.querySelectorAll('.tile-value, td')].some(one => one.textContent === '…')
      )
      if (view === 'statistics') await page.locator('.plot canvas').waitFor()
      for (const [name, [width, height]] of Object.entries(SIZES)) {
        await page.setViewportSize({ width, height })
        t.strictSame(await cut(page), [], `${view} ${colorScheme} ${name}`)
        await picture(page, `${view}-${name}-${colorScheme}`)
      }
    }
    // What opens over a view: blocking what is chosen, and an entry's history.
    const dialogs: [string, string, (page: Page) => Promise<void>][] = [
      [
        'block',
        // Of a week: today may have none yet.
        'view=events&server=web-1&mark=both&range=7',
        async page => {
          for (const row of [0, 1, 2]) await page.locator('.grid-body input').nth(row).check()
          await page.locator('[data-block]').click()
        }
      ],
      [
        'history',
        'view=blocklists&server=shop',
        async page => {
          await page
            .getByRole('button', { name: /^Details of / })
            .first()
            .click()
          await page.locator('dialog .history').waitFor()
        }
      ],
      ['host', 'view=overview&host=web-2', async page => page.locator('dialog .facts').waitFor()],
      [
        'command',
        `view=commands&id=${encodeURIComponent('web-1~012345678901')}`,
        async page => page.locator('dialog .output').waitFor()
      ],
      [
        'run',
        'view=commands',
        async page => {
          await page.getByRole('button', { name: 'Run a command…' }).click()
          await page.locator('dialog select').first().selectOption('ban_ip')
        }
      ]
    ]
    for (const [name, view, work] of dialogs) {
      await page.setViewportSize({ width: 1440, height: 900 })
      await page.goto(`${at.url}/?${view}`)
      await page.locator('.grid-body .grid-row, .hosts tbody tr').first().waitFor()
      await work(page)
      for (const [size, [width, height]] of Object.entries(SIZES)) {
        await page.setViewportSize({ width, height })
        t.strictSame(await cut(page), [], `${name} ${colorScheme} ${size}`)
        await picture(page, `${name}-${size}-${colorScheme}`)
      }
    }
    t.strictSame(complaints, [], 'the browser complains of nothing')
    await page.context().close()
  }
})

t.test('German is longer, and fits as well', { skip: NO_BROWSER }, async t => {
  const at = await serverOf(t, async at => {
    await writeFleet(archiveOf(at), { servers: SERVERS, days: 3, eventsPerDay: 300, now: Date.now() })
    await writeFile(archiveOf(at, 'whitelist.json'), JSON.stringify(WHITELIST))
    await writeHostStates(at, SERVERS)
  })
  const browser = await browserOf(t)
  const { page } = await open(browser, at, '', 'alice', { locale: 'de-DE' })
  const views = [
    ...VIEWS,
    'blocklists&server=shop',
    'events&range=7',
    'overview&host=web-2',
    'commands&id=web-1~012345678901'
  ]
  for (const view of views) {
    await page.goto(`${at.url}/?view=${view}`)
    await page
      .locator('.grid-body .grid-row, .hosts tbody tr, .tile, .rows, .empty, [role=search]')
      .first()
      .waitFor()
    for (const [name, [width, height]] of Object.entries(SIZES)) {
      await page.setViewportSize({ width, height })
      t.strictSame(await cut(page), [], `${view} ${name}`)
    }
  }
})

/** Rows follow a window that was made narrow a moment later. @param height of a row, px */
const rowsOf = async (page: Page, height: number) =>
  page.waitForFunction(height => {
    const row = document.querySelector<HTMLElement>('.grid-body #row-1')
    return row?.offsetHeight === height && row.style.transform === `translateY(${height}px)`
  }, height)

t.test('choosing rows moves none of them', { skip: NO_BROWSER }, async t => {
  const at = await serverOf(t, async at =>
    writeFleet(archiveOf(at), { servers: SERVERS, days: 1, eventsPerDay: 300, now: Date.now() })
  )
  const browser = await browserOf(t)
  for (const locale of ['en-GB', 'de-DE']) {
    const { page } = await open(browser, at, '', 'alice', { locale })
    for (const view of ['events', 'blocklists']) {
      await page.goto(`${at.url}/?view=${view}`)
      for (const [name, [width, height]] of Object.entries(SIZES)) {
        await page.setViewportSize({ width, height })
        await rowsOf(page, width < 768 ? 58 : 34)
        const box = page.locator('.grid-body .grid-row input').nth(1)
        const before = (await box.boundingBox())?.y
        await box.check()
        t.equal((await box.boundingBox())?.y, before, `${view} ${name} ${locale}`)
        t.strictSame(await cut(page), [], 'and nothing is cut')
        await box.uncheck()
      }
    }
  }
})
