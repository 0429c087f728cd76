import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BlocklistEntry } from '../../common/shapes.js'
import { listeningUrl } from '../../server/cli/spawned-server.js'
import type { Namespace } from './netns.js'
import { asUsersDo } from './processes.js'

/** A file of the built program: end-to-end tests, which run at the checkout's top, run what users run. */
export const built = (path: string) => resolve('dist', path)
export const BIN = built('program/bin.js')

/** Longer than the server itself waits for requests in flight. */
const STOP_MS = 40_000

/** How a process ended. */
export interface Ended {
  code: number | null
  out: string
  err: string
}

/** A server with its folders, and the configuration of one host, as processes see them. */
export class Installation {
  url = ''
  /** Flags of Node.js for the server. */
  nodeFlags: readonly string[] = []
  /** What the servers have logged so far. */
  log = ''
  #server: ChildProcess | undefined

  constructor(readonly dir: string) {}

  path(...parts: string[]): string {
    return join(this.dir, ...parts)
  }

  /** Flags that name the server's folders. */
  get folders(): string[] {
    return ['--archive', this.path('archive'), '--settings', this.path('settings')]
  }

  /** Starts `serve`, in a namespace if one is given. @param more further flags */
  async serve(where?: Namespace, ...more: string[]): Promise<void> {
    await mkdir(this.dir, { recursive: true })
    const args = [
      ...[BIN, 'serve', '--port', '0', ...this.folders],
      ...['--download', this.path('download'), '--temp', this.path('temp'), ...more],
      // A namespace's address is no loopback.
      ...(more.includes('--host') && !more.includes('--tls-cert') ? ['--plain-http', 'yes'] : [])
    ]
    const words = [...(where?.prefix ?? []), process.execPath, ...this.nodeFlags, ...args]
    const server = spawn(...asUsersDo(words), { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#server = server
    server.stdout.on('data', (chunk: Buffer) => (this.log += chunk.toString()))
    this.url = (await listeningUrl(server)).replace(/\/$/, '')
  }

  /** The running server's process. */
  get pid(): number | undefined {
    return this.#server?.pid
  }

  /** Tells the server to stop. @returns its exit code; null when it had to be killed, or had ended before */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const server = this.#server
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return null
    const closed = once(server, 'close') as Promise<[number | null]>
    server.kill(signal)
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_MS)
    const [code] = await closed
    clearTimeout(late)
    return code
  }

  /** Resolves when the running server has logged what matches. */
  async logged(pattern: RegExp): Promise<void> {
    const signal = AbortSignal.timeout(20_000)
    while (!pattern.test(this.log)) await once(this.#server!.stdout!, 'data', { signal })
  }

  /** Registers a host and writes its client.conf. @param url where it reaches the server */
  async addHost(name: string, url = this.url): Promise<{ username: string; password: string; uuid: string }> {
    const added = await this.cli(['client', 'add', name, '--server-url', url, '--json', ...this.folders])
    const made = JSON.parse(added.out) as { username: string; password: string; uuid: string; config: string }
    await writeFile(this.path('client.conf'), made.config, { mode: 0o600 })
    return made
  }

  /** Flags of `sync` for the host. */
  syncArgs(firewall: string): string[] {
    return [
      ...['sync', '--config', this.path('client.conf'), '--state', this.path('state')],
      ...['--log', this.path('fail2ban.log'), '--firewall', firewall]
    ]
  }

  /** Runs a command of ours. */
  async cli(args: readonly string[], options: { where?: Namespace; input?: string } = {}): Promise<Ended> {
    return execute([...(options.where?.prefix ?? []), process.execPath, BIN, ...args], options.input)
  }

  /** A server-side list as it lies on the disk. */
  async list(host: string, jail: string): Promise<BlocklistEntry[]> {
    const text = await readFile(this.path('archive', host, 'blocklists', `${jail}.blocklist.json`), 'utf8')
    return JSON.parse(text) as BlocklistEntry[]
  }

  /** archive/update.json. */
  async index(): Promise<unknown> {
    return JSON.parse(await readFile(this.path('archive', 'update.json'), 'utf8'))
  }
}

/** Runs a program to its end. */
export async function execute(words: readonly string[], input = ''): Promise<Ended> {
  const child = spawn(...asUsersDo(words), { stdio: ['pipe', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}
