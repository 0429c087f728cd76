import { existsSync } from 'node:fs'
import { readdir, readFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { localDay } from '../../common/clock.js'
import { PASSWORDS, USERS } from '../support/app.js'
import { launchBrowser, logIn, NO_BROWSER, rowsAfter, rowsAfterKey } from '../support/browser.js'
import { writeLargeFleet } from '../support/fleet.js'
import { built, type Installation } from '../support/installation.js'
import { median } from './median.js'
import type { BenchRow } from './row.js'
import { withInstallation } from './with-installation.js'

const RUNS = 5
const SIZES = [13_480, 100_000]

/** The dashboard's answers and its page, with a month of one host; the page beside its own log-in form. */
export async function dashboard(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [await bundle()]
  for (const size of SIZES) {
    await withMonth(13_480, size, async at => {
      if (size === SIZES[0]) rows.push(...(await statistics(at)))
      await at.serve()
      rows.push(...(await events(at, size)))
      if (NO_BROWSER === false) rows.push(...(await page(at, size)))
    })
  }
  return rows
}

/** Runs with a month of events of one host, `today` of them today; a server that was started is stopped. */
export async function withMonth<T>(
  eventsPerDay: number,
  today: number,
  run: (at: Installation) => Promise<T>
): Promise<T> {
  return withInstallation(async at => {
    await mkdir(at.path('settings'), { recursive: true })
    await writeFile(at.path('settings', 'users.json'), JSON.stringify(USERS))
    const fleet = { servers: ['web-1'], days: 30, eventsPerDay, today, now: Date.now() }
    await writeLargeFleet(at.path('archive'), fleet)
    return run(at)
  })
}

async function bundle(): Promise<BenchRow> {
  const folder = built('public/assets')
  const names = (await readdir(folder)).filter(name => /\.(js|css)$/.test(name))
  const sizes = await Promise.all(
    names.map(
      async name => [name, gzipSync(await readFile(join(folder, name)), { level: 9 }).length] as const
    )
  )
  const sum = (of: RegExp) =>
    sizes.filter(([name]) => of.test(name)).reduce((all, [, size]) => all + size, 0) / 1024
  const first = sum(/^index.*\.js$/)
  return {
    what: 'dashboard, JavaScript (gzip)',
    value: `${first.toFixed(1)} KiB at first, ${sum(/\.js$/).toFixed(1)} KiB in all; CSS ${sum(/\.css$/).toFixed(1)} KiB`,
    baseline: 'target 150 KB',
    ratio: (sum(/\.js$/) * 1024) / 150_000
  }
}

/**
 * Starts servers, whose first answer is cold.
 * @returns medians in milliseconds; `kept` is the first answer where an earlier process has kept what days came to
 */
export async function statisticsTimes(
  at: Installation
): Promise<{ cold: number; kept: number; warm: number }> {
  const sums = at.path('archive', 'web-1', 'sums.json')
  const times = { cold: [] as number[], kept: [] as number[], warm: [] as number[] }
  for (let run = 0; run < RUNS; run++) {
    for (const first of ['cold', 'kept'] as const) {
      if (first === 'cold') await rm(sums, { force: true })
      await at.serve()
      const cookie = await cookieOf(at)
      times[first].push((await timed(at, 'statistics', cookie)).last)
      for (let again = 0; again < RUNS; again++) times.warm.push((await timed(at, 'statistics', cookie)).last)
      // Days of few events are not kept.
      for (let wait = 0; wait < 100 && !existsSync(sums); wait++) await setTimeout(10)
      await at.stop()
    }
  }
  return { cold: median(times.cold), kept: median(times.kept), warm: median(times.warm) }
}

async function statistics(at: Installation): Promise<BenchRow[]> {
  const { cold, kept, warm } = await statisticsTimes(at)
  const folder = at.path('archive', 'web-1', 'fail2ban')
  const texts = await Promise.all((await readdir(folder)).map(name => readFile(join(folder, name), 'utf8')))
  const bare: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    for (const text of texts) JSON.parse(text)
    bare.push(performance.now() - start)
  }
  const parse = median(bare)
  const row = (what: string, ms: number): BenchRow => ({
    what: `statistics of 30 days × 13480, ${what}`,
    value: `${ms.toFixed(1)} ms`,
    baseline: `JSON.parse of the files: ${parse.toFixed(0)} ms`,
    ratio: ms / parse
  })
  return [
    row('first answer of a new process, nothing kept', cold),
    row('first answer of a new process', kept),
    row('warm', warm)
  ]
}

