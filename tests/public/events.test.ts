import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { localDay } from '../../common/clock.js'
import type { BanEvent } from '../../common/shapes.js'
import { archiveOf, browserOf, NO_BROWSER, open, rowsAfterKey, serverOf } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'

/** What the line above the table says: rows shown, all rows there are (unless it is all of them), different addresses. */
const counts = async (page: Page) => {
  const text = (await page.locator('.tools-count').textContent()) ?? ''
  return (text.match(/\d[\d,]*/g) ?? []).map(number => Number(number.replaceAll(',', '')))
}
const counted = (events: readonly BanEvent[], of: (event: BanEvent) => boolean) => {
  const found = events.filter(of)
  // Increases are rows only where they are asked for.
  const all = events.filter(event => event.action !== 'Increase Ban').length
  return [found.length, ...(found.length < all ? [all] : []), new Set(found.map(event => event.ip)).size]
}

t.test('the event table shows what the files say', { skip: NO_BROWSER }, async t => {
  const day = localDay(Date.now())
  const at = await serverOf(t, async at => {
    const fleet = { servers: ['web-1', 'db-1'], days: 3, eventsPerDay: 13_480, now: Date.now() }
    await writeFleet(archiveOf(at), fleet)
  })
  const read = async (server: string, of = day) =>
    JSON.parse(
      await readFile(archiveOf(at, server, 'fail2ban', `fail2ban-events-${of}.json`), 'utf8')
    ) as BanEvent[]
  const events = await read('web-1')
  // Counted here on its own, from the file's rows.
  const times = (action: string) => {
    const count = new Map<string, number>()
    for (const event of events) {
      if (event.action === action) count.set(event.ip, (count.get(event.ip) ?? 0) + 1)
    }
    return count
  }
  const [bans, unbans, increases] = [times('Ban'), times('Unban'), times('Increase Ban')]
  const red = (ip: string) => (bans.get(ip) ?? 0) > 1 || (unbans.get(ip) ?? 0) > 1
  const yellow = (ip: string) => (increases.get(ip) ?? 0) > 0
  const row = (event: BanEvent) => event.action !== 'Increase Ban'
  const browser = await browserOf(t)
  const { page, complaints } = await open(browser, at, 'view=events&server=web-1')
  const show = async (more: string) => {
    await page.goto(`${at.url}/?view=events&server=web-1${more}`)
    await page.locator('.tools-count').waitFor()
  }
  await show('')
  const prefix = events
    .find(event => !event.ip.includes(':'))!
    .ip.split('.')
    .slice(0, 2)
    .join('.')
  const rows: [string, (event: BanEvent) => boolean][] = [
    ['', row],
    ['&increases=1', () => true],
    ['&action=Ban', event => event.action === 'Ban'],
    ['&action=Unban&action=Restore+Ban', event => ['Unban', 'Restore Ban'].includes(event.action)],
    ['&jail=sshd', event => row(event) && event.jail === 'sshd'],
    ['&jail=sshd&jail=recidive&action=Ban', e => e.action === 'Ban' && ['sshd', 'recidive'].includes(e.jail)],
    ['&mark=red', event => row(event) && red(event.ip) && !yellow(event.ip)],
    ['&mark=yellow', event => row(event) && !red(event.ip) && yellow(event.ip)],
    ['&mark=both', event => row(event) && red(event.ip) && yellow(event.ip)],
    ['&mark=none', event => row(event) && !red(event.ip) && !yellow(event.ip)],
    [`&ip=${prefix}`, event => row(event) && event.ip.includes(prefix)],
    [`&ip=${prefix}.0.0/16`, event => row(event) && event.ip.startsWith(`${prefix}.`)],
    [
      '&ip=2001:db8::/33',
      e => row(e) && e.ip.startsWith('2001:db8:') && parseInt(e.ip.split(':')[2]!, 16) < 0x8000
    ],
    [
      '&ip=64.0.0.0/2&mark=red&jail=sshd',
      e =>
        row(e) &&
        e.jail === 'sshd' &&
        red(e.ip) &&
        !yellow(e.ip) &&
        Number(e.ip.split('.')[0]) >> 6 === 1 &&
        !e.ip.includes(':')
    ]
  ]
  for (const [more, of] of rows) {
    await show(more)
    t.strictSame(await counts(page), counted(events, of), more)
  }

  await show('')
  for (const [label, name, of] of [
    ['Action', 'Unban', (e: BanEvent) => e.action === 'Unban'],
    ['Jail', 'dovecot', (e: BanEvent) => row(e) && e.jail === 'dovecot'],
    ['Mark', 'repeated and increased', (e: BanEvent) => row(e) && red(e.ip) && yellow(e.ip)]
  ] as const) {
    await page.locator('.facet > button', { hasText: label }).click()
    const choice = page.locator('.facet-menu:popover-open label', { hasText: name })
    const [wanted] = counted(events, of)
    t.equal(
      Number((await choice.locator('.count').textContent())?.replaceAll(',', '')),
      wanted,
      `${label}: its count`
    )
    await choice.click()
    t.strictSame(await counts(page), counted(events, of), `${label}: chosen`)
    await choice.click()
    await page.keyboard.press('Escape')
  }
  const search = page.locator('[data-search]')
  await search.pressSequentially(prefix)
  t.strictSame(
    await counts(page),
    counted(events, e => row(e) && e.ip.includes(prefix)),
    'typed'
  )
  t.match(page.url(), `ip=${prefix}`, 'and it is in the address bar')

  await show('')
  const last = events.filter(row).at(-1)!
  t.match(await page.locator('.grid-body .grid-row').first().textContent(), last.ip, 'the newest is on top')
  const drawn = await page.locator('.grid-body .grid-row').count()
  t.ok(drawn < 80, `${drawn} rows are in the page`)
  t.equal(
    await page.locator('[role=grid]').getAttribute('aria-rowcount'),
    String(events.filter(row).length + 1)
  )
  const number = (ip: string) => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const v4 = events.filter(event => row(event) && !event.ip.includes(':'))
  await page.getByRole('button', { name: 'Address', exact: true }).click()
  t.equal(
    await page.locator('.grid-body .ip').first().textContent(),
    v4.reduce((least, event) => (number(event.ip) < number(least.ip) ? event : least)).ip,
    'sorted by number, not by text'
  )
  t.match(page.url(), 'sort=ip')
  await page.goBack()
  t.notMatch(page.url(), 'sort=ip')
  t.match(
    await page.locator('.grid-body .grid-row').first().textContent(),
    last.ip,
    'the way back sorts as before'
  )

  const both = events.find(event => red(event.ip) && yellow(event.ip) && row(event))!
  await show(`&ip=${both.ip}&mark=both`)
  const mark = page.locator('.grid-body .marks').first()
  t.match(await mark.textContent(), /🔴.*🟡.*\(\d+\)/u)
  t.match(
    await mark.textContent(),
    /banned or unbanned more than once, ban increased \d+ time/,
    'in words as well'
  )

  const [a, b] = [localDay(Date.now(), 2), localDay(Date.now(), 1)]
  await show(`&from=${a}&to=${b}`)
  const both2 = [...(await read('web-1', a)), ...(await read('web-1', b))].filter(row)
  t.equal((await counts(page))[0], both2.length, 'two days')
  await page.goto(`${at.url}/?view=events`)
  const fleet = [...events, ...(await read('db-1'))].filter(row)
  await page.locator('.tools-count').waitFor()
  t.equal((await counts(page))[0], fleet.length, 'all servers')
  t.strictSame(complaints, [])
})

