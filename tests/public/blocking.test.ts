import { writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { browserOf, NO_BROWSER, open, serverOf } from '../support/browser.js'
import type { Installation } from '../support/installation.js'

const HOST = 'web-1'
const IP = '198.51.100.77'

/** One real cycle of the host, with a firewall that is only played. */
const cycle = async (at: Installation) => {
  const ended = await at.cli(at.syncArgs('dry-run'))
  if (ended.code !== 0) throw new Error(`sync: ${ended.err}`)
}

const withHost = async (t: Parameters<typeof serverOf>[0]) => {
  const at = await serverOf(t)
  await at.addHost(HOST)
  const today = new Date()
  const stamp = new Date(today.getTime() - today.getTimezoneOffset() * 60_000).toISOString().replace('T', ' ')
  const when = stamp.slice(0, 23).replace('.', ',')
  await writeFile(
    at.path('fail2ban.log'),
    `${when} fail2ban.actions        [812]: NOTICE  [sshd] Ban ${IP}\n` +
      `${when} fail2ban.actions        [812]: NOTICE  [sshd] Ban 198.51.100.78\n`
  )
  await cycle(at)
  return at
}

const state = (page: Page, ip: string) =>
  page
    .locator('.grid-body .grid-row', { has: page.getByRole('link', { name: ip, exact: true }) })
    .locator('.badge')

t.test(
  'a block waits, is in force after the host’s cycle, and is unblocked',
  { skip: NO_BROWSER },
  async t => {
    const at = await withHost(t)
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, `view=events&server=${HOST}`)
    const row = page.locator('.grid-body .grid-row', { hasText: IP })
    await row.locator('input').check()
    await page.getByRole('button', { name: 'Block…', exact: true }).click()
    const dialog = page.locator('dialog')
    t.equal(await dialog.locator('textarea').inputValue(), IP, 'the row’s address')
    t.ok(await dialog.getByLabel(HOST).isChecked(), 'its server')
    t.ok(await dialog.getByLabel('sshd').isChecked(), 'its jail')
    await dialog.getByLabel('Reason').fill('guesses passwords')
    await dialog.getByLabel('Tags').fill('manual, ssh')
    await dialog.getByLabel('Ends').selectOption('24')
    await dialog.getByRole('button', { name: 'Block 1 address' }).click()
    await page.getByText(`${IP} will be blocked on ${HOST}.`).waitFor()
    t.match(await at.list(HOST, 'sshd'), [
      {
        ip: IP,
        reason: 'guesses passwords',
        tags: ['manual', 'ssh'],
        active: true,
        pending: true,
        expires: String
      }
    ])

    await page.goto(`${at.url}/?view=blocklists&server=${HOST}`)
    await state(page, IP).getByText('To block').waitFor()
    t.match(
      await state(page, IP).getAttribute('title'),
      /Requested .*web-1 is expected/,
      'since when and until when'
    )
    await cycle(at)
    await state(page, IP).getByText('Active').waitFor()
    t.pass('active without a reload')

    await page.getByRole('button', { name: `Unblock ${IP}` }).click()
    await page.getByText(`${IP} will be unblocked`).waitFor()
    await state(page, IP).getByText('To unblock').waitFor()
    await page.getByRole('button', { name: 'Undo' }).last().click()
    await page.getByText('Undone.').waitFor()
    await state(page, IP)
      .getByText(/To block|Active/)
      .waitFor()
    t.match((await at.list(HOST, 'sshd'))[0], {
      reason: 'guesses passwords',
      tags: ['manual', 'ssh'],
      active: true
    })

    await page.getByRole('button', { name: `Unblock ${IP}` }).click()
    await state(page, IP).getByText('To unblock').waitFor()
    await cycle(at)
    await page.getByText('No entries.').waitFor()
    t.strictSame(await at.list(HOST, 'sshd'), [])
    t.strictSame(complaints, [])
  }
)

t.test('undo takes back a block and nothing else', { skip: NO_BROWSER }, async t => {
  const at = await withHost(t)
  const browser = await browserOf(t)
  const { page } = await open(browser, at, `view=blocklists&server=${HOST}`)
  const block = async (...ips: string[]) => {
    await page.locator('[data-block]').click()
    const dialog = page.locator('dialog')
    await dialog.locator('textarea').fill(ips.join('\n'))
    await dialog.getByPlaceholder('Another jail').fill('sshd')
    await dialog.locator('button[type=submit]').click()
    await dialog.waitFor({ state: 'detached' })
  }
  await block('203.0.113.1')
  await block('203.0.113.1', '203.0.113.2')
  await page.getByRole('button', { name: 'Undo' }).last().click()
  await page.getByText('Undone.').waitFor()
  const active = (await at.list(HOST, 'sshd')).filter(entry => entry.active)
  t.strictSame(
    active.map(entry => entry.ip),
    ['203.0.113.1'],
    'what was blocked before stays'
  )
})

