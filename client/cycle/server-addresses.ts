import { lookup } from 'node:dns/promises'
import * as Type from 'typebox'
import { parseAddress, type Address } from '../../common/address.js'
import type { JsonFiles, JsonKind } from '../../common/json-file.js'
import { shapeCheck } from '../../common/shapes.js'

const KNOWN: JsonKind<Record<string, string[]>> = {
  check: shapeCheck(Type.Record(Type.String(), Type.Array(Type.String()))),
  empty: () => ({}),
  corrupt: 'set-aside',
  mode: 0o640,
  rows: false
}

/**
 * The addresses of this host's server, which are never blocked (sync-contract.md §5.6). Those found last are remembered
 * and hold while a name can't be resolved: the server may be what resolves it.
 */
export class ServerAddresses {
  constructor(
    private readonly files: JsonFiles,
    private readonly path: string,
    private readonly resolve: (host: string) => Promise<string[]> = resolveHost
  ) {}

  /** @param urls all that the host calls; they may lead to several servers */
  async find(urls: readonly string[]): Promise<Address[]> {
    const known = (await this.files.read(this.path, KNOWN)).value
    const found: Record<string, string[]> = {}
    for (const host of hostsOf(urls)) {
      const texts = await this.resolve(host).catch(() => [])
      found[host] = texts.length > 0 ? [...new Set(texts)].sort() : (known[host] ?? [])
    }
    if (JSON.stringify(found) !== JSON.stringify(known)) {
      await this.files.change(this.path, KNOWN, () => ({ value: found, result: undefined }))
    }
    return Object.values(found).flatMap(texts => texts.flatMap(text => parseAddress(text) ?? []))
  }
}

/** The addresses the URLs lead to now; nothing is remembered. */
export async function serverAddresses(urls: readonly string[]): Promise<Address[]> {
  const found = await Promise.all(hostsOf(urls).map(host => resolveHost(host).catch(() => [])))
  return found.flat().flatMap(text => parseAddress(text) ?? [])
}

function hostsOf(urls: readonly string[]): string[] {
  return [...new Set(urls.map(url => new URL(url).hostname.replace(/^\[|\]$/g, '')))]
}

async function resolveHost(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(item => item.address)
}
