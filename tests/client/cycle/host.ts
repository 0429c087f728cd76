import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { runCycle, type CycleResult, type Link, type Step } from '../../../client/cycle/cycle.js'
import { HeldLists } from '../../../client/cycle/held-lists.js'
import { KnownLists } from '../../../client/cycle/known-lists.js'
import { LocalLists } from '../../../client/cycle/local-lists.js'
import { guardOf } from '../../../client/cycle/protect.js'
import type { Guard } from '../../../client/cycle/wanted.js'
import { Blocks } from '../../../client/firewall/blocks.js'
import type { Firewall, InForce } from '../../../client/firewall/types.js'
import type { Downloaded, Offered, OutgoingFile, SyncedBack } from '../../../client/server-link.js'
import { address, type Address } from '../../../common/address.js'
import type { ProductError } from '../../../common/errors.js'
import { JsonFiles, type SetAside } from '../../../common/json-file.js'
import { listName, type ListName } from '../../../common/names.js'
import type { BlocklistEntry } from '../../../common/shapes.js'

export const NOW = Date.parse('2026-03-01T12:00:00Z')

/** The hand-over of sync-contract.md §4 in memory: what is flagged or differs from what the host holds is offered. */
export class FakeServer implements Link {
  readonly lists = new Map<string, string>()
  readonly flags = new Map<string, boolean>()
  readonly uploads = new Map<string, string>()
  /** What was called, in order. */
  readonly calls: string[] = []
  /** Calls (as in `calls`) that fail. */
  readonly failing = new Map<string, Error>()
  /** What happens while a call is answered. */
  readonly during = new Map<string, () => void>()
  /** Told by every `ask`. */
  told: Record<string, string> = {}
  /** An old server knows nothing of what a host says it holds. */
  old = false
  /** Names in a sync-back that are not taken, and why. */
  readonly refuses = new Map<string, string>()
  /** Offered beside what there is. */
  lies: Partial<Offered> = {}

  /** Writes a list and flags it, as an admin's change does. */
  change(jail: string, entries: BlocklistEntry[] | string): void {
    const text = typeof entries === 'string' ? entries : JSON.stringify(entries)
    this.lists.set(`${jail}.blocklist.json`, text)
    this.flags.set(`${jail}.blocklist.json`, true)
  }

  entries(jail: string): BlocklistEntry[] {
    return JSON.parse(this.lists.get(`${jail}.blocklist.json`) ?? '[]') as BlocklistEntry[]
  }

  async upload({ name, text }: OutgoingFile): Promise<void> {
    this.#call(`upload ${name}`)
    if (name.endsWith('.blocklist.json')) this.lists.set(name, text)
    else this.uploads.set(name, text)
  }

  async ask(told: Record<string, string>): Promise<Offered> {
    this.#call('ask')
    this.told = told
    const have = new Map(
      (told.have ?? '')
        .split(',')
        .filter(Boolean)
        .map(pair => pair.split('=') as [string, string])
    )
    const differs = ([name, text]: [string, string]) =>
      !this.old && have.get(name) !== createHash('sha256').update(text).digest('hex')
    const updates = [...this.lists]
      .filter(item => this.flags.has(item[0]) || differs(item))
      .map(([name]) => name)
    for (const name of updates) this.flags.set(name, false)
    const restore = [...have.keys()].filter(name => !this.lists.has(name))
    return {
      updates: [...updates.map(name => listName(name)), ...(this.lies.updates ?? [])],
      ...(this.old ? {} : { restore: [...restore.map(name => listName(name)), ...(this.lies.restore ?? [])] })
    }
  }

  async download(list: ListName): Promise<Downloaded | undefined> {
    this.#call(`download ${list}`)
    const text = this.flags.get(list) === false ? this.lists.get(list) : undefined
    return text === undefined ? undefined : { text, changes: false, takesChanges: false }
  }

