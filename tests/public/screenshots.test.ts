import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { archiveOf, browserOf, NO_BROWSER, open, serverOf } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'
import { mmdbOf } from '../support/mmdb.js'

// F2BR_SCREENSHOTS=1 renews the pictures that are kept beside the dashboard's source.
const KEPT = fileURLToPath(new URL('../../public/screenshots/', import.meta.url))
const SERVERS = ['web-1', 'web-2', 'db-1', 'mail-1', 'mx-backup', 'shop']
const VIEWS = ['overview', 'events', 'blocklists', 'whitelist', 'statistics', 'warnings', 'address']
const SIZES = { wide: [1440, 900], medium: [1024, 768], narrow: [390, 844] } as const

const WHITELIST = [
  ...[
    ['192.0.2.0/24', 'office and VPN', []],
    ['198.51.100.64', 'monitoring', []],
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

t.test('every view fits every window, light and dark', { skip: NO_BROWSER }, async t => {
  const folder = process.env.F2BR_SCREENSHOTS === undefined ? t.testdir() : KEPT
  await mkdir(folder, { recursive: true })
  const geoip = join(await mkdtemp(join(tmpdir(), 'f2br-geoip-')), 'countries.mmdb')
  t.teardown(() => rm(dirname(geoip), { recursive: true }))
  await writeFile(geoip, countries())
  const at = await serverOf(
    t,
    async at => {
      await writeFleet(archiveOf(at), { servers: SERVERS, days: 30, eventsPerDay: 700, now: Date.now() })
      await writeFile(archiveOf(at, 'whitelist.json'), JSON.stringify(WHITELIST))
    },
    '--geoip',
    geoip
  )
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
