import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BIN, Installation } from '../support/installation.js'
import { asUsersDo } from '../support/processes.js'
import { entriesOf, ipsOf, writeList } from './addresses.js'
import { loadUpdate } from './update-requests.js'

const TOP = 20

/** A function, and what it took: milliseconds or bytes. */
interface Share {
  name: string
  own: number
}

interface Frame {
  functionName: string
  url: string
  lineNumber: number
}

/**
 * What costs, by the functions that cost it, as text into PROFILES.md: a cold cycle of the client with nothing to do, one
 * with a list of 10,000, and a server that answers polls. By Node.js' own profiler; time and memory in runs of their own.
 */
export async function writeProfiles(path: string): Promise<void> {
  const at = new Installation(await mkdtemp(join(tmpdir(), 'f2b-profile-')))
  try {
    const parts: string[] = []
    for (const kind of ['cpu', 'heap'] as const) parts.push(...(await profiles(at, kind)))
    await writeFile(
      path,
      ['# Profiles', 'By `npm run bench -- profiles`. Self time or self size, largest first.', ...parts].join(
        '\n\n'
      ) + '\n'
    )
  } finally {
    await rm(at.dir, { recursive: true, force: true })
  }
}

async function profiles(at: Installation, kind: 'cpu' | 'heap'): Promise<string[]> {
  const folder = (name: string) => at.path(`${kind}-${name}`)
  at.nodeFlags = flagsOf(kind, folder('update.php'))
  await at.serve()
  const who = await at.addHost('web-1')
  await writeFile(at.path('fail2ban.log'), '')
  const cycle = async (name: string) => {
    const words = [process.execPath, ...flagsOf(kind, folder(name)), BIN, ...at.syncArgs('dry-run')]
    const child = spawn(...asUsersDo(words), { stdio: 'ignore' })
    await once(child, 'close')
  }
  await cycle('first')
  await cycle('idle')
  await writeList(at, entriesOf(ipsOf(10_000), { active: true, pending: true }))
  await cycle('full')
  await rm(at.path('archive', 'web-1', 'blocklists'), { recursive: true })
  await loadUpdate(at, who)
  await at.stop()
  const what = kind === 'cpu' ? 'CPU' : 'allocations'
  const texts = [
    [`${what}: cycle, nothing to do`, await summary(folder('idle'), kind)],
    [`${what}: cycle, 10000 new addresses (firewall only played)`, await summary(folder('full'), kind)],
    [`${what}: server, update.php, 64 connections, 5 s`, await summary(folder('update.php'), kind)]
  ] as const
  await rm(at.path('archive'), { recursive: true, force: true })
  await rm(at.path('settings'), { recursive: true, force: true })
  await rm(at.path('state'), { recursive: true, force: true })
  return texts.flatMap(([title, text]) => [`## ${title}`, text])
}

const flagsOf = (kind: 'cpu' | 'heap', folder: string) => [`--${kind}-prof`, `--${kind}-prof-dir`, folder]

async function summary(folder: string, kind: 'cpu' | 'heap'): Promise<string> {
  await mkdir(folder, { recursive: true })
  const [name] = (await readdir(folder)).sort()
  if (name === undefined) throw new Error(`no profile in ${folder}`)
  const text = await readFile(join(folder, name), 'utf8')
  const shares =
    kind === 'cpu' ? cpuShares(JSON.parse(text) as CpuProfile) : heapShares(JSON.parse(text) as HeapProfile)
  const all = shares.reduce((sum, { own }) => sum + own, 0)
  const unit =
    kind === 'cpu'
      ? (own: number) => `${own.toFixed(1)} ms`
      : (own: number) => `${(own / 1024).toFixed(0)} KiB`
  const rows = shares
    .sort((a, b) => b.own - a.own)
    .slice(0, TOP)
    .map(({ name, own }) => `| ${unit(own)} | ${((own / all) * 100).toFixed(1)} % | \`${name}\` |`)
  return [`In all ${unit(all)}.\n`, '| self | share | function |', '| ---: | ---: | --- |', ...rows].join(
    '\n'
  )
}

interface CpuProfile {
  nodes: { id: number; callFrame: Frame }[]
  samples: number[]
  timeDeltas: number[]
}

function cpuShares({ nodes, samples, timeDeltas }: CpuProfile): Share[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const own = new Map<string, number>()
  samples.forEach((id, at) => {
    const name = names.get(id) ?? ''
    if (name !== '(idle)') own.set(name, (own.get(name) ?? 0) + (timeDeltas[at] ?? 0) / 1000)
  })
  return [...own].map(([name, own]) => ({ name, own }))
}

interface HeapNode {
  callFrame: Frame
  selfSize: number
  children: HeapNode[]
}
interface HeapProfile {
  head: HeapNode
}

function heapShares({ head }: HeapProfile): Share[] {
  const own = new Map<string, number>()
  const open = [head]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const name = nameOf(node.callFrame)
    own.set(name, (own.get(name) ?? 0) + node.selfSize)
    open.push(...node.children)
  }
  return [...own].map(([name, own]) => ({ name, own }))
}

/** Function and file; a path of this machine is of no use to others. */
function nameOf({ functionName, url, lineNumber }: Frame): string {
  const path = url.startsWith('file:') ? relative(resolve('.'), fileURLToPath(url)) : url
  const file = path.replace(/^.*node_modules\//, '').replace(/-[\w-]{8}\.js$/, '.js')
  if (file === '') return functionName || '(anonymous)'
  return `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`
}
