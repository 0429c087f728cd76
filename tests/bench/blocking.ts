import { once } from 'node:events'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { Agent, request, type IncomingMessage } from 'node:http'
import { PASSWORDS, USERS } from '../support/app.js'
import type { Installation } from '../support/installation.js'
import { entriesOf, ipsOf, writeList } from './addresses.js'
import { growth } from './growth.js'
import { median } from './median.js'
import type { BenchRow } from './row.js'
import { withInstallation } from './with-installation.js'

const RUNS = 51
/** Blocks in another list before: of a server that has run for a while, not of a program that isn't compiled yet. */
const BEFORE = 200
const SIZES = [100, 10_000, 100_000]
const AT_ONCE = 1000

/** Blocks of one address, by the API, in lists of three sizes; and many at once in one list. */
export async function blocking(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  const taken: [number, number][] = []
  for (const size of SIZES) {
    const { rows: some, ms } = await withList(size)
    rows.push(...some)
    taken.push([size, ms])
  }
  return [...rows, growth('block one address in a list', taken)]
}

async function withList(size: number): Promise<{ rows: BenchRow[]; ms: number }> {
  return withInstallation(async at => {
    await mkdir(at.path('settings'), { recursive: true })
    await writeFile(at.path('settings', 'users.json'), JSON.stringify(USERS))
    const list = entriesOf(ipsOf(size), { active: true, pending: false })
    await writeList(at, list)
    await at.serve()
    const block = await blocker(at)
    for (let nr = 0; nr < BEFORE; nr++) await block(`198.51.101.${nr + 1}`, 'nginx')
    // The first one reads the list.
    await block('198.51.100.1')
    const taken: number[] = []
    for (let nr = 0; nr < RUNS; nr++) {
      const start = performance.now()
      await block(`198.51.100.${nr + 2}`)
      taken.push(performance.now() - start)
    }
    const bare = await plainChange(at.path('bare.json'), list)
    const row: BenchRow = {
      what: `block one address in a list of ${size}, durable`,
      value: `${median(taken).toFixed(1)} ms`,
      baseline: `JSON.parse, JSON.stringify, write and fsync of the same file: ${bare.toFixed(1)} ms`,
      ratio: median(taken) / bare
    }
    const rows = size === SIZES[0] ? [row, await atOnce(block)] : [row]
    return { rows, ms: median(taken) }
  })
}

async function atOnce(block: (ip: string) => Promise<void>): Promise<BenchRow> {
  const ips = ipsOf(AT_ONCE)
  const start = performance.now()
  await Promise.all(ips.map(ip => block(ip)))
  const ms = performance.now() - start
  return {
    what: `${AT_ONCE} blocks sent at once to one list`,
    value: `${Math.round(ms)} ms`,
    baseline: '',
    ratio: null
  }
}

/** Logs in. @returns blocks an address on web-1 */
async function blocker(at: Installation): Promise<(ip: string, jail?: string) => Promise<void>> {
  // Not by `fetch`: a seventh of what a block took was that client's own.
  const agent = new Agent({ keepAlive: true })
  const post = async (name: string, body: object, more: Record<string, string>) => {
    const text = JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...more }
    const sent = request(`${at.url}/api/${name}`, { agent, method: 'POST', headers })
    sent.end(text)
    const [reply] = (await once(sent, 'response')) as [IncomingMessage]
    let answer = ''
    for await (const piece of reply.setEncoding('utf8')) answer += String(piece)
    if (reply.statusCode !== 200) throw new Error(`${name}: ${reply.statusCode} ${answer}`)
    return { cookie: reply.headers['set-cookie']?.[0]?.split(';')[0] ?? '', text: answer }
  }
  const { cookie, text } = await post('login', { username: 'alice', password: PASSWORDS.alice }, {})
  const { csrf } = JSON.parse(text) as { csrf: string }
  return async (ip, jail = 'sshd') => {
    await post('block', { servers: ['web-1'], jails: [jail], ips: [ip] }, { cookie, 'x-csrf-token': csrf })
  }
}

async function plainChange(path: string, list: readonly object[]): Promise<number> {
  const text = JSON.stringify(list)
  const taken: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    const next = JSON.stringify([...(JSON.parse(text) as object[]), list[0]])
    const file = await open(path, 'w')
    await file.writeFile(next)
    await file.sync()
    await file.close()
    taken.push(performance.now() - start)
  }
  return median(taken)
}
