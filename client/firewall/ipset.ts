import { familyOf, parseAddress, prefixOf, type Address } from '../../common/address.js'
import { outputOf, type RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { FAMILIES, afterChange, byFamily, refuseImpossible, type Family, type Hits } from './families.js'
import { readFilter, restoreRules, type FilterTable } from './iptables.js'
import { Blocks } from './blocks.js'
import type { Firewall, InForce } from './types.js'

const SETS = { 4: 'fail2ban-report-4', 6: 'fail2ban-report-6' } as const
const FAMILY_NAMES = { 4: 'inet', 6: 'inet6' } as const
const CHAINS = ['INPUT', 'FORWARD'] as const

/** Room for elements beside those there are, so that most changes of size need no other set. */
const LEAST_ROOM = 65_536

/**
 * Blocks as hash:net sets that iptables and ip6tables look up in the first rule of INPUT and FORWARD. A change
 * builds a whole set beside the one in use and swaps the two: the kernel takes single additions one by one, and a
 * failure among them would leave half a batch.
 */
export class IpsetFirewall implements Firewall {
  readonly name = 'ipset'

  constructor(private readonly run: RunCommand) {}

  /** True when our sets are there. @throws ProductError COMMAND when ipset or iptables don't work */
  async installed(): Promise<boolean> {
    const names = await this.#setNames()
    for (const family of FAMILIES) await readFilter(this.run, family)
    return FAMILIES.some(family => names.has(SETS[family]))
  }

  cannot(block: Address): string | undefined {
    return prefixOf(block) === 0 ? `an ipset cannot hold all of IPv${familyOf(block)}` : undefined
  }

  async list(): Promise<InForce> {
    const own = new Blocks()
    const names = await this.#setNames()
    for (const family of FAMILIES) {
      const held = await this.#held(family, names)
      // Without the rule at the first place something may accept a packet that the set would stop.
      if (held === undefined || rulesToMend(await readFilter(this.run, family), family) !== '') continue
      for (const block of held.keys()) own.add(block)
    }
    return { own, alike: new Set() }
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined> {
    refuseImpossible(this, add)
    const adds = byFamily(add)
    const removes = byFamily(remove)
    const names = await this.#setNames()
    const build: string[] = []
    const swap: string[] = []
    for (const family of FAMILIES) {
      const held = await this.#held(family, names)
      const next = `${SETS[family]}-next`
      // Left behind by a run that was killed, or by a batch that was refused.
      if (names.has(next)) build.push(`destroy ${next}`)
      if (held !== undefined && adds[family].length + removes[family].length === 0) continue
      const content = afterChange(held ?? new Map(), adds[family], removes[family])
      build.push(...setLines(held === undefined ? SETS[family] : next, family, content))
      if (held !== undefined) swap.push(`swap ${next} ${SETS[family]}`, `destroy ${next}`)
    }
    if (build.length > 0) await this.#restore([...build, ...swap])
    let written = build.length > 0
    for (const family of FAMILIES) {
      const mend = rulesToMend(await readFilter(this.run, family), family)
      if (mend === '') continue
      await restoreRules(this.run, family, mend)
      written = true
    }
    return written ? this.list() : undefined
  }

  async clear(): Promise<void> {
    const names = await this.#setNames()
    for (const family of FAMILIES) {
      const lines = rulesWithSet(await readFilter(this.run, family), family).map(rule => `-D ${rule}`)
      if (lines.length > 0) await restoreRules(this.run, family, filterText(lines))
    }
    const own = FAMILIES.flatMap(family => [SETS[family], `${SETS[family]}-next`]).filter(name =>
      names.has(name)
    )
    if (own.length > 0) await this.#restore(own.map(name => `destroy ${name}`))
  }

  async #setNames(): Promise<Set<string>> {
    return new Set((await outputOf(this.run, 'ipset', ['list', '-name'])).split('\n'))
  }

  /** Undefined when the set is not there. */
  async #held(family: Family, names: ReadonlySet<string>): Promise<Map<Address, Hits> | undefined> {
    const name = SETS[family]
    if (!names.has(name)) return undefined
    const held = new Map<Address, Hits>()
    for (const line of (await outputOf(this.run, 'ipset', ['save', name])).split('\n')) {
      const [verb, , element = '', ...rest] = line.split(' ')
      if (verb === 'create' && !line.includes(` hash:net family ${FAMILY_NAMES[family]} `)) {
        throw new ProductError('FIREWALL', `the ipset ${name} is of another kind; destroy it`)
      }
      const block = verb === 'add' ? parseAddress(element) : undefined
      if (block !== undefined)
        held.set(block, { packets: after(rest, 'packets'), bytes: after(rest, 'bytes') })
    }
    return held
  }

  async #restore(lines: readonly string[]): Promise<void> {
    await outputOf(this.run, 'ipset', ['restore'], { input: lines.join('\n') + '\n' })
  }
}

function after(words: readonly string[], name: string): number {
  const at = words.indexOf(name)
  return at < 0 ? 0 : Number(words[at + 1])
}

function setLines(name: string, family: Family, content: ReadonlyMap<Address, Hits>): string[] {
  const room = Math.max(LEAST_ROOM, content.size * 2)
  const lines = [`create ${name} hash:net family ${FAMILY_NAMES[family]} maxelem ${room} counters`]
  for (const [block, { packets, bytes }] of content) {
    lines.push(`add ${name} ${block}${packets === 0 ? '' : ` packets ${packets} bytes ${bytes}`}`)
  }
  return lines
}

function dropRule(family: Family): string {
  return `-m set --match-set ${SETS[family]} src -j DROP`
}

/** Rules that use our set, with their chain, wherever somebody put them. */
function rulesWithSet(table: FilterTable, family: Family): string[] {
  return [...table].flatMap(([chain, rules]) =>
    rules.filter(rule => rule.includes(`--match-set ${SETS[family]} `)).map(rule => `${chain} ${rule}`)
  )
}

/** What to load so that the drop rule stands once and first in each chain; empty when it does. */
function rulesToMend(table: FilterTable, family: Family): string {
  const rule = dropRule(family)
  const lines: string[] = []
  for (const chain of CHAINS) {
    const rules = table.get(chain) ?? []
    const copies = rules.filter(item => item === rule).length
    if (copies === 1 && rules[0] === rule) continue
    for (let left = copies; left > 0; left--) lines.push(`-D ${chain} ${rule}`)
    lines.push(`-I ${chain} 1 ${rule}`)
  }
  return lines.length === 0 ? '' : filterText(lines)
}

function filterText(lines: readonly string[]): string {
  return `*filter\n${lines.join('\n')}\nCOMMIT\n`
}
