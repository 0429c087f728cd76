import { mkdir, writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { localDay } from '../../common/clock.js'
import type { BanEvent } from '../../common/shapes.js'
import type { Installation } from '../support/installation.js'
import { archiveOf, browserOf, NO_BROWSER, open, serverOf } from '../support/browser.js'

/** Bans of a day: one in each of these hours. */
async function writeDay(at: Installation, server: string, day: string, hours: readonly number[]) {
  const bans = hours.map((hour): BanEvent => {
    const clock = `${String(hour).padStart(2, '0')}:30:00,000`
    const date = `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`
    return { timestamp: `${date} ${clock}`, action: 'Ban', ip: '203.0.113.9', jail: 'sshd' }
  })
  await mkdir(archiveOf(at, server, 'fail2ban'), { recursive: true })
  await writeFile(archiveOf(at, server, 'fail2ban', `fail2ban-events-${day}.json`), JSON.stringify(bans))
}

/** The chart's bars as they are painted: where each begins and ends, and where the plot does, in pixels of the picture. */
const bars = async (page: Page) => {
  await page.locator('.plot canvas').waitFor()
  return page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('.plot canvas')!
    const over = document.querySelector<HTMLElement>('.plot .u-over')!
    const scale = canvas.width / canvas.getBoundingClientRect().width
    const box = canvas.getBoundingClientRect()
    const plot = over.getBoundingClientRect()
    const from = Math.round((plot.left - box.left) * scale)
    const to = Math.round((plot.right - box.left) * scale)
    const y = Math.round((plot.bottom - box.top) * scale) - 4
    const { data } = canvas.getContext('2d')!.getImageData(0, y, canvas.width, 1)
    // The grid is grey; a bar is not.
    const isBar = (x: number) => Math.abs((data[x * 4] ?? 0) - (data[x * 4 + 1] ?? 0)) > 60
    const found: { from: number; to: number }[] = []
    for (let x = from; x < canvas.width; x++) {
      if (!isBar(x)) continue
      const last = found.at(-1)
      if (last?.to === x) last.to = x + 1
      else found.push({ from: x, to: x + 1 })
    }
    return { plot: { from, to }, found }
  })
}

t.test(
  'every hour has its bar within the chart, and its number in the table',
  { skip: NO_BROWSER },
  async t => {
    const all = Array.from({ length: 24 }, (_, hour) => hour)
    const at = await serverOf(t, async at => {
      // Hours to come too: a host's clock may be ahead, and the test may run into the next hour.
      for (const back of [0, 1]) await writeDay(at, 'web-1', localDay(Date.now(), back), all)
      for (let back = 1; back < 30; back++) await writeDay(at, 'db-1', localDay(Date.now(), back), [12])
      const hour = new Date().getHours()
      await writeDay(at, 'db-1', localDay(Date.now()), [hour])
    })
    const { page, complaints } = await open(await browserOf(t), at, 'view=statistics&server=web-1')
    const { plot, found } = await bars(page)
    t.equal(found.length, 24, 'a bar for each of 24 hours')
    const widths = found.map(one => one.to - one.from)
    t.ok(Math.max(...widths) - Math.min(...widths) <= 2, `none is cut: ${widths.join(' ')}`)
    t.ok(
      found.every(one => one.from >= plot.from && one.to <= plot.to),
      'all within the plot'
    )

    await page.locator('summary').click()
    const numbers = async () =>
      (await page.locator('.hours td').allTextContents()).filter(text => text !== '')
    t.strictSame(
      await numbers(),
      Array.from({ length: 24 }, () => '1'),
      'the same hours in the table, no other'
    )
    t.equal(await page.locator('.hours tbody tr').count(), new Date().getHours() === 23 ? 1 : 2)

    await page.goto(`${at.url}/?view=statistics&server=db-1&hours=30`)
    const month = await bars(page)
    t.equal(month.found.length, 30, 'a bar for each of 30 days')
    t.ok(
      month.found.every(one => one.to <= month.plot.to),
      'the hour that is running too'
    )
    await page.locator('summary').click()
    const hours = await numbers()
    t.equal(hours.length, 29 * 24 + new Date().getHours() + 1, 'no hour to come')
    t.equal(hours.filter(text => text === '1').length, 30)
    t.strictSame(complaints, [])
  }
)
