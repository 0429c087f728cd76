import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import t, { type Test } from 'tap'
import { localDay } from '../../common/clock.js'
import { VIEWS } from '../../public/data/views.js'
import { PASSWORDS, USERS } from '../support/app.js'
import { archiveOf, browserOf, NO_BROWSER } from '../support/browser.js'
import { writeFleet } from '../support/fleet.js'
import { Installation } from '../support/installation.js'
import { ownFolder } from '../support/own-folder.js'

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json'
}

/** Any web server: files below a path, and nothing else. @returns the folder's URL, and what was asked for in vain */
async function serveFolder(
  t: Test,
  folder: string,
  below: string
): Promise<{ url: string; missed: string[] }> {
  const missed: string[] = []
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    const file = join(folder, path.startsWith(below) ? path.slice(below.length) || 'index.html' : '..')
    const stream = createReadStream(file)
    stream.on('error', () => {
      missed.push(`${request.method ?? ''} ${request.url ?? ''}`)
      response.writeHead(404).end()
    })
    stream.on('open', () => {
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
      stream.pipe(response)
    })
  })
  await new Promise<void>(ready => server.listen(0, '127.0.0.1', ready))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`, missed }
}

const KEY = 'a-key-of-abuseipdb-that-stays-here'

/** Hosts, users, keys and a whitelist; its name of an admin is one to log in with. */
async function installation(t: Test): Promise<Installation> {
  const at = new Installation(ownFolder(t, { settings: {}, archive: {} }))
  await writeFleet(archiveOf(at), { servers: ['web-1', 'db-1'], days: 4, eventsPerDay: 200, now: Date.now() })
  await writeFile(at.path('settings', 'users.json'), JSON.stringify(USERS))
  await writeFile(
    at.path('settings', 'fail2ban-report.config'),
    `[AbuseIPDB API Key]\nabuseipdb_key=${KEY}\n[Warnings]\nthreshold=1:2\n`
  )
  await writeFile(
    at.path('archive', 'whitelist.json'),
    JSON.stringify([
      { ip: '192.0.2.10', description: 'office', addedBy: 'alice', servers: null },
      { ip: '192.0.2.11', description: 'both', addedBy: 'alice', servers: ['web-1', 'db-1'] }
    ])
  )
  return at
}

const texts = async (folder: string) => {
  const items = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = items.filter(item => item.isFile()).map(item => join(item.parentPath, item.name))
  return Promise.all(files.map(async path => ({ path, text: await readFile(path, 'utf8') })))
}

t.test(
  'export writes a dashboard that any web server shows below any path',
  { skip: NO_BROWSER },
  async t => {
    const at = await installation(t)
    const added = await at.cli(['client', 'add', 'web-1', '--json', ...at.folders])
    const secrets = JSON.parse(added.out) as { password: string; uuid: string }
    await at.cli(['block', '203.0.113.9', '--server', 'web-1', '--jail', 'sshd', ...at.folders])
    const out = at.path('out')
    const ended = await at.cli(['export', '--out', out, ...at.folders])
    t.equal(ended.code, 0, ended.err)

    const { url, missed } = await serveFolder(t, out, '/deep/down/bans/')
    const page = await (await (await browserOf(t)).newContext({ locale: 'en-GB' })).newPage()
    const complaints: string[] = []
    page.on('pageerror', error => complaints.push(String(error)))
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    await page.goto(url)
    await page.getByText(/A copy from/).waitFor()
    await page.locator('main').getByText('web-1', { exact: true }).first().waitFor()
    t.equal(await page.locator('[name=password]').count(), 0, 'nobody is asked to log in')

    await page.goto(`${url}?view=events&range=3`)
    await page.locator('.grid-body .grid-row').first().waitFor()
    await page.goto(`${url}?view=blocklists&server=web-1`)
    await page.locator('.grid-body').getByText('203.0.113.9', { exact: true }).waitFor()
    await page.goto(`${url}?view=statistics&server=db-1`)
    await page.locator('.panel').first().waitFor()
    await page.goto(`${url}?view=warnings&server=db-1`)
    await page.locator('tbody tr').first().waitFor()
    t.strictSame(
      [...new Set(await page.locator('tbody [data-label=Server]').allTextContents())],
      ['db-1'],
      'warnings of one server'
    )
    await page.goto(`${url}?view=whitelist`)
    await page.getByText('192.0.2.10').first().waitFor()
    const day = localDay(Date.now(), 1)
    const name = `fail2ban-events-${day}.json`
    const [event] = JSON.parse(await readFile(archiveOf(at, 'db-1', 'fail2ban', name), 'utf8')) as {
      ip: string
    }[]
    await page.goto(`${url}?view=address&ip=${event!.ip}`)
    await page.locator('.address-head').waitFor()
    await page.getByText(event!.ip).first().waitFor()
    t.notMatch(await page.locator('.tiles .tile-value').first().textContent(), /^0$/)
    for (const view of ['overview', 'events', 'blocklists', 'whitelist', `address&ip=${event!.ip}`]) {
      await page.goto(`${url}?view=${view}`)
      await page.getByText(/A copy from/).waitFor()
      t.equal(await page.locator('[data-block]').count(), 0, `${view}: nothing can be changed`)
    }
    t.equal(await page.getByRole('button', { name: 'Log out' }).count(), 0)
    t.strictSame(complaints, [])
    t.strictSame(
      missed.filter(one => !one.includes('favicon')),
      [],
      'nothing is asked of a server'
    )

    const all = await texts(out)
    const hashes = USERS.map(user => user.password)
    for (const secret of [
      KEY,
      secrets.password,
      secrets.uuid,
      ...hashes,
      ...Object.values(PASSWORDS),
      '$2y$',
      '"alice"'
    ]) {
      const found = all.filter(({ text }) => text.includes(secret)).map(({ path }) => path)
      t.strictSame(found, [], `no ${secret.slice(0, 8)}… in any file`)
    }
    for (const { path } of all) {
      const { mode } = await stat(path)
      if ((mode & 0o777) !== 0o644) t.fail(`${path} can't be read by a web server`)
    }
  }
)

