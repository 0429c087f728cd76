import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { familyOf, prefixOf, type Address } from '../../common/address.js'
import type { RunCommand } from '../../common/command.js'
import { ProductError, messageOf, systemCode } from '../../common/errors.js'
import { FAMILIES, byFamily, refuseImpossible, type Family } from './families.js'
import { restoreRules } from './iptables.js'
import { replaceFile } from '../replace-file.js'
import { Blocks } from './blocks.js'
import type { Firewall, InForce } from './types.js'
import { readUfwKernel, sourceOfDrop, type UfwKernel } from './ufw-kernel.js'
import { ufwLock, type TakeLock } from './ufw-lock.js'
import { USER_CHAIN, parseUfwRules, ufwRulesText, type UfwRules } from './ufw-rules.js'

/** Where ufw keeps its files. */
export interface UfwPaths {
  /** Folder of ufw.conf, user.rules and user6.rules. */
  rules: string
  /** The file with `IPV6=`. */
  defaults: string
  lock: string
}

const UFW_PATHS: UfwPaths = { rules: '/etc/ufw', defaults: '/etc/default/ufw', lock: '/run/ufw.lock' }
const FILES = { 4: 'user.rules', 6: 'user6.rules' } as const

/** One family's rules file and what the kernel makes of it. */
interface State {
  family: Family
  path: string
  text: string
  rules: UfwRules
  kernel: UfwKernel
}

/**
 * Blocks as rules of ufw, marked by a comment and placed ahead of all other user rules. Many at once: the rules
 * files are edited and loaded as one transaction for each family, as ufw does on a change; `ufw reload` would leave
 * the host open for a moment.
 *
 * ufw reads its rules before it takes its lock, so a ufw command that ran at the same moment may write back an
 * older state: the next cycle finds that and mends it.
 */
export class UfwFirewall implements Firewall {
  readonly name = 'ufw'
  readonly #paths: UfwPaths
  readonly #lock: TakeLock
  #withoutIpv6: string | undefined

  constructor(
    private readonly run: RunCommand,
    paths: Partial<UfwPaths> = {}
  ) {
    this.#paths = { ...UFW_PATHS, ...paths }
    this.#lock = ufwLock(this.#paths.lock)
  }

  /** True when ufw is enabled and its rules are in the kernel. @throws ProductError COMMAND, FIREWALL */
  async active(): Promise<boolean> {
    return (await this.#enabled()) && (await readUfwKernel(this.run, 4)).reached
  }

  cannot(block: Address): string | undefined {
    if (prefixOf(block) === 0) return 'a block of everybody is no rule but a policy of ufw'
    return familyOf(block) === 6 ? this.#withoutIpv6 : undefined
  }

  /**
   * `own` and `alike` are what is both in ufw's files and in the kernel, ahead of every rule that accepts; `behind` are
   * the other denials by other hands.
   */
  async list(): Promise<Required<InForce>> {
    return this.#locked(() => this.#list())
  }

  async #list(): Promise<Required<InForce>> {
    const found = {
      own: new Blocks(),
      alike: new Set<Address>(),
      behind: new Set<Address>()
    }
    for (const { rules, kernel } of await this.#read()) {
      for (const { block, own } of rules.parts) {
        if (block === undefined) continue
        if (kernel.dropped.has(block)) found[own ? 'own' : 'alike'].add(block)
        else if (!own) found.behind.add(block)
      }
    }
    return found
  }