t.test('a notice goes when a later one tells of the same addresses', { skip: NO_BROWSER }, async t => {
  const at = await withHost(t)
  const browser = await browserOf(t)
  const { page } = await open(browser, at, 'view=blocklists')
  const dialog = page.locator('dialog')
  const notices = page.locator('.toast')
  await page.locator('[data-block]').click()
  t.ok(await dialog.getByLabel(HOST).isChecked(), 'the only host there is')
  await dialog.locator('textarea').fill('203.0.113.1\n203.0.113.2')
  await dialog.getByPlaceholder('Another jail').fill('sshd')
  await dialog.locator('button[type=submit]').click()
  await notices.getByText('2 addresses will be blocked').waitFor()
  await page.getByRole('button', { name: 'Unblock 203.0.113.1', exact: true }).click()
  await notices.getByText('203.0.113.1 will be unblocked').waitFor()
  t.equal(await notices.count(), 2, 'the first still holds for the other address')
  await page.getByRole('button', { name: 'Unblock 203.0.113.2', exact: true }).click()
  await notices.getByText('203.0.113.2 will be unblocked').waitFor()
  await notices.getByText('will be blocked').waitFor({ state: 'detached' })
  await notices
    .filter({ hasText: '203.0.113.2 will be unblocked' })
    .getByRole('button', { name: 'Undo' })
    .click()
  await notices.getByText('Undone.').waitFor()
  await notices.getByText('203.0.113.2 will be unblocked').waitFor({ state: 'detached' })
  t.match(await notices.allTextContents(), [/^203\.0\.113\.1 will be unblocked/, /^Undone\./])
  t.match(await at.list(HOST, 'sshd'), [
    { ip: '203.0.113.1', active: false },
    { ip: '203.0.113.2', active: true }
  ])
  await page.goto(`${at.url}/?view=commands`)
  await page.getByRole('button', { name: 'Run a command…' }).click()
  t.ok(await dialog.getByLabel(HOST).isChecked(), 'for a command too')
  await dialog.getByLabel(HOST).uncheck()
  t.notOk(await dialog.getByLabel(HOST).isChecked(), 'and can be taken back')
})

t.test(
  'wide things ask, refusals are told in words, many are unblocked at once',
  { skip: NO_BROWSER },
  async t => {
    const at = await withHost(t)
    const browser = await browserOf(t)
    const { page } = await open(browser, at, `view=blocklists&server=${HOST}`)
    await page.locator('[data-block]').click()
    const dialog = page.locator('dialog')
    const submit = dialog.locator('button[type=submit]')
    await submit.click()
    await dialog.getByText('Enter at least one address.').waitFor()
    await dialog.locator('textarea').fill('203.0.113.300')
    await submit.click()
    await dialog.getByText('Not an address or network: 203.0.113.300').waitFor()
    await dialog.locator('textarea').fill('203.0.112.0/22')
    await dialog.getByText('203.0.112.0/22 is a wide network: 1,024 addresses.').waitFor()
    t.ok(await submit.isDisabled(), 'not without a second look')
    await dialog.locator('textarea').fill('203.0.113.0/24')
    t.notOk(await submit.isDisabled(), 'a /24 is not wide')
    await dialog.locator('textarea').fill('127.0.0.1')
    await submit.click()
    await dialog.getByText('Choose at least one jail.').waitFor()
    await dialog.getByPlaceholder('Another jail').fill('sshd')
    await submit.click()
    await dialog.getByText('127.0.0.1 meets 127.0.0.0/8: a loopback address').waitFor()
    await dialog.locator('textarea').fill('127.0.0.1\n203.0.113.1')
    await submit.click()
    await page.getByText('203.0.113.1 will be blocked').waitFor()
    t.equal(
      await dialog.locator('textarea').inputValue(),
      '127.0.0.1',
      'what was refused is left to be mended'
    )
    const many = Array.from({ length: 60 }, (_, at) => `203.0.113.${at + 1}`)
    await dialog.locator('textarea').fill(many.join('\n'))
    t.ok(await submit.isDisabled(), '60 are many')
    await dialog.getByLabel('Yes, that is what I mean').check()
    await submit.click()
    await page.getByText('59 addresses will be blocked').waitFor()
    t.equal((await at.list(HOST, 'sshd')).length, 60)

    await page.locator('[data-block]').click()
    await dialog.locator('textarea').fill('203.0.113.1')
    await dialog.getByLabel('sshd').check()
    await submit.click()
    await page.getByText('203.0.113.1 is blocked already.').waitFor()

    await page.getByLabel('Select all 60 shown').check()
    await page.getByRole('button', { name: 'Unblock…' }).click()
    await dialog.getByText('60 addresses will be unblocked.').waitFor()
    await dialog.getByRole('button', { name: 'Unblock' }).click()
    await page.getByText('60 addresses will be unblocked on web-1').waitFor()
    t.equal((await at.list(HOST, 'sshd')).filter(entry => entry.active).length, 0)

    const both = ['198.51.100.0/24', '198.51.100.7']
    const asked = await at.cli(['block', ...both, '--server', HOST, '--jail', 'sshd', ...at.folders])
    t.equal(asked.code, 0, asked.err)
    await page.goto(`${at.url}/?view=blocklists&server=${HOST}`)
    await page.getByRole('button', { name: 'Unblock 198.51.100.7', exact: true }).click()
    await page.getByText('198.51.100.7 stays blocked on web-1: 198.51.100.0/24 is blocked in sshd.').waitFor()
    t.pass('what keeps it blocked is told')
  }
)

t.test('what another session does is seen without a reload', { skip: NO_BROWSER }, async t => {
  const at = await withHost(t)
  const browser = await browserOf(t)
  const { page } = await open(browser, at, `view=blocklists&server=${HOST}`)
  await page.getByText('No entries.').waitFor()
  await at.cli(['block', IP, '--server', HOST, '--jail', 'sshd', ...at.folders])
  await state(page, IP).waitFor()
  t.pass('the entry has come by itself')
})
