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
  /** Whether anything had to be done. */
  changed: boolean
  /** Jails that are switched on but do not run, as while fail2ban starts; undefined when it does not run at all. */
  absent: readonly string[] | undefined
  /** Whether fail2ban is there at all. */
  installed: boolean
}

/**
 * Makes fail2ban ignore addresses (fail2ban-facts.md "A whitelist that fail2ban honours"): at every start by a drop-in
 * beside the operator's settings, at once by telling the running jails; and lifts bans of them. What the operator has
 * in ignoreip stays, and so do bans of other addresses.
 * @throws ProductError COMMAND, DISK: it is to be tried again
 */
export async function honour(fail2ban: Fail2ban, options: HonourOptions): Promise<Honoured> {
  const { addresses, before } = options
  let changed = false
  if (addresses.length === 0) {
    // Nothing but the operator's own settings is left by this: it needs no trial, nor fail2ban itself.
    await options.intend(before)
    changed = await putDropIn(fail2ban.place.config, new Map())
  }
  const version = await fail2ban.version()
  if (version === undefined)
    return { items: [...before], lifted: [], changed, absent: undefined, installed: false }
  const { items, dropIn } = await chooseItems(fail2ban, version, options)
  await options.intend([...new Set([...before, ...items])])
  changed = (await putDropIn(fail2ban.place.config, dropIn.files)) || changed
  // One that is just starting may have read its settings before: it is to be looked at again.
  if (!(await fail2ban.isRunning()))
    return { items: [...before, ...items], lifted: [], changed, absent: undefined, installed: true }
  if (options.reload && changed) await fail2ban.ask('reload')
  const jails = await fail2ban.jails()
  for (const jail of jails) {
    changed = (await tell(fail2ban, jail, items, before, dropIn.operators.get(jail))) || changed
  }
  const lifted = await lift(fail2ban, options)
  const absent = [...dropIn.operators.keys()].filter(jail => !jails.includes(jail))
  return { items, lifted, changed: changed || lifted.length > 0, absent, installed: true }
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

/** @returns whether anything had to be changed */
async function tell(
  fail2ban: Fail2ban,
  jail: string,
  items: readonly string[],
  before: readonly string[],
  operators: ReadonlySet<string> = new Set()
): Promise<boolean> {
  const now = await fail2ban.ignored(jail)
  const wanted = new Set(items)
  const more = items.filter(item => !now.has(item))
  const less = before.filter(item => now.has(item) && !wanted.has(item) && !operators.has(item))
  if (more.length + less.length === 0) return false
  await fail2ban.ignore(jail, more)
  await fail2ban.heed(jail, less, [...now, ...more])
  const then = await fail2ban.ignored(jail)
  const wrong = [...items.filter(item => !then.has(item)), ...less.filter(item => then.has(item))]
  if (wrong.length > 0) {
    throw new ProductError(
      'COMMAND',
      `jail ${jail} did not take ${wrong.length} change(s) of what it ignores`
    )
  }
  return true
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