t.test('no view of a copy lacks anything, whatever part it is', { skip: NO_BROWSER }, async t => {
  const at = await installation(t)
  await at.cli(['block', '203.0.113.9', '--server', 'web-1', '--jail', 'sshd', ...at.folders])
  const browser = await browserOf(t)
  const parts = [[], ['--days', '2'], ['--server', 'web-1'], ['--server', 'web-1', '--days', '1']]
  for (const [n, part] of parts.entries()) {
    const out = at.path(`out-${n}`)
    const ended = await at.cli(['export', '--out', out, ...part, ...at.folders])
    t.equal(ended.code, 0, ended.err)
    const { url, missed } = await serveFolder(t, out, '/bans/')
    const page = await (await browser.newContext({ locale: 'en-GB' })).newPage()
    const whole = async (what: string) => {
      // Either all is there, or somebody says what is not.
      await page.waitForFunction(
        () =>
          document.querySelector('main :is(.panel, .banner.bad)') !== null &&
          document.querySelector('.loading') === null &&
          (document.querySelector('.banner.bad') !== null ||
            ![...document.querySelectorAll('.tile-value, td')].some(one => one.textContent === '…'))
      )
      t.strictSame(await page.locator('.banner.bad').allTextContents(), [], `${what} ${part.join(' ')}`)
    }
    const servers = ['', '&server=web-1']
    const views = VIEWS.filter(view => view !== 'commands' && view !== 'address').flatMap(view =>
      servers.map(more => view + more)
    )
    for (const view of [...views, 'address&ip=203.0.113.9', 'overview&host=web-1']) {
      await page.goto(`${url}?view=${view}`)
      await whole(view)
      // What opens only when it is asked for.
      if (view === 'address&ip=203.0.113.9') {
        await page.getByRole('button', { name: 'Details of 203.0.113.9' }).click()
        await page.locator('dialog .facts').waitFor()
        await whole('an entry’s details')
      }
      const more = page.getByRole('button', { name: 'Show who did what' })
      if ((await more.count()) > 0) {
        await more.click()
        await whole('who did what')
      }
    }
    t.strictSame(
      missed.filter(one => !one.includes('favicon')),
      []
    )
  }
})

t.test('export takes a part, is renewed in its place, and refuses folders of others', async t => {
  const at = await installation(t)
  const out = at.path('out')
  const run = (...args: string[]) => at.cli(['export', '--out', out, ...args, ...at.folders])
  const before = (await texts(at.path('archive'))).length
  t.equal((await run('--server', 'db-1', '--days', '2')).code, 0)
  const index = async () =>
    JSON.parse(await readFile(join(out, 'data', 'index.json'), 'utf8')) as { files: Record<string, string> }
  const paths = Object.keys((await index()).files)
  t.equal(paths.filter(path => path.startsWith('columns?server=db-1')).length, 2)
  t.notMatch(JSON.stringify(await texts(join(out, 'data'))), /web-1/, 'the other host is nowhere')
  t.equal((await texts(at.path('archive'))).length, before, 'the archive is only read')
  for (let again = 0; again < 3; again++) t.equal((await run('--days', '1')).code, 0)
  t.match(Object.keys((await index()).files), [/./])
  t.ok(
    Object.keys((await index()).files).some(
      path => path === `columns?server=web-1&day=${localDay(Date.now())}`
    )
  )
  t.equal(
    (await readdir(join(out, 'data'))).length,
    3,
    'the newest, the one before for open pages, and the index'
  )

  t.equal((await run('--days', '0')).code, 2)
  t.match((await run('--server', 'nobody')).err, /no host nobody/)
  await mkdir(at.path('full'))
  await writeFile(at.path('full', 'mine'), '')
  const refused = await at.cli(['export', '--out', at.path('full'), ...at.folders])
  t.match(refused.err, /holds other files/)
  t.strictSame(await readdir(at.path('full')), ['mine'])
})
