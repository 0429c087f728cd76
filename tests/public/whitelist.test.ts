import { readFile, writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { archiveOf, browserOf, NO_BROWSER, open, serverOf } from '../support/browser.js'
import type { Installation } from '../support/installation.js'

const HOST = 'web-1'
const IP = '198.51.100.77'

const withHost = async (t: Parameters<typeof serverOf>[0]) => {
  const at = await serverOf(t)
  await at.addHost(HOST)
  const today = new Date()
  const stamp = new Date(today.getTime() - today.getTimezoneOffset() * 60_000).toISOString().replace('T', ' ')
  const when = stamp.slice(0, 23).replace('.', ',')
  const line = (ip: string) => `${when} fail2ban.actions        [812]: NOTICE  [sshd] Ban ${ip}\n`
  await writeFile(at.path('fail2ban.log'), line(IP) + line('198.51.100.78'))
  await cycle(at)
  return at
}
const cycle = async (at: Installation) => {
  const ended = await at.cli(at.syncArgs('dry-run'))
  if (ended.code !== 0) throw new Error(`sync: ${ended.err}`)
}
const stored = async (at: Installation) =>
  JSON.parse(await readFile(archiveOf(at, 'whitelist.json'), 'utf8')) as Record<string, unknown>[]
const row = (page: Page, text: string) => page.locator('.grid-body .grid-row', { hasText: text })

t.test(
  'the whitelist is filled from the events, ends blocks, is searched, emptied and filled again',
  { skip: NO_BROWSER },
  async t => {
    const at = await withHost(t)
    await at.cli(['block', IP, '--server', HOST, '--jail', 'sshd', ...at.folders])
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, `view=events&server=${HOST}`)
    await row(page, IP).locator('input').check()
    await page.getByRole('button', { name: 'Whitelist…' }).click()
    const dialog = page.locator('dialog')
    t.equal(await dialog.locator('textarea').inputValue(), IP)
    await dialog.getByLabel('Description').fill('<b>our office</b>')
    await dialog.getByRole('button', { name: 'Whitelist 1 address' }).click()
    await page.getByText(`${IP} is on the whitelist. 1 block is being lifted.`).waitFor()
    t.match(await stored(at), [{ ip: IP, description: '<b>our office</b>', addedBy: 'alice' }])
    t.match(await at.list(HOST, 'sshd'), [{ ip: IP, active: false, pending: true }], 'the block is lifted')

    await page.goto(`${at.url}/?view=whitelist`)
    await row(page, '<b>our office</b>').getByText('All servers').waitFor()
    await page.getByRole('button', { name: 'Add addresses…' }).click()
    await dialog.locator('textarea').fill('10.0.0.0/9\n2001:db8::/48')
    t.ok(await dialog.locator('button[type=submit]').isDisabled(), 'a wide network is asked about')
    await dialog.getByLabel('Yes, that is what I mean').check()
    await dialog.getByLabel(HOST).check()
    await dialog.getByLabel('Ends').selectOption('24')
    await dialog.locator('button[type=submit]').click()
    await page.getByText('2 addresses are on the whitelist.').waitFor()
    await row(page, '10.0.0.0/9').getByText(HOST).waitFor()
    t.match(
      (await stored(at)).map(one => one.servers ?? []),
      [[], [HOST], [HOST]]
    )
    await page.locator('[data-search]').fill('2001:DB8')
    await row(page, IP).waitFor({ state: 'detached' })
    t.equal(await page.locator('.grid-body .grid-row').count(), 1)
    await page.locator('[data-search]').fill('')

    await page.getByLabel('Select all 3 shown').check()
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    await page.getByText('The whitelist is empty.').waitFor()
    t.strictSame(await stored(at), [])
    await page.getByRole('button', { name: 'Undo' }).last().click()
    // Entries of different hosts come back by requests of their own, and each is told by the hub.
    for (const ip of ['10.0.0.0/9', '2001:db8::/48', IP]) await row(page, ip).waitFor()
    t.match(
      (await stored(at)).map(({ ip, servers, description }) => [ip, servers ?? [], description]).sort(),
      [
        ['10.0.0.0/9', [HOST], ''],
        [IP, [], '<b>our office</b>'],
        ['2001:db8::/48', [HOST], '']
      ].sort(),
      'the way back puts all of an entry back'
    )

    await page.goto(`${at.url}/?view=address&ip=10.1.2.3`)
    await page.getByText('never blocked').waitFor()
    await page.getByRole('button', { name: 'Remove 10.0.0.0/9 from the whitelist' }).click()
    await page.getByText('Not on the whitelist.').waitFor()
    t.strictSame(complaints, [])

    const viewer = await open(browser, at, 'view=whitelist', 'victor')
    await row(viewer.page, IP).waitFor()
    t.equal(await viewer.page.getByRole('button', { name: /Add addresses|Remove/ }).count(), 0)
  }
)