  /** A member of `remove` loses all its plain denials, whoever made them. */
  async apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined> {
    const [adds, gone] = [byFamily(add), new Set(remove)]
    return this.#locked(async () => {
      const states = await this.#read()
      refuseImpossible(this, add)
      const written = await this.#change(states, ({ family, rules }) =>
        ufwRulesText(rules, family, ownAfter(rules, adds[family], gone), gone)
      )
      return written ? this.#list() : undefined
    })
  }

  async clear(): Promise<void> {
    await this.#locked(async () => {
      await this.#change(await this.#read(true), ({ family, rules }) =>
        ufwRulesText(rules, family, [], new Set())
      )
    })
  }

  async #locked<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.#lock()
    try {
      return await work()
    } finally {
      await release()
    }
  }

  async #enabled(): Promise<boolean> {
    return /^ENABLED=["']?yes["']?\s*$/im.test(await readText(join(this.#paths.rules, 'ufw.conf')))
  }

  /** Reads the families ufw looks after. @param all IPv6 also when ufw leaves it alone */
  async #read(all = false): Promise<State[]> {
    const withIpv6 = /^IPV6=["']?yes["']?\s*$/im.test(await readText(this.#paths.defaults))
    this.#withoutIpv6 = withIpv6 ? undefined : 'ufw leaves IPv6 alone (IPV6=no in /etc/default/ufw)'
    const states: State[] = []
    for (const family of FAMILIES) {
      if (family === 6 && !withIpv6 && !all) continue
      const path = join(this.#paths.rules, FILES[family])
      const text = await readText(path)
      const rules = parseUfwRules(text, family)
      if (rules === undefined) {
        throw new ProductError('FIREWALL', `${path} has no "### RULES ###" line; is ufw set up?`)
      }
      states.push({ family, path, text, rules, kernel: await readUfwKernel(this.run, family) })
    }
    return states
  }

  // The kernel first: what a crash in between leaves behind is in force, and the next apply sees the difference.
  async #change(states: readonly State[], edit: (state: State) => string): Promise<boolean> {
    const enabled = await this.#enabled()
    const changes = states.map(state => ({ ...state, next: edit(state) }))
    const undo: (() => Promise<void>)[] = []
    try {
      for (const { family, text, next, kernel } of changes) {
        const same = text === next && sameDrops(next, family, kernel)
        if (!enabled || same || (family === 6 && this.#withoutIpv6 !== undefined)) continue
        if (!kernel.reached) {
          throw new ProductError(
            'FIREWALL',
            `ufw's IPv${family} chains are not in the kernel; run "ufw reload"`
          )
        }
        await restoreRules(this.run, family, next)
        undo.push(() => restoreRules(this.run, family, text))
      }
      for (const { path, text, next } of changes) {
        if (text === next) continue
        await replaceFile(path, next)
        undo.push(() => replaceFile(path, text))
      }
      return undo.length > 0
    } catch (error) {
      const stuck: string[] = []
      for (const step of undo.reverse())
        await step().catch((reason: unknown) => stuck.push(messageOf(reason)))
      const rest = stuck.length === 0 ? '' : `; and undoing it failed: ${stuck.join('; ')}`
      throw new ProductError('FIREWALL', messageOf(error) + rest, error)
    }
  }
}

// What stands in the file alone stays too: it was lost from the kernel, and comes back with the load.
function ownAfter(rules: UfwRules, add: readonly Address[], gone: ReadonlySet<Address>): Set<Address> {
  const own = new Set<Address>()
  for (const part of rules.parts) {
    if (part.block !== undefined && part.own && !gone.has(part.block)) own.add(part.block)
  }
  for (const block of add) own.add(block)
  return own
}

function sameDrops(text: string, family: Family, kernel: UfwKernel): boolean {
  const prefix = `-A ${USER_CHAIN[family]} `
  const inFile = new Set<Address>()
  for (const line of text.split('\n')) {
    const block = line.startsWith(prefix) ? sourceOfDrop(line.slice(prefix.length)) : undefined
    if (block !== undefined) inFile.add(block)
  }
  return inFile.size === kernel.sources.size && [...inFile].every(block => kernel.sources.has(block))
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const why = systemCode(error) ?? 'unknown error'
    throw new ProductError('FIREWALL', `${path} could not be read (${why}); is ufw installed?`, error)
  }
}