t.test('a table of 100,000 events is there at once and scrolls', { skip: NO_BROWSER }, async t => {
  const at = await serverOf(t, async at => {
    const hours = (new Date().getHours() + 1) / 24
    const fleet = { servers: ['web-1'], days: 1, eventsPerDay: Math.ceil(100_000 / hours), now: Date.now() }
    await writeFleet(archiveOf(at), fleet)
  })
  const browser = await browserOf(t)
  const { page } = await open(browser, at, 'view=overview')
  const began = Date.now()
  await page.goto(`${at.url}/?view=events&server=web-1`)
  await page.locator('.grid-body .grid-row').first().waitFor()
  t.comment(`navigation to rows: ${Date.now() - began} ms`)
  const typed = await rowsAfterKey(page, '7.1')
  t.comment(`keystroke to rows: ${Math.round(typed)} ms`)
  t.ok(typed < 1000, 'a keystroke is answered')
  await page.locator('[data-search]').fill('')
  await page.locator('[role=grid]').press('End')
  await page.locator('[aria-rowindex="100000"]').or(page.locator('.grid-row.active-row')).first().waitFor()
  const last = await page.locator('.grid-row.active-row').getAttribute('aria-rowindex')
  t.equal(last, await page.locator('[role=grid]').getAttribute('aria-rowcount'), 'the last row is drawn')
})