t.test('on a phone the whitelist says as much', { skip: NO_BROWSER }, async t => {
  const at = await withHost(t)
  await at.cli(['whitelist', 'add', '192.0.2.10', '--description', 'office', ...at.folders])
  await at.cli(['whitelist', 'add', '192.0.2.11', '--server', HOST, ...at.folders])
  const browser = await browserOf(t)
  for (const [locale, words] of [
    ['en-GB', { all: 'All servers', never: 'Ends never' }],
    ['de-DE', { all: 'Alle Server', never: 'Endet nie' }]
  ] as const) {
    const options = { locale, viewport: { width: 390, height: 844 } }
    const { page } = await open(browser, at, 'view=whitelist', 'alice', options)
    await row(page, '192.0.2.10').getByText(words.all).waitFor()
    await row(page, '192.0.2.11').getByText(HOST, { exact: true }).waitFor()
    t.match(await row(page, '192.0.2.10').locator('.cell-ends').innerText(), words.never)
    const cut = await page.locator('.tools-buttons').evaluate(box => box.scrollWidth - box.clientWidth)
    t.equal(cut, 0, 'every button is whole')
    await page.locator('.tools-buttons button', { hasText: /^Export/ }).click()
    await page
      .locator('.menu:popover-open')
      .getByRole('button', { name: /^(Copy list|Kopieren)$/ })
      .waitFor()
    await page.goto(`${at.url}/?view=address&ip=${IP}`)
    const button = page.locator('section:has(#address-history) button')
    t.ok(((await button.boundingBox())?.width ?? 999) < 250, 'a small button is small')
    await page.context().close()
  }
})

t.test(
  'the history of an entry tells who asked, and when it came into force',
  { skip: NO_BROWSER },
  async t => {
    const at = await withHost(t)
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, `view=address&ip=${IP}`)
    await page.locator('[data-block]').click()
    await page.locator('dialog button[type=submit]').click()
    await page.getByText(`${IP} will be blocked on ${HOST}.`).waitFor()
    const details = page.getByRole('button', { name: `Details of ${IP}` })
    await details.click()
    const history = page.locator('dialog .history')
    await history.getByText('Block requested').waitFor()
    t.match(
      await history.textContent(),
      /alice from (127\.0\.0\.1|::1).*requested: .*in force on the host: not yet/
    )
    await cycle(at)
    await history.getByText(/in force on the host: .*20\d\d/).waitFor()
    t.notMatch(await history.textContent(), 'not yet', 'and it is told without a reload')
    await page.keyboard.press('Escape')
    await at.cli(['unblock', IP, '--server', HOST, '--jail', 'sshd', ...at.folders])
    await cycle(at)
    await page.getByText('On no blocklist.').waitFor()
    await page.getByRole('button', { name: 'Show who did what' }).click()
    const rows = page.locator('section:has(#address-history) tbody tr')
    await rows.getByText('Unblock requested').waitFor()
    t.match(await rows.first().textContent(), /Unblocked by the host/, 'newest first')
    t.match(await rows.filter({ hasText: 'Unblock requested' }).textContent(), /on the command line/)
    t.strictSame(complaints, [])
  }
)
