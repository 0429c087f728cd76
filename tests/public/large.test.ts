import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import { localDay } from '../../common/clock.js'
import {
  archiveOf,
  browserOf,
  NO_BROWSER,
  open,
  rowsAfter,
  rowsAfterKey,
  serverOf
} from '../support/browser.js'
import { writeLargeFleet } from '../support/fleet.js'
import type { Installation } from '../support/installation.js'

const SERVERS = Array.from({ length: 12 }, (_, n) => `web-${n + 1}`)
const DAYS = 30

/** Counted in the files' text, without reading them as the product does. */
const countOf = async (at: Installation, server: string, day: string, what: RegExp) => {
  const text = await readFile(archiveOf(at, server, 'fail2ban', `fail2ban-events-${day}.json`), 'utf8')
  return text.match(what)?.length ?? 0
}
const BAN = /"action":"Ban"/g
const ROW = /"action":"(Ban|Unban|Restore Ban)"/g

for (const size of [13_480, 100_000]) {
  t.test(
    `12 servers, 30 days, ${size} events a day: the numbers are right and nothing makes one wait`,
    { skip: NO_BROWSER },
    async t => {
      const now = Date.now()
      const at = await serverOf(t, at =>
        writeLargeFleet(archiveOf(at), { servers: SERVERS, days: DAYS, eventsPerDay: size, today: size, now })
      )
      const day = localDay(now)
      const perServer = await Promise.all(SERVERS.map(server => countOf(at, server, day, BAN)))
      let month = 0
      for (const server of SERVERS) {
        t.equal((await readdir(archiveOf(at, server, 'fail2ban'))).length, DAYS)
        for (let ago = 0; ago < DAYS; ago++) month += await countOf(at, server, localDay(now, ago), BAN)
      }
      const browser = await browserOf(t)
      const { page, complaints } = await open(browser, at, 'view=overview')
      const tile = (label: string) =>
        page.locator('.tile', { has: page.getByText(label, { exact: true }) }).locator('.tile-value')
      const english = (number: number) => new Intl.NumberFormat('en-GB').format(number)
      const bans = perServer.reduce((sum, one) => sum + one, 0)
      await tile('Bans today').getByText(english(bans), { exact: true }).waitFor({ timeout: 60_000 })
      t.equal(await page.locator('section:has(#servers-title) tbody tr').count(), SERVERS.length)
      await page.goto(`${at.url}/?view=statistics`)
      await tile('Bans in 30 days').getByText(english(month), { exact: true }).waitFor({ timeout: 60_000 })
      t.pass(`${month} bans in 30 days`)

      const rows = await countOf(at, 'web-1', day, ROW)
      const opened = await rowsAfter(page, `${at.url}/?view=events&server=web-1`)
      t.match(await page.locator('.tools-count').textContent(), new RegExp(`^${english(rows)} events`))
      const typed = await rowsAfterKey(page, '7.1')
      t.comment(
        `${size}: navigation to rows ${Math.round(opened)} ms, keystroke to rows ${Math.round(typed)} ms`
      )
      // The bench has the figures; these are for a machine that does other things as well.
      t.ok(opened < 10_000 && typed < 2000, 'a table of a day')

      const all = await Promise.all(SERVERS.map(server => countOf(at, server, day, ROW)))
      await page.goto(`${at.url}/?view=events`)
      await page.locator('.grid-body .grid-row').first().waitFor()
      t.match(
        await page.locator('.tools-count').textContent(),
        new RegExp(`^${english(all.reduce((sum, one) => sum + one, 0))} events`),
        'all servers'
      )
      await page.locator('[role=grid]').press('End')
      await page.locator('.grid-row.active-row').waitFor()
      t.ok((await page.locator('.grid-body .grid-row').count()) < 80, 'only rows in sight are in the page')
      t.strictSame(complaints, [])
    }
  )
}
