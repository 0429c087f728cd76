import { spawn } from 'node:child_process'
import { once } from 'node:events'
import autocannon from 'autocannon'
import type { Installation } from '../support/installation.js'
import type { BenchRow } from './row.js'
import { withInstallation } from './with-installation.js'

const SECONDS = 4
const BARE = `
  import Fastify from 'fastify'
  import formbody from '@fastify/formbody'
  const app = Fastify()
  await app.register(formbody)
  app.post('/', () => ({ success: true, updates: [] }))
  process.stdout.write(await app.listen({ port: 0, host: '127.0.0.1' }))`

/** update.php with nothing to send, beside a bare Fastify POST route with the same body. */
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
    const own = await loadUpdate(at, who)
    const base = await load(bareUrl, bodyOf(who))
    return [
      {
        what: 'update.php, nothing to send, 64 connections',
        value: `${Math.round(own.requests.average)} requests/s, p99 ${own.latency.p99} ms`,
        baseline: `${Math.round(base.requests.average)} requests/s, bare Fastify POST`,
        ratio: own.requests.average / base.requests.average
      }
    ]
  } finally {
    bare.kill()
  }
}

/** Lets a host ask update.php as fast as the server answers, on 64 connections. */
export async function loadUpdate(at: Installation, who: Who): Promise<autocannon.Result> {
  return load(`${at.url}/endpoint/update.php`, bodyOf(who))
}

interface Who {
  username: string
  password: string
  uuid: string
}

function bodyOf({ username, password, uuid }: Who): string {
  return new URLSearchParams({ username, password, uuid }).toString()
}

async function load(url: string, body: string): Promise<autocannon.Result> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const options = { url, method: 'POST', body, headers, connections: 64 } as const
  await autocannon({ ...options, duration: 1 })
  const result = await autocannon({ ...options, duration: SECONDS })
  if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx + result.errors} requests failed`)
  return result
}
