import { appendFile, readFile, writeFile } from 'node:fs/promises'
import type { Page, WebSocketRoute } from 'playwright-core'
import t from 'tap'
import { localDay } from '../../common/clock.js'
import type { BanEvent } from '../../common/shapes.js'
import { archiveOf, browserOf, logIn, NO_BROWSER, open, serverOf } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'
import type { Installation } from '../support/installation.js'

const small = async (at: Installation) =>
  writeFleet(archiveOf(at), { servers: ['web-1', 'db-1'], days: 2, eventsPerDay: 500, now: Date.now() })

/** What the page asks of the API from now on. */
const asked = (page: Page) => {
  const paths: string[] = []
  page.on('request', request => {
    const [, path] = /\/api\/(.*)$/.exec(request.url()) ?? []
    if (path !== undefined && path !== 'ws') paths.push(path)
  })
  return paths
}

/** A hub that is played: how the page takes its messages is what a test is about. */
const playedHub = async (page: Page) => {
  const hubs: WebSocketRoute[] = []
  await page.routeWebSocket('**/api/ws', hub => void hubs.push(hub))
  const message = (type: string, data: object) =>
    hubs.at(-1)!.send(JSON.stringify({ type, time: new Date().toISOString(), data }))
  return { hubs, message }
}

t.test('a second session sees at once what the first one does', { skip: NO_BROWSER }, async t => {
  const at = await serverOf(t, small)
  const browser = await browserOf(t)
  const [first, second] = [
    await open(browser, at, 'view=blocklists&server=web-1'),
    await open(browser, at, 'view=blocklists&server=web-1', 'victor')
  ]
  await second.page.locator('.grid-body .grid-row').first().waitFor()
  await first.page.locator('[data-block]').click()
  const dialog = first.page.locator('dialog')
  await dialog.locator('textarea').fill('203.0.113.200')
  await dialog.getByLabel('sshd').check()
  await dialog.locator('button[type=submit]').click()
  await second.page
    .locator('.grid-row', { hasText: '203.0.113.200' })
    .getByText('To block')
    .waitFor({ timeout: 20_000 })
  t.pass('the viewer’s page shows it as waiting')
  t.strictSame([...first.complaints, ...second.complaints], [])
})

t.test(
  'with a hub the page asks for what a message concerns; without one it goes on by asking',
  { skip: NO_BROWSER },
  async t => {
    const at = await serverOf(t, small)
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, 'view=overview', null)
    const { hubs, message } = await playedHub(page)
    await logIn(page, 'alice')
    await page.goto(`${at.url}/?view=events&server=web-1`)
    await page.locator('.grid-body .grid-row').first().waitFor()
    await page.locator('.live[title="The server tells of every change at once."]').waitFor()

    const paths = asked(page)
    const file = archiveOf(at, 'web-1', 'fail2ban', `fail2ban-events-${localDay(Date.now())}.json`)
    const events = JSON.parse(await readFile(file, 'utf8')) as BanEvent[]
    const more: BanEvent = { ...events.at(-1)!, ip: '203.0.113.201', action: 'Ban' }
    await writeFile(file, JSON.stringify([...events, more]))
    message('heartbeat', {})
    message('no such thing', {})
    hubs.at(-1)!.send('no JSON')
    message('blocklist_changed', { server: 'web-1', jail: 'sshd' })
    message('ban_event', { server: 'db-1', ip: '203.0.113.9' })
    await page.waitForResponse(/api\/servers/)
    t.strictSame(
      paths.filter(path => path.startsWith('columns')),
      [],
      'another server’s ban concerns no column of this one'
    )
    message('ban_event', { server: 'web-1', ip: '203.0.113.201' })
    await page.locator('.grid-row', { hasText: '203.0.113.201' }).waitFor()
    t.pass('the new row is there')

    await appendFile(file, '\n')
    const before = hubs.length
    await hubs.at(-1)!.close()
    await page.locator('.live[title="This page asks for changes every few seconds."]').waitFor()
    await page.waitForResponse(/api\/columns/)
    await page.locator('.live[title="The server tells of every change at once."]').waitFor()
    t.ok(hubs.length > before, 'and it connects again')
    t.strictSame(complaints, [])
  }
)

