import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from './median.js'
import { growth } from './growth.js'
import type { BenchRow } from './row.js'

const SIZES = [1, 10, 100]
const MEGABYTES = Math.max(...SIZES)
const RUNS = 5

/** What a measuring process prints. */
interface Measured {
  ms: number
  events: number
  peakMb: number
}

// Its own process each time, as cron has it; the start of Node.js is not the parser's and not in the time.
const PARSE = `
  import { readLog } from ${url('../../client/log/read-log.js')}
  import { parseLine } from ${url('../../client/log/parse-line.js')}
  let events = 0
  const started = performance.now()
  await readLog(process.env.LOG, undefined, line => {
    if (parseLine(line, Date.now).event !== undefined) events++
  })
  const ms = performance.now() - started
  console.log(JSON.stringify({ ms, events, peakMb: process.resourceUsage().maxRSS / 1024 }))`
const COLLECT = `
  import { collectEvents, markUploaded } from ${url('../../client/log/daily-events.js')}
  import { JsonFiles } from ${url('../../common/json-file.js')}
  const state = process.env.STATE
  const files = new JsonFiles({ clock: Date.now, onSetAside() {} })
  const started = performance.now()
  const options = { log: process.env.LOG, eventsDir: state + '/events', state, files, clock: Date.now }
  const { newEvents: events, changed } = await collectEvents(options)
  const ms = performance.now() - started
  for (const day of changed) await markUploaded(options, day)
  console.log(JSON.stringify({ ms, events, peakMb: process.resourceUsage().maxRSS / 1024 }))`

/** Reads a 100 MB fail2ban.log, beside grep counting the same words in it in the same run; medians of five. */
export async function logParsing(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'bench-log-'))
  try {
    const log = join(dir, 'fail2ban.log')
    await writeLog(log, MEGABYTES)
    const grep: number[] = []
    const parse: Measured[] = []
    const first: Measured[] = []
    const again: Measured[] = []
    // In turn, so that a busy moment of the machine falls on all of them.
    for (let run = 0; run < RUNS; run++) {
      grep.push(countWithGrep(log))
      parse.push(await inProcess(PARSE, { LOG: log }))
      const state = join(dir, `state-${run}`)
      first.push(await inProcess(COLLECT, { LOG: log, STATE: state }))
      again.push(await inProcess(COLLECT, { LOG: log, STATE: state }))
    }
    const yardstick = median(grep)
    const row = (what: string, measured: Measured[]): BenchRow => {
      const ms = median(measured.map(item => item.ms))
      return {
        what: `${what} (${measured[0]?.events ?? 0} events)`,
        value: `${ms.toFixed(0)} ms, ${((MEGABYTES / ms) * 1000).toFixed(0)} MB/s`,
        baseline: `grep -cE "Ban\\|Unban": ${yardstick.toFixed(0)} ms`,
        ratio: ms / yardstick,
        peakMb: Math.round(Math.max(...measured.map(item => item.peakMb)))
      }
    }
    const nothing = median(again.map(item => item.ms))
    const taken: [number, number][] = []
    for (const size of SIZES) {
      if (size === MEGABYTES) taken.push([size, median(parse.map(item => item.ms))])
      else taken.push([size, await parseTime(join(dir, `${size}.log`), size)])
    }
    return [
      row(`parse ${MEGABYTES} MB of log`, parse),
      row(`parse ${MEGABYTES} MB of log into daily files on disk`, first),
      {
        what: 'look at the same log again, nothing new',
        value: `${nothing.toFixed(1)} ms`,
        baseline: '',
        ratio: null,
        peakMb: Math.round(Math.max(...again.map(item => item.peakMb)))
      },
      growth('parse MB of log', taken)
    ]
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function parseTime(log: string, megabytes: number): Promise<number> {
  await writeLog(log, megabytes)
  const taken: number[] = []
  for (let run = 0; run < RUNS; run++) taken.push((await inProcess(PARSE, { LOG: log })).ms)
  return median(taken)
}

function url(path: string): string {
  return JSON.stringify(new URL(path, import.meta.url).href)
}

/** Mostly what a busy host logs: failures, and about one ban or unban in twelve lines. */
async function writeLog(path: string, megabytes: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    let seed = 1
    // Small, and the same on each run.
    const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below
    let second = 0
    for (let written = 0; written < megabytes * 1024 * 1024;) {
      let text = ''
      for (let count = 0; count < 10_000; count++) {
        second += next(2)
        const at = new Date(Date.UTC(2026, 2, 1) + second * 1000).toISOString().slice(0, 19).replace('T', ' ')
        const ip =
          next(10) === 0
            ? `2001:db8::${next(65_535).toString(16)}`
            : `${next(200) + 1}.${next(256)}.${next(256)}.${next(256)}`
        const stamp = `${at},${String(next(1000)).padStart(3, '0')}`
        const kind = next(100)
        text +=
          kind < 8
            ? `${stamp} fail2ban.actions        [812]: NOTICE  [sshd] ${kind < 4 ? 'Ban' : 'Unban'} ${ip}\n`
            : `${stamp} fail2ban.filter         [812]: INFO    [sshd] Found ${ip} - ${at}\n`
      }
      written += (await file.write(text)).bytesWritten
    }
  } finally {
    await file.close()
  }
}

function countWithGrep(path: string): number {
  const started = performance.now()
  const { status, error } = spawnSync('grep', ['-cE', 'Ban|Unban', path])
  if (status !== 0) throw error ?? new Error(`grep ended with ${String(status)}`)
  return performance.now() - started
}

function inProcess(script: string, env: Record<string, string>): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.on('error', reject)
    child.on('close', code => {
      if (code === 0) resolve(JSON.parse(output) as Measured)
      else reject(new Error(`a measuring process ended with ${String(code)}`))
    })
  })
}
