import { readFile, writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { COMMAND_PARAMS } from '../../common/commands.js'
import { COMMAND_PARAMS as OFFERED } from '../../public/data/command-rows.js'
import { isInStep, needsLook } from '../../public/data/host-state.js'
import type { ServerSummary } from '../../public/data/shapes.js'
import { whitelistState } from '../../public/data/whitelist-state.js'
import { archiveOf, browserOf, NO_BROWSER, open, serverOf } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'
import type { Installation } from '../support/installation.js'

const HOST = 'web-1'

const cycle = async (at: Installation) => at.cli(at.syncArgs('dry-run'))
const row = (page: Page, text: string) => page.locator('.grid-body .grid-row', { hasText: text })
/** A host with a client, which has synced once. */
const withHost = async (t: Parameters<typeof serverOf>[0]) => {
  const at = await serverOf(t)
  await at.addHost(HOST)
  await writeFile(at.path('fail2ban.log'), '')
  await cycle(at)
  return at
}

t.test('the page offers the commands that there are, each with what it takes', async t => {
  t.strictSame(
    Object.fromEntries(Object.entries(OFFERED).map(([type, params]) => [type, [...params]])),
    Object.fromEntries(Object.entries(COMMAND_PARAMS).map(([type, params]) => [type, [...params]]))
  )
})

t.test('a host stands with the whitelist as its last sync and its copy say', async t => {
  const of = (whitelist: object | undefined, whitelistInStep?: boolean) =>
    whitelistState({ host: { whitelist }, whitelistInStep } as Parameters<typeof whitelistState>[0])
  const synced = { at: '', result: 'success', hash: '' }
  t.equal(of(undefined), 'never')
  t.equal(of(synced, true), 'inStep')
  t.equal(of({ ...synced, result: 'unchanged' }, false), 'behind')
  t.equal(of({ ...synced, result: 'fail' }, true), 'failed')
  t.equal(of(synced), 'unknown', 'the server can’t read its own whitelist')
})

t.test('the overview says all is well only when it is', async t => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  const seen = { lastSeen: '2026-03-01T11:58:00Z' }
  const synced = { at: '', result: 'unchanged', hash: '' }
  const waits = { jail: 'sshd', update: 'waits', active: 0, pendingBlock: 1, pendingUnblock: 0, expired: 0 }
  const of = (host: object, more: object = {}) => {
    const server = {
      name: '',
      host,
      lists: [],
      setAside: [],
      whitelistInStep: true,
      ...more
    } as ServerSummary
    return [needsLook(server, now), isInStep(server, now)]
  }
  t.strictSame(of({ ...seen, whitelist: synced }), [false, true])
  t.strictSame(of(seen, { whitelistInStep: undefined }), [false, true], 'a client without a whitelist')
  t.strictSame(of({ ...seen, whitelist: synced }, { whitelistInStep: false }), [false, false])
  t.strictSame(of({ ...seen, whitelist: { ...synced, result: 'fail' } }), [true, true])
  t.strictSame(of(seen, { lists: [waits] }), [false, false])
  t.strictSame(of({ ...seen, clockSkewMs: -31_000 }), [true, true])
  t.strictSame(of({ lastSeen: '2026-03-01T10:00:00Z' }), [true, false])
})

t.test(
  'a whitelist sync is asked for by one click, carried out by a real client, and told as it ends',
  { skip: NO_BROWSER },
  async t => {
    const at = await withHost(t)
    const browser = await browserOf(t)
    await at.cli(['whitelist', 'add', '192.0.2.10', ...at.folders])
    const { page, complaints } = await open(browser, at)
    const line = page.locator('.hosts tbody tr', { hasText: HOST })
    await line.getByText('Behind').waitFor()
    await line.getByRole('button', { name: `Details of ${HOST}` }).click()
    await page.waitForURL(/host=web-1/)
    const dialog = page.locator('dialog')
    await dialog.getByText('The whitelist has changed since this host fetched it').waitFor()
    await dialog.getByRole('button', { name: `Sync whitelist: ${HOST}` }).click()
    await page.getByText(`Sync whitelist: requested on ${HOST}.`).waitFor()
    await cycle(at)
    await page.getByText(`${HOST}: Sync whitelist: Completed`).waitFor()
    await dialog.getByText('Has the present whitelist').waitFor({ timeout: 25_000 })
    t.match(await dialog.locator('.facts').textContent(), /SHA-256 of its copy[0-9a-f]{64}/)
    await dialog.getByRole('link', { name: 'Commands' }).click()
    await row(page, 'Sync whitelist').getByText('Completed').waitFor()
    t.match(await row(page, 'Sync whitelist').textContent(), /web-1alice/)
    await row(page, 'Sync whitelist').getByRole('link').click()
    await page.waitForURL(/id=web-1/)
    await page.reload()
    await dialog.locator('.output').waitFor()
    t.ok((await dialog.locator('.output').textContent()) !== '', 'a link leads to what it printed')
    t.strictSame(complaints, [])

    await page.goto(`${at.url}/?view=whitelist`)
    await page.getByRole('button', { name: 'Holds on 1 of 1 hosts' }).click()
    await page.locator('.white-hosts').getByText('Has the present whitelist').waitFor()
  }
)

