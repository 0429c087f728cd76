import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import formbody from '@fastify/formbody'
import autocannon from 'autocannon'
import Fastify from 'fastify'
import { Installation } from '../support/installation.js'
import type { BenchRow } from './row.js'

const SECONDS = 4

/** update.php with nothing to send, beside a bare Fastify POST route with the same body. */
export async function updateRequests(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'f2b-bench-'))
  const at = new Installation(dir)
  const bare = Fastify()
  try {
    await at.serve()
    const body = new URLSearchParams(await at.addHost('web-1')).toString()
    await bare.register(formbody)
    bare.post('/', () => ({ success: true, updates: [] }))
    const bareUrl = await bare.listen({ port: 0, host: '127.0.0.1' })
    const own = await load(`${at.url}/endpoint/update.php`, body)
    const base = await load(bareUrl, body)
    return [
      {
        what: 'update.php, nothing to send, 64 connections',
        value: `${Math.round(own.requests.average)} requests/s, p99 ${own.latency.p99} ms`,
        baseline: `${Math.round(base.requests.average)} requests/s, bare Fastify POST`,
        ratio: own.requests.average / base.requests.average
      }
    ]
  } finally {
    await Promise.all([at.stop(), bare.close()])
    await rm(dir, { recursive: true, force: true })
  }
}

async function load(url: string, body: string): Promise<autocannon.Result> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return autocannon({ url, method: 'POST', body, headers, connections: 64, duration: SECONDS })
}
