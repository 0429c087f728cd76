import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { hashSync } from '@node-rs/bcrypt'
import { watchNftables } from '../support/in-force.js'
import { Installation } from '../support/installation.js'
import { logged } from '../support/logged.js'
import { available, createNamespace, joinByVeth, type Namespace } from '../support/netns.js'
import { asUsersDo } from '../support/processes.js'
import { addAdmin, blockByApi, watchOn } from '../support/watching-host.js'
import { median } from './median.js'
import type { BenchRow } from './row.js'

const BLOCKS = 15
const PASSWORD = 'the password of all'

/** Holds connections of hosts that wait, says when all are open, and answers pings. */
const WAITING = `
const { WebSocket } = await import(process.env.LIBRARY)
const hosts = Number(process.env.HOSTS)
let open = 0
for (let nr = 0; nr < hosts; nr++) {
  const authorization = 'Basic ' + Buffer.from('idle-' + nr + ':' + process.env.PASSWORD).toString('base64')
  const socket = new WebSocket(process.env.URL, { headers: { authorization, 'x-client-uuid': 'u' } })
  socket.on('open', () => ++open === hosts && console.log('open'))
  socket.on('error', error => { console.error(error); process.exit(1) })
}`

/** From the API's reply to a block until the set of the host's firewall has it, with 1 and with 200 hosts that wait. */
export async function waking(): Promise<BenchRow[]> {
  const missing = available('nft', 'curl')
  if (missing !== undefined)
    return [{ what: 'block to firewall', value: `skipped: ${missing}`, baseline: '', ratio: null }]
  return [await withHosts(1), await withHosts(200)]
}

async function withHosts(hosts: number): Promise<BenchRow> {
  const at = new Installation(await mkdtemp(join(tmpdir(), 'f2b-bench-')))
  const [server, host] = [await createNamespace('server'), await createNamespace('host')]
  const children: ChildProcess[] = []
  try {
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    await at.serve(server, '--host', '10.77.0.1')
    await at.addHost('web-1')
    await addAdmin(at)
    if (hosts > 1) children.push(await idleHosts(at, host, hosts - 1))
    const log = at.path('client.log')
    await Promise.all([log, at.path('fail2ban.log')].map(path => writeFile(path, '')))
    children.push(watchOn(at, host))
    await logged(at.dir, log, /"event":"wake_channel","state":"open"/)
    await logged(at.dir, log, /"step":"synced-back"/)
    const nftables = await watchNftables(host.prefix)
    const block = await blockByApi(at, server)
    const taken: number[] = []
    for (let nr = 1; nr <= BLOCKS; nr++) {
      await block(`203.0.113.${nr}`)
      const replied = performance.now()
      taken.push((await nftables.added(`203.0.113.${nr}`)) - replied)
    }
    await nftables.end()
    return {
      what: `block by the API until it is in the host's nftables set, ${hosts} connected`,
      value: `${Math.round(median(taken))} ms after the reply (slowest ${Math.round(Math.max(...taken))} ms)`,
      baseline: '',
      ratio: null
    }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await at.stop()
    await Promise.all([server.destroy(), host.destroy()])
    await rm(at.dir, { recursive: true, force: true })
  }
}

async function idleHosts(at: Installation, where: Namespace, hosts: number): Promise<ChildProcess> {
  const path = at.path('settings', 'client-list.json')
  const known = JSON.parse(await readFile(path, 'utf8')) as object[]
  const password = hashSync(PASSWORD, 4)
  const idle = Array.from({ length: hosts }, (_, nr) => ({
    username: `idle-${nr}`,
    password,
    uuid: 'u',
    ip: ''
  }))
  await writeFile(path, JSON.stringify([...known, ...idle]))
  const told = {
    LIBRARY: resolve('node_modules/ws/wrapper.mjs'),
    URL: `${at.url.replace('http', 'ws')}/api/v1/wake`,
    HOSTS: String(hosts),
    PASSWORD
  }
  const words = [...where.prefix, process.execPath, '--input-type=module', '-e', WAITING]
  const env = { ...process.env, ...told }
  const child = spawn(...asUsersDo(words), { stdio: ['ignore', 'pipe', 'inherit'], env })
  await once(child.stdout, 'data')
  return child
}