t.test(
  'a command for several hosts is checked, refused by name, filtered, and shown live',
  { skip: NO_BROWSER },
  async t => {
    const at = await withHost(t)
    await writeFleet(archiveOf(at), { servers: ['db-1'], days: 1, eventsPerDay: 20, now: Date.now() })
    await at.cli(['whitelist', 'add', '192.0.2.10', '--server', 'db-1', ...at.folders])
    const browser = await browserOf(t)
    const { page, complaints } = await open(browser, at, 'view=commands')
    await page.getByText('No commands yet.').waitFor()
    await page.getByRole('button', { name: 'Run a command…' }).click()
    const dialog = page.locator('dialog')
    await dialog.getByLabel('Command').selectOption('ban_ip')
    const submit = dialog.locator('button[type=submit]')
    await submit.click()
    await dialog.getByText('Choose at least one server.').waitFor()
    await dialog.getByLabel('All servers').check()
    await submit.click()
    await dialog.getByText('Enter the jail.').waitFor()
    await dialog.getByLabel('Jail of fail2ban').fill('sshd')
    await dialog.getByLabel('Address').fill('192.0.2.0/24')
    await submit.click()
    await dialog.getByText('Enter one address').waitFor()
    await dialog.getByLabel('Address').fill('192.0.2.10')
    await submit.click()
    await page.getByText(`Ban in a jail: requested on ${HOST}.`).waitFor()
    const refused = page.locator('.toast.problem', { hasText: 'Ban in a jail: not taken.' })
    t.match(await refused.textContent(), /db-1: .*whitelist/, 'the host where it is whitelisted is named')
    await dialog.waitFor({ state: 'detached' })
    await row(page, '192.0.2.10 · sshd').getByText('Waiting').waitFor()

    // A second session watches while the client comes.
    const viewer = await open(browser, at, 'view=commands', 'victor')
    await row(viewer.page, 'Ban in a jail').getByText('Waiting').waitFor()
    t.equal(await viewer.page.getByRole('button', { name: /^Run / }).count(), 0, 'a viewer gives no command')
    await cycle(at)
    await row(page, 'Ban in a jail').getByText('Failed').waitFor()
    await row(viewer.page, 'Ban in a jail').getByText('Failed').waitFor({ timeout: 20_000 })
    await row(viewer.page, 'Ban in a jail').getByRole('link').click()
    await viewer.page.getByText('What it printed, admins see.').waitFor()
    t.equal(await viewer.page.locator('.output').count(), 0)

    await page.getByRole('button', { name: /^Completed/ }).click()
    await page.getByText('No command passes these filters.').waitFor()
    await page.getByRole('button', { name: /^Failed/ }).click()
    await page.locator('[data-search]').fill('ban in')
    await row(page, '192.0.2.10').waitFor()
    await page.locator('.toolbar select').first().selectOption('db-1')
    await row(page, '192.0.2.10').waitFor({ state: 'detached' })
    await page.goBack()
    await row(page, '192.0.2.10').waitFor()
    await page.locator('[role=grid]').focus()
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await dialog.getByRole('button', { name: 'Run again…' }).click()
    t.equal(await dialog.getByLabel('Address').inputValue(), '192.0.2.10', 'by the keyboard, as it was')
    t.ok(await dialog.getByLabel(HOST).isChecked())
    t.strictSame([...complaints, ...viewer.complaints], [])
  }
)

t.test('a command’s output, type and user stay text', { skip: NO_BROWSER }, async t => {
  const nasty = '"><img src=x onerror=window.pwned=1><script>window.pwned=1</script>'
  const at = await withHost(t)
  const id = `${HOST}~0123456789abcdef`
  const command = {
    ...{ id, type: nasty.slice(0, 64), params: { jail: nasty, ip: nasty }, state: 'completed' },
    ...{ createdAt: nasty, createdBy: nasty, startedAt: nasty, endedAt: nasty, output: nasty }
  }
  await writeFile(archiveOf(at, HOST, 'commands.json'), JSON.stringify([command]))
  const host = JSON.parse(await readFile(archiveOf(at, HOST, 'host.json'), 'utf8')) as object
  const whitelist = { at: nasty, result: 'fail', hash: nasty.slice(0, 64), message: nasty }
  await writeFile(archiveOf(at, HOST, 'host.json'), JSON.stringify({ ...host, whitelist }))
  const browser = await browserOf(t)
  const { page, complaints } = await open(browser, at, `view=commands&id=${encodeURIComponent(id)}`)
  await page.locator('.output').waitFor()
  t.equal(await page.locator('.output').textContent(), nasty)
  t.equal(await page.locator('main img, main script').count(), 0)
  await page.goto(`${at.url}/?view=overview&host=${HOST}`)
  await page.locator('dialog').getByText(`failed (${nasty}): ${nasty}`).waitFor()
  t.equal(await page.locator('main img, main script').count(), 0)
  t.equal(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned), undefined)
  t.strictSame(complaints, [])
})
