import { setTimeout as delay } from 'node:timers/promises'
import { AddressSet, parseAddress, type Address } from '../../common/address.js'
import { ProductError } from '../../common/errors.js'
import { findDropIn, putDropIn, type DropIn } from './drop-in.js'
import type { Fail2ban } from './fail2ban.js'

/** From this version on `ignoreip = file:/path` works, and the file is read again when it changes. */
const READS_FILES = [1, 1, 1]
/** A ban that was decided on before the jail knew the whitelist is carried out within a second. */
const LATE_BANS_MS = 1200

export interface HonourOptions {
  /** What is never to be banned. */
  addresses: readonly Address[]
  /** The file that holds them. */
  path: string
  /** What running jails may ignore for our sake by now. */
  before: readonly string[]
  /** Told, before anything is changed, what jails may ignore for our sake from now on. */
  intend: (items: readonly string[]) => Promise<void>
  /** Lets fail2ban read all its settings again instead of telling the running jails. */
  reload: boolean
  /** Milliseconds until bans are looked for once more. */
  lateBans?: number
}

/** How a whitelist was made to hold. */
export interface Honoured {
  /** What each jail now ignores for our sake. */
  items: string[]
  /** Bans that were lifted. */
  lifted: string[]
  /** Whether there was a running fail2ban to be told. */
  running: boolean
}

/**
 * Makes fail2ban ignore addresses (fail2ban-facts.md "A whitelist that fail2ban honours"): at every start by a drop-in
 * beside the operator's settings, at once by telling the running jails; and lifts bans of them. What the operator has
 * in ignoreip stays, and so do bans of other addresses.
 * @throws ProductError COMMAND, DISK: it is to be tried again
 */
export async function honour(fail2ban: Fail2ban, options: HonourOptions): Promise<Honoured> {
  const version = await fail2ban.version()
  if (version === undefined) return { items: [], lifted: [], running: false }
  const { items, dropIn } = await chooseItems(fail2ban, version, options)
  await options.intend([...new Set([...options.before, ...items])])
  const changed = await putDropIn(fail2ban.place.config, dropIn.files)
  if (!(await fail2ban.isRunning())) return { items, lifted: [], running: false }
  if (options.reload && changed) await fail2ban.ask('reload')
  for (const jail of await fail2ban.jails()) {
    await tell(fail2ban, jail, items, options.before, dropIn.operators.get(jail))
  }
  return { items, lifted: await lift(fail2ban, options), running: true }
}

async function chooseItems(
  fail2ban: Fail2ban,
  version: readonly number[],
  { addresses, path }: HonourOptions
): Promise<{ items: string[]; dropIn: DropIn }> {
  // In a list of words, as ignoreip is, a path can't hold what parts them.
  if (addresses.length > 0 && isAtLeast(version, READS_FILES) && /^[\w./-]+$/.test(path)) {
    const items = [`file:${path}`]
    const dropIn = await findDropIn(fail2ban, items).catch(() => undefined)
    if (dropIn !== undefined) return { items, dropIn }
  }
  const items = [...addresses]
  return { items, dropIn: await findDropIn(fail2ban, items) }
}

async function tell(
  fail2ban: Fail2ban,
  jail: string,
  items: readonly string[],
  before: readonly string[],
  operators: ReadonlySet<string> = new Set()
): Promise<void> {
  const now = await fail2ban.ignored(jail)
  const wanted = new Set(items)
  const more = items.filter(item => !now.has(item))
  const less = before.filter(item => now.has(item) && !wanted.has(item) && !operators.has(item))
  if (more.length + less.length === 0) return
  await fail2ban.ignore(jail, more)
  await fail2ban.heed(jail, less)
  const then = await fail2ban.ignored(jail)
  const wrong = [...items.filter(item => !then.has(item)), ...less.filter(item => then.has(item))]
  if (wrong.length > 0) {
    throw new ProductError(
      'COMMAND',
      `jail ${jail} did not take ${wrong.length} change(s) of what it ignores`
    )
  }
}

async function lift(fail2ban: Fail2ban, options: HonourOptions): Promise<string[]> {
  if (options.addresses.length === 0) return []
  const set = new AddressSet(options.addresses)
  const once = async (): Promise<string[]> => {
    const all = new Set([...(await fail2ban.banned()).values()].flat())
    const hit = [...all].filter(id => {
      const ip = parseAddress(id)
      return ip !== undefined && set.overlapping(ip) !== undefined
    })
    await fail2ban.unban(hit)
    return hit
  }
  const lifted = await once()
  await delay(options.lateBans ?? LATE_BANS_MS)
  return [...lifted, ...(await once())]
}

function isAtLeast(version: readonly number[], least: readonly number[]): boolean {
  for (const [at, number] of least.entries()) {
    const own = version[at] ?? 0
    if (own !== number) return own > number
  }
  return true
}
