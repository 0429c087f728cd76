import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { serialise } from '../../common/json-file.js'
import type { Installation } from '../support/installation.js'

const STAMP = '2026-11-01T00:00:00+00:00'

/** Different public addresses. */
export function ipsOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${11 + (n >> 14)}.${(n >> 7) & 127}.${n & 127}.9`)
}

/** Entries of a blocklist. */
export function entriesOf(
  ips: readonly string[],
  { active, pending }: { active: boolean; pending: boolean }
) {
  return ips.map(ip => ({
    ...{ ip, jail: 'sshd', source: 'bench', timestamp: STAMP, expires: null, reason: 'bench' },
    ...{ active, lastModified: STAMP, tags: [], pending }
  }))
}

/** Puts a list for the host web-1 onto the server's disk; a host that tells what it holds fetches it when it next asks. */
export async function writeList(at: Installation, entries: readonly object[]): Promise<void> {
  const folder = at.path('archive', 'web-1', 'blocklists')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'sshd.blocklist.json'), serialise(entries, true))
}
