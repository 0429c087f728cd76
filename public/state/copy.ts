import { signal } from '@preact/signals'
import { addressIn } from '../data/address-in-copy.js'
import type { Columns, Entries, Overview, Warnings, Whitelist } from '../data/shapes.js'

/** What a copy without a server has (server/store/static-copy.ts). */
interface CopyIndex {
  made: string
  files: Record<string, string>
}

/** True where the page's questions are answered by files beside it. */
export const isCopy = document.querySelector<HTMLMetaElement>('meta[name=answers]')?.content === 'files'
/** When the copy was made (ISO 8601); empty until it is known. */
export const copyMade = signal('')

let index: Promise<CopyIndex> | undefined

/** Who looks at a copy: nobody in particular, who may change nothing. */
const READER = {
  user: '',
  role: 'viewer',
  csrf: '',
  expires: { idle: '9999-12-31T00:00:00Z', absolute: '9999-12-31T00:00:00Z' }
}

/**
 * Answers a question to the API from the copy's files. @param path as for the API
 * @returns undefined for what the copy does not have
 * @throws what `fetch` throws when the files can't be had
 */
export async function fromCopy(path: string): Promise<unknown> {
  if (path === 'session') return READER
  const [name = '', search = ''] = path.split('?')
  const params = new URLSearchParams(search)
  const found = await file(path)
  if (found !== undefined) return found
  if (name === 'warnings') return warnings(params)
  if (name === 'address') return addressIn(params.get('ip') ?? '', await everything())
  return undefined
}

async function file(path: string): Promise<unknown> {
  index ??= readJson('data/index.json') as Promise<CopyIndex>
  const known = await index.catch((error: unknown) => {
    index = undefined
    throw error
  })
  copyMade.value = known.made
  const name = Object.hasOwn(known.files, path) ? known.files[path] : undefined
  return name === undefined ? undefined : readJson(`data/${name}`)
}

async function readJson(path: string): Promise<unknown> {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`)
  return response.json()
}

/** Those of a day are there for all servers together. */
async function warnings(params: URLSearchParams): Promise<Warnings | undefined> {
  const day = params.get('day') ?? ((await file('servers')) as Overview).today
  const all = (await file(`warnings?day=${day}`)) as Warnings | undefined
  const server = params.get('server')
  return all && { ...all, warnings: all.warnings.filter(one => server === null || one.server === server) }
}

/** All events, lists and the whitelist, read when somebody asks for one address. */
async function everything() {
  await file('servers')
  const { files } = (await index) ?? { files: {} }
  const all = async <T>(name: string) =>
    Promise.all(
      Object.keys(files)
        .filter(path => path.startsWith(`${name}?`))
        .map(path => file(path) as Promise<T>)
    )
  return {
    columns: await all<Columns>('columns'),
    lists: await all<Entries>('blocklists'),
    whitelist: ((await file('whitelist')) as Whitelist).entries
  }
}
