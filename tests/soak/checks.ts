import { createHash } from 'node:crypto'
import { lstat, readFile, readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { asksForBlock, type BlocklistEntry } from '../../common/shapes.js'
import { stampOf } from './installation.js'
import { nameOf, type Subject } from './model.js'
import { HOSTS, JAILS, type Soak } from './soak.js'
import { tellingOf } from './trail.js'

/** Longer than a dead holder's lock is waited for, and than servers wait between two cleanings. */
const CLEAN_MS = 60_000

/**
 * What must hold once everything has come to rest and each host has had two whole cycles.
 * @returns what does not hold, in words; the model takes over what is in force where a reply was lost
 */
export async function brokenPromises(soak: Soak): Promise<string[]> {
  const broken = [...(await filesBroken(soak)), ...(await whitelistBroken(soak))]
  for (const host of HOSTS) broken.push(...(await hostBroken(soak, host)))
  return broken
}

/** Makes what lies about look old, so that nobody has to wait until it counts as abandoned. */
export async function ageLeftovers(soak: Soak): Promise<void> {
  const past = new Date(Date.now() - 86_400_000)
  for (const path of await filesBelow(soak.at.dir)) {
    const left = /\/server\/(temp|download)\//.test(path) || /\.json\.\d+$/.test(path)
    if (left) await utimes(path, past, past).catch(() => undefined)
  }
}

async function filesBroken(soak: Soak): Promise<string[]> {
  const broken: string[] = []
  const until = performance.now() + CLEAN_MS
  let left = await leftovers(soak)
  while (left.length > 0 && performance.now() < until) {
    await delay(200)
    left = await leftovers(soak)
  }
  if (left.length > 0) broken.push(`left behind: ${left.join(', ')}`)
  for (const path of await filesBelow(soak.at.dir)) {
    if (path.includes('.corrupt-')) broken.push(`a corrupt file was set aside: ${path}`)
    if (!path.endsWith('.json')) continue
    try {
      JSON.parse(await readFile(path, 'utf8'))
    } catch (error) {
      broken.push(`${path}: ${String(error)}`)
    }
  }
  const index = await readFile(soak.at.server('archive', 'update.json'), 'utf8').catch(() => '{}')
  if (index.trim() !== '{}') broken.push(`update.json still says ${index}`)
  return broken
}

async function whitelistBroken(soak: Soak): Promise<string[]> {
  const text = (await textOf(soak.at.server('archive', 'whitelist.json'))) || '[]'
  const entries = JSON.parse(text) as { ip: string; servers?: string[] }[]
  const hostsOf = (servers: string[] = []) => new Set(servers.length === 0 ? HOSTS : servers)
  const broken = soak.whitelisting.settle(new Map(entries.map(({ ip, servers }) => [ip, hostsOf(servers)])))
  const { missing } = await soak.trail.missing('', soak.at.server('archive', 'audit.jsonl'))
  return [...broken, ...missing]
}

/**
 * Locks, half-written copies, uploads and downloads, and notes of changes whose audit rows are to come. Not the marks of
 * servers: those that run have theirs, and a killed one's goes within a minute (tests/server/store/serving.test.ts).
 */
async function leftovers(soak: Soak): Promise<string[]> {
  const all = await readdir(soak.at.dir, { recursive: true, withFileTypes: true })
  return all
    .filter(item => {
      const passing = /\/server\/(temp|download)(\/|$)/.test(item.parentPath)
      const mark = item.name.startsWith('.serving-')
      const open = (item.name.endsWith('.lock') && !mark) || item.name.startsWith('audit-open-')
      return open || /\.json\.\d+$/.test(item.name) || (passing && item.isFile() && item.name !== '.htaccess')
    })
    .map(item => join(item.parentPath, item.name))
}

async function hostBroken(soak: Soak, host: string): Promise<string[]> {
  const { at, model } = soak
  const broken: string[] = []
  const wanted = new Set<string>()
  const blocked = new Map<string, BlocklistEntry>()
  const trail = await soak.trail.missing(host, at.server('archive', host, 'audit.jsonl'))
  const listed: [string, object][] = []
  broken.push(...trail.missing)
  for (const jail of JAILS) {
    const name = `${jail}.blocklist.json`
    const server = await textOf(at.server('archive', host, 'blocklists', name))
    const client = await textOf(at.host(host, 'state', 'blocklists', name))
    if (server !== client)
      broken.push(`${host} ${jail}: the server's list (${sum(server)}) is not the host's (${sum(client)})`)
    const entries = JSON.parse(server === '' ? '[]' : server) as BlocklistEntry[]
    listed.push(...tellingOf(jail, entries))
    for (const entry of entries) {
      if (entry.pending === true) broken.push(`${host} ${jail} ${entry.ip} is still pending`)
      if (!asksForBlock(entry, Date.now())) continue
      wanted.add(entry.ip)
      blocked.set(nameOf({ host, jail, ip: entry.ip }), entry)
    }
  }
  const [told, are] = [[...trail.told], listed].map(all => all.map(one => JSON.stringify(one)).sort())
  const untold = are!.filter(one => !told!.includes(one))
  const gone = told!.filter(one => !are!.includes(one))
  if (untold.length + gone.length > 0)
    broken.push(`${host}: the trail doesn't tell of ${untold.join()}, and tells of ${gone.join()}`)
  const firewall = JSON.parse(
    (await textOf(at.host(host, 'state', 'dry-run-firewall.json'))) || '[]'
  ) as string[]
  if (firewall.sort().join() !== [...wanted].sort().join()) {
    broken.push(`${host}: the lists want ${[...wanted].sort().join()}, the firewall has ${firewall.join()}`)
  }
  const now = Date.now()
  for (const subject of model.subjects.filter(one => one.host === host)) {
    const found = blocked.has(nameOf(subject)) ? 'block' : 'unblock'
    const covered = soak.whitelisting.covers(host, subject.ip)
    if (!model.allowed(subject, now, covered).has(found)) broken.push(lostAction(subject, found))
    model.settle(subject, found)
  }
  broken.push(...(await eventsBroken(soak, host)))
  return broken
}

function lostAction(subject: Subject, found: string): string {
  const was = `known ${subject.known}, maybe ${subject.maybe?.wish ?? 'nothing'}`
  return [`${nameOf(subject)}: found ${found}; ${was}`, ...subject.history].join('\n  ')
}

/** Every event once, in order. */
async function eventsBroken(soak: Soak, host: string): Promise<string[]> {
  const logged = soak.at.logged.get(host)!
  const events = await soak.at.events(host).catch(() => [])
  if (events.length !== logged)
    return [`${host}: ${logged} events were logged, the server has ${events.length}`]
  const wrong = events.findIndex((event, at) => event.timestamp !== stampOf(at))
  return wrong < 0 ? [] : [`${host}: event ${wrong} is ${events[wrong]!.timestamp}`]
}

async function filesBelow(folder: string): Promise<string[]> {
  const all = await readdir(folder, { recursive: true })
  const files: string[] = []
  for (const path of all.map(name => join(folder, name))) {
    if ((await lstat(path).catch(() => undefined))?.isFile() === true) files.push(path)
  }
  return files
}

const textOf = (path: string) => readFile(path, 'utf8').catch(() => '')
const sum = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 8)