  async syncBack(files: readonly OutgoingFile[]): Promise<SyncedBack> {
    this.#call(`syncback ${files.map(({ name }) => name).join(' ')}`)
    const taken = files.filter(({ name }) => !this.refuses.has(name))
    for (const { name, text } of taken) {
      this.lists.set(name, text)
      this.flags.delete(name)
    }
    const refused = files.flatMap(({ name }) => {
      const message = this.refuses.get(name)
      return message === undefined ? [] : [{ file: name, message }]
    })
    return { files: taken.map(({ name }) => name), refused, whole: [] }
  }

  #call(name: string): void {
    this.calls.push(name)
    this.during.get(name.split(' ')[0] ?? '')?.()
    const error = this.failing.get(name.split(' ')[0] ?? '') ?? this.failing.get(name)
    if (error !== undefined) throw error
  }
}

/** A firewall in memory, with faults. */
export class FakeFirewall implements Firewall {
  readonly name = 'dry-run'
  readonly own = new Set<Address>()
  readonly alike = new Set<Address>()
  /** Batches that were applied, in order. */
  readonly batches: { add: string[]; remove: string[] }[] = []
  /** Blocks that vanish as soon as they are made. */
  readonly vanish = new Set<string>()
  /** Blocks that this firewall has no means to hold. */
  readonly impossible = new Map<string, string>()
  fault: ProductError | undefined

  async list(): Promise<InForce> {
    return { own: new Blocks(this.own), alike: new Set(this.alike) }
  }

  async apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined> {
    this.batches.push({ add: [...add], remove: [...remove] })
    if (this.fault !== undefined) throw this.fault
    for (const block of remove) if (!this.own.delete(block)) this.alike.delete(block)
    for (const block of add) if (!this.vanish.has(block)) this.own.add(block)
    return add.length + remove.length > 0 ? this.list() : undefined
  }

  cannot(block: Address): string | undefined {
    return this.impossible.get(block)
  }

  async clear(): Promise<void> {
    this.own.clear()
  }

  /** What packets meet, sorted. */
  get blocked(): string[] {
    return [...this.own, ...this.alike].sort()
  }

  hold(...texts: string[]): void {
    for (const text of texts) this.own.add(address(text))
  }
}

/** A host with folders of its own, a server and a firewall that outlive its cycles. */
export class FakeHost {
  readonly server = new FakeServer()
  readonly firewall = new FakeFirewall()
  readonly aside: SetAside[] = []
  /** What was reported, but for the steps. */
  readonly told: { level: string; event: string; [field: string]: unknown }[] = []
  readonly steps: Step[] = []
  days: { name: string; text: string; uploaded: () => Promise<void> }[] = []
  collectFault: ProductError | undefined
  lockFault: ProductError | undefined
  now = NOW
  guard: Guard = guardOf([address('192.0.2.10')], [address('192.0.2.80')], [], { 4: 8, 6: 19 })

  constructor(readonly dir: string) {}

  path(jail: string): string {
    return join(this.dir, 'blocklists', `${jail}.blocklist.json`)
  }

  /** One cycle, by a process that remembers nothing. @param killedAfter the step it doesn't survive */
  async cycle(killedAfter?: Step): Promise<CycleResult> {
    const files = new JsonFiles({ clock: () => this.now, onSetAside: event => this.aside.push(event) })
    return runCycle({
      link: this.server,
      lists: new LocalLists(
        files,
        join(this.dir, 'blocklists'),
        new KnownLists(files, join(this.dir, 'known-lists.json'))
      ),
      held: new HeldLists(files, join(this.dir, 'held-lists.json')),
      firewall: this.firewall,
      guard: this.guard,
      events: {
        collect: async () => {
          if (this.collectFault !== undefined) throw this.collectFault
          return { newEvents: this.days.length, changed: this.days }
        }
      },
      told: { version: 'test' },
      clock: () => this.now,
      report: (level, fields) => {
        if (fields.event !== 'step') this.told.push({ level, ...fields })
      },
      lock: {
        check: async () => {
          if (this.lockFault !== undefined) throw this.lockFault
        }
      },
      onStep: step => {
        this.steps.push(step)
        if (step === killedAfter) throw new Error('killed here')
      }
    })
  }
}