t.test(
  'without a hub, polling asks with the version it has, and does not prolong the session',
  { skip: NO_BROWSER },
  async t => {
    const at = await serverOf(t, small)
    const browser = await browserOf(t)
    const { page } = await open(browser, at, 'view=overview', null)
    await page.route('**/api/settings', async route => {
      const response = await route.fetch()
      if (!response.ok()) return route.fulfill({ response })
      await route.fulfill({ response, json: { ...((await response.json()) as object), hub: false } })
    })
    await logIn(page, 'alice')
    await page.goto(`${at.url}/?view=events&server=web-1`)
    await page.locator('.grid-body .grid-row').first().waitFor()
    const reply = await page.waitForResponse(reply => reply.url().includes('/api/columns'), {
      timeout: 20_000
    })
    t.equal(reply.status(), 304)
    const headers = await reply.request().allHeaders()
    t.match(headers['if-none-match'], /^(W\/)?"/)
    t.equal(headers['x-by-itself'], '1')
  }
)

t.test(
  'what one reads or points at stays where it is while others change it',
  { skip: NO_BROWSER },
  async t => {
    const at = await serverOf(t, small)
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, 'view=overview', null)
    const { message } = await playedHub(page)
    await logIn(page, 'alice')
    const show = async (view: string) => {
      await page.mouse.move(5, 5)
      await page.goto(`${at.url}/?view=${view}&server=web-1`)
      await page.locator('.live[title="The server tells of every change at once."]').waitFor()
      await rows.first().waitFor()
    }
    const rows = page.locator('.grid-body .grid-row')
    const of = (text: string) => rows.filter({ hasText: text })
    const placeOf = async (text: string) => (await of(text).first().boundingBox())?.y
    const ipAt = async (row: number) => (await rows.nth(row).locator('.ip').textContent()) ?? ''

    await show('events')
    const file = archiveOf(at, 'web-1', 'fail2ban', `fail2ban-events-${localDay(Date.now())}.json`)
    const events = JSON.parse(await readFile(file, 'utf8')) as BanEvent[]
    const pointed = await ipAt(3)
    await rows.nth(3).hover()
    const before = await placeOf(pointed)
    await writeFile(
      file,
      JSON.stringify([...events, { ...events.at(-1)!, ip: '203.0.113.210', action: 'Ban' }])
    )
    message('ban_event', { server: 'web-1' })
    await page.getByRole('button', { name: '↑ 1 new event' }).waitFor()
    t.equal(await placeOf(pointed), before, 'the row under the pointer is the same one, in the same place')
    t.equal(await of('203.0.113.210').count(), 0)
    await page.mouse.move(5, 5)
    await of('203.0.113.210').waitFor()
    t.pass('and what is new comes in when the pointer leaves')

    await show('blocklists')
    const block = async (ip: string) => {
      const told = (await page.locator('.tools-count').textContent()) ?? ''
      await at.cli(['block', ip, '--server', 'web-1', '--jail', 'sshd', ...at.folders])
      message('blocklist_changed', { server: 'web-1' })
      await page.waitForFunction(told => document.querySelector('.tools-count')?.textContent !== told, told)
    }
    const entry = await ipAt(2)
    await rows.nth(2).hover()
    const place = await placeOf(entry)
    await block('203.0.113.220')
    t.equal(await placeOf(entry), place, 'a new entry on top moves no other one')
    await page.mouse.move(5, 5)
    await page.locator('.grid-scroll').evaluate(box => (box.scrollTop = 0))
    await of('203.0.113.220').waitFor()
    await block('203.0.113.221')
    const [newest, next] = [await placeOf('203.0.113.221'), await placeOf('203.0.113.220')]
    t.ok((newest ?? 0) < (next ?? 0), 'where nobody reads it is on top at once')
    t.strictSame(complaints, [])
  }
)
