import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { ProductError } from '../../common/errors.js'
import { runUntilStopped } from '../../common/stop-signals.js'
import type { Terminal } from './context.js'
import { listeningUrl } from './spawned-server.js'

const HOST = 'demo-host'
const ATTACKER = '203.0.113.66'

/** `demo`: the whole loop on this machine, without root, each step shown. */
export function addDemoCommand(program: Command, terminal: Terminal): void {
  program
    .command('demo')
    .description('run the whole loop here, without root: server, host, log, block, sync')
    .option('--once', 'end after the loop instead of keeping the server up')
    .addHelpText('after', '\nExample:\n  fail2ban-report demo --once')
    .action(async (flags: { once?: boolean }) =>
      runUntilStopped(async stop => {
        const folder = await mkdtemp(join(tmpdir(), 'fail2ban-report-demo-'))
        const demo = new Demo(folder, terminal, stop)
        try {
          await demo.run()
          if (flags.once !== true) await demo.keepUp()
        } catch (error) {
          // Told to stop in the middle of a step: what broke off is no failure.
          if (!stop.aborted) throw error
        } finally {
          await demo.end()
          await rm(folder, { recursive: true, force: true, maxRetries: 5 })
          terminal.out('The demo has ended; its folder is removed.')
        }
      })
    )
}

class Demo {
  #server: ChildProcess | undefined

  constructor(
    private readonly folder: string,
    private readonly terminal: Terminal,
    private readonly stop: AbortSignal
  ) {}

  async run(): Promise<void> {
    const { terminal } = this
    this.#say(1, `a server on loopback, with fresh folders in ${this.folder}`)
    const url = await this.#startServer()
    terminal.out(`   it listens on ${url}`)

    const password = randomBytes(12).toString('base64url')
    await this.#cli(['user', 'add', 'demo', '--role', 'admin'], password)
    this.#say(2, `an admin for the page: user "demo", password "${password}" (made for this run)`)

    this.#say(3, `a host: fail2ban-report client add ${HOST}`)
    const added = await this.#cli(['client', 'add', HOST, '--server-url', url.replace(/\/$/, ''), '--json'])
    const config = join(this.folder, 'client.conf')
    await writeFile(config, (JSON.parse(added) as { config: string }).config, { mode: 0o600 })

    const log = join(this.folder, 'fail2ban.log')
    await writeFile(log, demoLog(new Date()))
    this.#say(4, 'a fail2ban.log as a host writes it, and one cycle of the host: its events reach the server')
    const sync = [
      'sync',
      '--config',
      config,
      '--log',
      log,
      '--state',
      join(this.folder, 'state'),
      '--firewall',
      'dry-run'
    ]
    await this.#show(sync)

    this.#say(5, `a block made on the server: fail2ban-report block ${ATTACKER} --server ${HOST} --jail sshd`)
    await this.#show(['block', ATTACKER, '--server', HOST, '--jail', 'sshd', '--reason', 'demo'])
    await this.#show(['list', '--server', HOST])

    this.#say(
      6,
      'the next cycle of the host puts it in force (in a firewall that is only played) and says so'
    )
    await this.#show(sync)
    await this.#show(['list', '--server', HOST])
    await this.#show(['status'])
    terminal.out('Done: pending became active.')
  }

  async keepUp(): Promise<void> {
    this.terminal.out('The server stays up; look at its page, and end it with Ctrl-C.')
    const server = this.#server
    if (server === undefined || this.stop.aborted) return
    if (!hasEnded(server)) await once(server, 'exit', { signal: this.stop })
    throw new ProductError('COMMAND', 'the server has ended by itself')
  }

  async end(): Promise<void> {
    const server = this.#server
    if (server === undefined || hasEnded(server)) return
    const gone = once(server, 'exit')
    server.kill('SIGTERM')
    await gone
  }

  #say(step: number, text: string): void {
    this.terminal.out(`\n${step}. ${text}`)
  }

  async #show(args: readonly string[]): Promise<void> {
    const output = await this.#cli(args)
    this.terminal.out(output.trimEnd().replaceAll(/^/gm, '   '))
  }

  async #startServer(): Promise<string> {
    const server = spawn(process.execPath, [own(), 'serve', '--port', '0'], {
      env: this.#env(),
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#server = server
    return listeningUrl(server)
  }

  /** Runs one command of ours. @returns its standard output */
  async #cli(args: readonly string[], input = ''): Promise<string> {
    const child = spawn(process.execPath, [own(), ...args], {
      env: this.#env(),
      stdio: ['pipe', 'pipe', 'pipe'],
      signal: this.stop
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new ProductError('COMMAND', `${args[0] ?? ''}: ${err.trim()}`)
    return out
  }

  #env(): NodeJS.ProcessEnv {
    const at = (name: string) => join(this.folder, name)
    return {
      PATH: process.env.PATH,
      // Nothing of a server that is installed here.
      F2BR_SERVER_CONFIG: '/dev/null',
      F2BR_ARCHIVE: at('archive'),
      F2BR_DOWNLOAD: at('download'),
      F2BR_TEMP: at('temp'),
      F2BR_SETTINGS: at('settings')
    }
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** The program that is running: the demo's processes are the real ones. */
function own(): string {
  return process.argv[1] ?? ''
}

/** Two hours of a busy sshd jail up to `end`, in fail2ban's own form and local time. */
function demoLog(end: Date): string {
  const lines: string[] = []
  const at = (minutesAgo: number, logger: string, level: string, message: string) => {
    const time = new Date(end.getTime() - minutesAgo * 60_000)
    const two = (value: number, width = 2) => String(value).padStart(width, '0')
    const stamp =
      `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ` +
      `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())},${two(time.getMilliseconds(), 3)}`
    lines.push(`${stamp} ${logger.padEnd(24)}[4242]: ${level.padEnd(7)} ${message}`)
    return stamp.slice(0, 19)
  }
  const attackers = [ATTACKER, '198.51.100.7', '198.51.100.23', '203.0.113.5', '2001:db8:66::1']
  attackers.forEach((ip, index) => {
    const start = 120 - index * 20
    for (let tries = 0; tries < 5; tries++) {
      at(start - tries * 0.1, 'fail2ban.filter', 'INFO', `[sshd] Found ${ip} - attempt`)
    }
    at(start - 1, 'fail2ban.actions', 'NOTICE', `[sshd] Ban ${ip}`)
    if (index % 2 === 0) at(start - 11, 'fail2ban.actions', 'NOTICE', `[sshd] Unban ${ip}`)
  })
  at(15, 'fail2ban.actions', 'NOTICE', `[sshd] Ban ${ATTACKER}`)
  at(15, 'fail2ban.observer', 'NOTICE', `[sshd] Increase Ban ${ATTACKER} (2 # 0:20:00 -> later)`)
  return lines.join('\n') + '\n'
}
