import { parseAddress, type Address } from '../../common/address.js'
import { outputOf, type CommandOptions, type CommandResult, type RunCommand } from '../../common/command.js'
import { ProductError, systemCode } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { readPython, type PythonValue } from './python-text.js'

/** How fail2ban is reached. */
export interface Fail2banPlace {
  /** Its folder of settings. */
  config: string
  /** Its socket; the one its settings name when empty. */
  socket: string
}

/** What a jail ignores: addresses in their one spelling, anything else (names, `file:…`) as it is. */
export type Ignored = Set<string>

const TIMES = { timeout: 60_000, outputLimit: 64 * 1024 * 1024 }
/** Words of one call: far below what the system lets an argument list have. */
const WORDS = 2000
/** Removals of one interactive run at most, and what it may print: fail2ban prints the whole list after each. */
const REMOVALS = 100
const REMOVALS_PRINT = TIMES.outputLimit / 2
/** What stands around an item where a list is printed, and more: colons that we spell shorter. */
const LINE_FRAME = 32
/** What `ping` says when there is no socket, or nobody behind it; any other failure tells nothing of its server. */
const NOT_RUNNING = /Is (?:it|fail2ban) running\?|Connection refused|No such file or directory/

/** fail2ban as its own client program shows it (fail2ban-facts.md), run with argument arrays. */
export class Fail2ban {
  constructor(
    private readonly run: RunCommand,
    readonly place: Fail2banPlace
  ) {}

