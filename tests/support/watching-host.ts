import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { clientEntries } from './client-entries.js'
import { BIN, Installation } from './installation.js'
import { logged } from './logged.js'
import { createNamespace, joinByVeth, type Namespace } from './netns.js'
import { sendPackets, type Packets } from './packets.js'
import { asUsersDo } from './processes.js'

const PASSWORD = 'correct horse battery'
/** The host's address that attackers see, theirs are in its /16; .1.1 is never blocked. */
const TARGET = '10.78.0.1'
const FREE = '10.78.1.1'

/** Logs in, then posts a block for each address it is told, and says when the reply's status came. */
const ADMIN = `
import http.client, json, sys, time
host, port, password = sys.argv[1], int(sys.argv[2]), sys.stdin.readline().rstrip('\\n')
connection = http.client.HTTPConnection(host, port)
headers = {'content-type': 'application/json'}
def post(name, body):
    connection.request('POST', '/api/' + name, json.dumps(body), headers)
    reply = connection.getresponse()
    at = time.monotonic_ns()
    told = json.loads(reply.read())
    if reply.status != 200:
        sys.exit(f'{name}: {reply.status} {told}')
    return reply, told, at
reply, told, _ = post('login', {'username': 'alice', 'password': password})
headers.update({'cookie': reply.getheader('set-cookie').split(';')[0], 'x-csrf-token': told['csrf']})
print('ready', flush=True)
for line in sys.stdin:
    print(post('block', {'servers': ['web-1'], 'jails': ['sshd'], 'ips': [line.strip()]})[2], flush=True)
`

/**
 * Starts `sync --watch` on a host, which comes by itself only in an hour; its log is client.log.
 * @param host where it blocks by nftables; absent, it is this machine and its firewall is only played
 */
export function watchOn(at: Installation, host?: Namespace): ChildProcess {
  const flags = ['--watch', '--interval', '3600', '--client-log', at.path('client.log')]
  const firewall = host === undefined ? 'dry-run' : 'nftables'
  const words = [...(host?.prefix ?? []), process.execPath, BIN, ...at.syncArgs(firewall), ...flags]
  return spawn(...asUsersDo(words), { stdio: ['ignore', 'ignore', 'inherit'] })
}

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

/**
 * A server; the host web-1, which watches for what it says, comes by itself only in an hour and has nftables; and
 * somebody who sends packets to that host.
 */
export class WatchingHost {
  readonly at: Installation
  #ends: (() => Promise<unknown>)[] = []

  private constructor(
    dir: string,
    readonly server: Namespace,
    readonly host: Namespace,
    readonly attacker: Namespace
  ) {
    this.at = new Installation(dir)
    this.#ends.push(...[server, host, attacker].map(one => () => one.destroy()))
  }

  /** Starts the server. @param attackers addresses, which are the host's neighbours */
  static async start(dir: string, attackers: readonly string[]): Promise<WatchingHost> {
    const [server, host, attacker] = [
      await createNamespace('server'),
      await createNamespace('host'),
      await createNamespace('attacker')
    ]
    const all = new WatchingHost(dir, server, host, attacker)
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    await joinByVeth(
      attacker,
      [FREE, ...attackers].map(ip => `${ip}/16`),
      host,
      [`${TARGET}/16`]
    )
    await all.serve(all.at)
    await all.at.cli(['user', 'add', 'alice', '--role', 'admin', ...all.at.folders], {
      input: `${PASSWORD}\n`
    })
    await Promise.all(['client.log', 'fail2ban.log'].map(name => writeFile(all.at.path(name), '')))
    return all
  }

  /** Starts a server process, in the server's place. */
  async serve(at: Installation): Promise<void> {
    this.atEnd(() => at.stop())
    await at.serve(this.server, '--host', '10.77.0.1')
  }

  /**
   * Registers the host and starts `sync --watch` there; its log is client.log. Resolves after its first cycle.
   * @param url where it reaches the server
   */
  async watch(url = this.at.url): Promise<ChildProcess> {
    await this.at.addHost('web-1', url)
    const client = watchOn(this.at, this.host)
    this.#kill(client)
    await this.logged(/"step":"synced-back"/)
    return client
  }

  /** Resolves when the client's log holds that. */
  async logged(pattern: RegExp): Promise<void> {
    await logged(this.at.dir, this.at.path('client.log'), pattern)
  }

  /** Lets other hosts wait for the server too, once the first one is known. Resolves when all are connected. */
  async addIdleHosts(hosts: number): Promise<void> {
    const path = this.at.path('settings', 'client-list.json')
    const known = JSON.parse(await readFile(path, 'utf8')) as object[]
    const idle = Array.from({ length: hosts }, (_, nr) => `idle-${nr}`)
    await writeFile(path, JSON.stringify([...known, ...clientEntries(idle, PASSWORD)]))
    const told = {
      LIBRARY: resolve('node_modules/ws/wrapper.mjs'),
      URL: `${this.at.url.replace('http', 'ws')}/api/v1/wake`,
      HOSTS: String(hosts),
      PASSWORD
    }
    const words = [...this.host.prefix, process.execPath, '--input-type=module', '-e', WAITING]
    const env = { ...process.env, ...told }
    const child = spawn(...asUsersDo(words), { stdio: ['ignore', 'pipe', 'inherit'], env })
    this.#kill(child)
    await once(child.stdout, 'data')
  }

  #packets: Packets | undefined

  /**
   * Sends packets from an address to the host, and has it blocked once they arrive.
   * @param block tells when the reply came, as `blockByApi`
   * @returns milliseconds from the reply until the first packet was sent that the host dropped; below 0 if before
   */
  async untilDropped(ip: string, block: (ip: string) => Promise<bigint>): Promise<number> {
    if (this.#packets === undefined) {
      this.#packets = await sendPackets(this.attacker, FREE, this.host, TARGET)
      this.atEnd(this.#packets.end)
    }
    await this.#packets.from(ip)
    const replied = await block(ip)
    return Number((await this.#packets.dropped(ip)) - replied) / 1e6
  }

  /**
   * Logs alice in at a server process.
   * @returns blocks an address on web-1 there, and tells when the reply came (CLOCK_MONOTONIC, nanoseconds)
   */
  async blockByApi(at = this.at): Promise<(ip: string) => Promise<bigint>> {
    const { hostname, port } = new URL(at.url)
    const words = [...this.server.prefix, 'python3', '-I', '-c', ADMIN, hostname, port]
    const [program, args] = asUsersDo(words)
    const admin: ChildProcessByStdio<Writable, Readable, null> = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    this.#kill(admin)
    const lines = createInterface({ input: admin.stdout })
    const told = async (words: string) => {
      admin.stdin.write(`${words}\n`)
      const [line] = (await once(lines, 'line')) as [string]
      return line
    }
    await told(PASSWORD)
    return async ip => BigInt(await told(ip))
  }

  /** Has something done at the end; what came last is done first. */
  atEnd(end: () => Promise<unknown>): void {
    this.#ends.push(end)
  }

  /** Ends all, whichever of it fails. */
  async end(): Promise<void> {
    const errors: unknown[] = []
    for (const end of this.#ends.splice(0).reverse())
      await end().catch((error: unknown) => errors.push(error))
    if (errors.length > 0) throw errors[0]
  }

  #kill(child: ChildProcess): void {
    this.atEnd(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const closed = once(child, 'close')
      child.kill('SIGKILL')
      await closed
    })
  }
}