/** Today's events by a server that has settled. @returns medians in milliseconds */
export async function eventsTimes(
  at: Installation
): Promise<{ first: number; last: number; unchanged: number }> {
  const cookie = await cookieOf(at)
  // A new process sums the month up while nobody looks: this ends when that has.
  await timed(at, 'statistics', cookie)
  const path = `columns?server=web-1&day=${localDay(Date.now())}`
  const { etag } = await timed(at, path, cookie)
  const runs = []
  const known: number[] = []
  for (let run = 0; run < RUNS * 3; run++) {
    runs.push(await timed(at, path, cookie))
    known.push((await timed(at, path, cookie, { 'if-none-match': etag })).last)
  }
  const [first, last] = [median(runs.map(run => run.first)), median(runs.map(run => run.last))]
  return { first, last, unchanged: median(known) }
}

async function events(at: Installation, size: number): Promise<BenchRow[]> {
  const { first, last, unchanged } = await eventsTimes(at)
  const day = localDay(Date.now())
  const text = await readFile(at.path('archive', 'web-1', 'fail2ban', `fail2ban-events-${day}.json`), 'utf8')
  const bare: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    JSON.stringify(JSON.parse(text))
    bare.push(performance.now() - start)
  }
  const yardstick = median(bare)
  return [
    {
      what: `events of a day of ${size}, gzip, warm: first / last byte / unchanged (304)`,
      value: `${first.toFixed(1)} / ${last.toFixed(1)} / ${unchanged.toFixed(1)} ms`,
      baseline: `JSON.parse + JSON.stringify of the file: ${yardstick.toFixed(1)} ms`,
      ratio: last / yardstick
    }
  ]
}

/** The page in a browser. @returns medians in milliseconds; `form` is how long its log-in form takes */
export async function pageTimes(at: Installation): Promise<{ form: number; opened: number; typed: number }> {
  const browser = await launchBrowser()
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
    const form: number[] = []
    for (let run = 0; run < RUNS; run++) form.push(await rowsAfter(page, `${at.url}/`, '[name=password]'))
    await logIn(page, 'alice')
    const opened: number[] = []
    const typed: number[] = []
    for (let run = 0; run < RUNS; run++) {
      opened.push(await rowsAfter(page, `${at.url}/?view=events&server=web-1`))
      for (const text of ['7', '7.', '7.1', '7.', '']) typed.push(await rowsAfterKey(page, text))
    }
    return { form: median(form), opened: median(opened), typed: median(typed) }
  } finally {
    await browser.close()
  }
}

async function page(at: Installation, size: number): Promise<BenchRow[]> {
  const { form, opened, typed } = await pageTimes(at)
  const row = (what: string, ms: number, baseline: string, ratio: number | null): BenchRow => ({
    what: `dashboard, ${what}, ${size} events`,
    value: `${ms.toFixed(0)} ms`,
    baseline,
    ratio
  })
  const bare = `navigation → log-in form: ${form.toFixed(0)} ms`
  return [
    row('navigation → table usable', opened, bare, opened / form),
    row('keystroke → new rows', typed, '', null)
  ]
}

async function cookieOf(at: Installation): Promise<string> {
  const reply = await fetch(`${at.url}/api/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'alice', password: PASSWORDS.alice })
  })
  if (!reply.ok) throw new Error(`the log-in ended with ${reply.status}`)
  return (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
}

async function timed(
  at: Installation,
  path: string,
  cookie: string,
  more: Record<string, string> = {}
): Promise<{ first: number; last: number; etag: string }> {
  const start = performance.now()
  const reply = await fetch(`${at.url}/api/${path}`, {
    headers: { cookie, 'accept-encoding': 'gzip', ...more }
  })
  const first = performance.now() - start
  await reply.arrayBuffer()
  const wanted = 'if-none-match' in more ? 304 : 200
  if (reply.status !== wanted) throw new Error(`${path} ended with ${reply.status}`)
  return { first, last: performance.now() - start, etag: reply.headers.get('etag') ?? '' }
}