  /**
   * Version as numbers, such as [1, 0, 2]; undefined when fail2ban is not installed.
   * @throws ProductError COMMAND when it is, but does not say
   */
  async version(): Promise<number[] | undefined> {
    const text = await outputOf(this.run, 'fail2ban-client', ['-V'], TIMES).catch((error: unknown) => {
      if (error instanceof ProductError && systemCode(error.cause) === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined) return undefined
    const found = /(\d+)\.(\d+)\.(\d+)/.exec(text)
    if (found === null) throw new ProductError('COMMAND', 'fail2ban-client -V names no version')
    return found.slice(1).map(Number)
  }

  /** Whether its server runs. @throws ProductError COMMAND when that can't be told */
  async isRunning(): Promise<boolean> {
    const result = await this.run('fail2ban-client', this.#words('ping'), TIMES)
    if (result.code !== 0 && !NOT_RUNNING.test(result.stdout + result.stderr)) throw failed(['ping'], result)
    return result.code === 0
  }

  /** Names of the running jails. @throws ProductError COMMAND */
  async jails(): Promise<string[]> {
    const [, list = ''] = /Jail list:[ \t]*(.*)/.exec(await this.ask('status')) ?? []
    return list.split(',').flatMap(name => (name.trim() === '' ? [] : [name.trim()]))
  }

  /** The banned ids of each running jail, as fail2ban spells them. @throws ProductError COMMAND */
  async banned(): Promise<Map<string, string[]>> {
    const result = await this.run('fail2ban-client', this.#words('banned'), TIMES)
    const found = result.code === 0 ? bannedIn(result.stdout) : undefined
    if (found !== undefined) return found
    // Before 0.10.6 there is no such command.
    const all = new Map<string, string[]>()
    for (const jail of await this.jails()) {
      const [, list = ''] = /Banned IP list:[ \t]*(.*)/.exec(await this.ask('status', jail)) ?? []
      all.set(jail, list.split(/\s+/).filter(Boolean))
    }
    return all
  }

  /** What a running jail ignores. @throws ProductError COMMAND */
  async ignored(jail: string): Promise<Ignored> {
    const lines = (await this.ask('get', jail, 'ignoreip')).split('\n')
    return new Set(lines.flatMap(line => (/^[|`]- (.+)$/.exec(line)?.[1] ?? '').trim() || []).map(spelled))
  }

  /** Makes a running jail ignore more, until it is reloaded. @throws ProductError COMMAND */
  async ignore(jail: string, items: readonly string[]): Promise<void> {
    for (const some of inPieces(items, WORDS)) await this.ask('set', jail, 'addignoreip', ...some)
  }

  /**
   * Makes a running jail ignore less, until it is reloaded.
   * @param list all it may ignore by now @throws ProductError COMMAND
   */
  async heed(jail: string, items: readonly string[], list: Iterable<string>): Promise<void> {
    let printed = 1
    for (const item of list) printed += Buffer.byteLength(item) + LINE_FRAME
    const most = Math.max(1, Math.min(REMOVALS, Math.floor(REMOVALS_PRINT / printed)))
    // One at a time is all that fail2ban takes: as lines of one interactive run, which its own parser splits.
    for (const some of inPieces(items, most)) {
      const lines = some.map(item => `set ${quoted(jail)} delignoreip ${quoted(item)}\n`)
      const input = `${lines.join('')}exit\n`
      await outputOf(this.run, 'fail2ban-client', [...this.#words(), '-i'], { ...TIMES, input })
    }
  }

  /** Lifts bans in every jail. @throws ProductError COMMAND */
  async unban(ids: readonly string[]): Promise<void> {
    for (const some of inPieces(ids, WORDS)) await this.ask('unban', ...some)
  }

  /** Bans in a running jail. fail2ban itself heeds no ignoreip here. @throws ProductError COMMAND */
  async ban(jail: string, ip: Address): Promise<void> {
    await this.ask('set', jail, 'banip', ip)
  }

  /** Lifts a ban of a running jail. @returns whether there was one @throws ProductError COMMAND */
  async unbanIn(jail: string, ip: Address): Promise<boolean> {
    return (await this.ask('set', jail, 'unbanip', ip)).trim() !== '0'
  }

  /** What each jail that is switched on would ignore after a start with a folder of settings. @throws ProductError COMMAND */
  async configured(folder: string): Promise<Map<string, Ignored>> {
    const text = await outputOf(this.run, 'fail2ban-client', ['-c', folder, '-d'], TIMES)
    const jails = new Map<string, Ignored>()
    for (const line of text.split('\n')) {
      const words = /^\['(add|set)', /.test(line) ? wordsOf(line) : undefined
      const [verb, jail = '', what, ...rest] = words ?? []
      if (verb === 'add') jails.set(jail, new Set())
      if (verb === 'set' && what === 'addignoreip') {
        for (const item of rest) jails.get(jail)?.add(spelled(item))
      }
    }
    return jails
  }

  /** Runs `fail2ban-client` with these words. @returns what it prints @throws ProductError COMMAND */
  async ask(...words: string[]): Promise<string> {
    return this.askWith(TIMES, ...words)
  }

  /** As `ask`, with limits of one's own. */
  async askWith(options: CommandOptions, ...words: string[]): Promise<string> {
    const result = await this.run('fail2ban-client', this.#words(...words), options)
    if (result.code === 0) return result.stdout
    throw failed(words, result)
  }

  #words(...words: string[]): string[] {
    const { config, socket } = this.place
    return ['-c', config, ...(socket === '' ? [] : ['-s', socket]), ...words]
  }
}

/** An address in its one spelling, anything else as it is. */
export function spelled(item: string): string {
  return parseAddress(item) ?? item
}

function failed(words: readonly string[], { stdout, stderr }: CommandResult): ProductError {
  const said = printable((stdout.trim() || stderr.trim()).replaceAll(/\s+/g, ' '), 300)
  return new ProductError('COMMAND', `fail2ban-client ${words.slice(0, 3).join(' ')}: ${said}`)
}

function bannedIn(text: string): Map<string, string[]> | undefined {
  let value: PythonValue
  try {
    value = readPython(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(value)) return undefined
  const found = new Map<string, string[]>()
  for (const jail of value) {
    if (typeof jail !== 'object' || jail === null || Array.isArray(jail)) return undefined
    for (const [name, ids] of Object.entries(jail)) {
      if (!Array.isArray(ids)) return undefined
      found.set(
        name,
        ids.filter(id => typeof id === 'string')
      )
    }
  }
  return found
}

function wordsOf(line: string): string[] | undefined {
  try {
    const value = readPython(line)
    return Array.isArray(value) ? value.map(String) : undefined
  } catch {
    return undefined
  }
}

function inPieces<T>(items: readonly T[], size: number): T[][] {
  const pieces: T[][] = []
  for (let at = 0; at < items.length; at += size) pieces.push(items.slice(at, at + size))
  return pieces
}

/** As Python's shlex, which splits an interactive line, wants it. */
function quoted(word: string): string {
  // A line break would begin another line.
  if (/[\r\n\0]/.test(word)) throw new ProductError('COMMAND', 'a name with a line break is not passed on')
  return `'${word.replaceAll("'", `'"'"'`)}'`
}
