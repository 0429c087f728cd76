import { spawn } from 'node:child_process'
import { once } from 'node:events'
import autocannon from 'autocannon'
import type { Installation } from '../support/installation.js'
import { median } from './median.js'
import type { BenchRow } from './row.js'
import { withInstallation } from './with-installation.js'

const SECONDS = 4
const ROUNDS = 7
const SECONDS_OF_ROUND = 2
const BARE = `
  import Fastify from 'fastify'
  import formbody from '@fastify/formbody'
  const app = Fastify()
  await app.register(formbody)
  app.post('/', () => ({ success: true, updates: [] }))
  process.stdout.write(await app.listen({ port: 0, host: '127.0.0.1' }))`

/** update.php with nothing to send, beside a bare Fastify POST route with the same body; medians of the rounds. */
export async function updateRequests(): Promise<BenchRow[]> {
  return withInstallation(besideBare)
}

async function besideBare(at: Installation): Promise<BenchRow[]> {
  // A process of its own, as ours has: it must not share a core with the load.
  const bare = spawn(process.execPath, ['--input-type=module', '-e', BARE], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  try {
    await at.serve()
    const who = await at.addHost('web-1')
    const [bareUrl] = (await once(bare.stdout.setEncoding('utf8'), 'data')) as [string]
    const body = bodyOf(who)
    const own: autocannon.Result[] = []
    const base: autocannon.Result[] = []
    await load(ownUrl(at), body, 1)
    await load(bareUrl, body, 1)
    // In turn, so that a busy moment of the machine falls on both.
    for (let round = 0; round < ROUNDS; round++) {
      own.push(await load(ownUrl(at), body, SECONDS_OF_ROUND))
      base.push(await load(bareUrl, body, SECONDS_OF_ROUND))
    }
    const perSecond = (results: autocannon.Result[]) => results.map(({ requests }) => requests.average)
    const ratios = perSecond(own).map((value, round) => value / (perSecond(base)[round] ?? NaN))
    return [
      {
        what: 'update.php, nothing to send, 64 connections',
        value: `${Math.round(median(perSecond(own)))} requests/s, p99 ${median(own.map(({ latency }) => latency.p99))} ms`,
        baseline: `${Math.round(median(perSecond(base)))} requests/s, bare Fastify POST`,
        ratio: median(ratios)
      }
    ]
  } finally {
    bare.kill()
  }
}

/** Lets a host ask update.php as fast as the server answers, on 64 connections. */
export async function loadUpdate(at: Installation, who: Who): Promise<autocannon.Result> {
  await load(ownUrl(at), bodyOf(who), 1)
  return load(ownUrl(at), bodyOf(who), SECONDS)
}

function ownUrl(at: Installation): string {
  return `${at.url}/endpoint/update.php`
}

interface Who {
  username: string
  password: string
  uuid: string
}

function bodyOf({ username, password, uuid }: Who): string {
  return new URLSearchParams({ username, password, uuid }).toString()
}

async function load(url: string, body: string, duration: number): Promise<autocannon.Result> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const options = { url, method: 'POST', body, headers, connections: 64 } as const
  const result = await autocannon({ ...options, duration })
  if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx + result.errors} requests failed`)
  return result
}
