import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { archiveOf, browserOf, NO_BROWSER, open, serverOf } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'

// F2BR_SCREENSHOTS=1 renews the pictures that are kept beside the dashboard's source.
const KEPT = fileURLToPath(new URL('../../public/screenshots/', import.meta.url))
const SERVERS = ['web-1', 'web-2', 'db-1', 'mail-1', 'mx-backup', 'shop']
const VIEWS = ['overview', 'events', 'blocklists', 'statistics', 'warnings', 'address']
const SIZES = { wide: [1440, 900], medium: [1024, 768], narrow: [390, 844] } as const

t.test('every view fits every window, light and dark', { skip: NO_BROWSER }, async t => {
  const folder = process.env.F2BR_SCREENSHOTS === undefined ? t.testdir() : KEPT
  await mkdir(folder, { recursive: true })
  const at = await serverOf(t, async at => {
    await writeFleet(archiveOf(at), { servers: SERVERS, days: 30, eventsPerDay: 700, now: Date.now() })
  })
  const browser = await browserOf(t)
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, complaints } = await open(browser, at, '', 'alice', { colorScheme })
    for (const view of VIEWS) {
      await page.goto(`${at.url}/?view=${view}${view === 'address' ? '&ip=198.51.100.64' : ''}`)
      await page.locator('main .panel').first().waitFor()
      await page.waitForFunction(
        () =>
          document.querySelector('.loading') === null &&
          ![...document.querySelectorAll('.tile-value, td')].some(one => one.textContent === '…')
      )
      if (view === 'statistics') await page.locator('.plot canvas').waitFor()
      for (const [name, [width, height]] of Object.entries(SIZES)) {
        await page.setViewportSize({ width, height })
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        t.ok(wider <= 0, `${view} ${colorScheme} ${name}: ${wider} px too wide`)
        await page.screenshot({
          path: `${folder}/${view}-${name}-${colorScheme}.png`,
          animations: 'disabled'
        })
      }
    }
    t.strictSame(complaints, [], 'the browser complains of nothing')
    await page.context().close()
  }
})
