import { readFile } from 'node:fs/promises'
import { trailFiles } from '../../server/store/audit-file.js'
import { readRow, type AuditRow } from '../../server/store/audit-row.js'
import type { BlocklistEntry } from '../../common/shapes.js'

/** Fields of an entry that the trail tells of. */
type State = { active: boolean; pending: boolean }

/** What must be on record: at least one row for every change that was acknowledged. */
export class Trail {
  /** Host, or '' for the whitelist, → what happened → how often. */
  readonly #expected = new Map<string, Map<string, number>>()
  /** Rows read at the last look. */
  rows = 0

  /** @param what `block|unblock <jail> <ip>` or `whitelist-… <entry>`: one more row of it must be there */
  expect(host: string, what: string): void {
    const all = this.#expected.get(host) ?? new Map<string, number>()
    this.#expected.set(host, all.set(what, (all.get(what) ?? 0) + 1))
  }

  /** A block with this reason must be there. One whose end has passed may be made again, with nothing to tell. */
  expectReason(host: string, reason: string, jail: string, ip: string): void {
    const all = this.#expected.get(host) ?? new Map<string, number>()
    this.#expected.set(host, all.set(`reason ${reason} ${jail} ${ip}`, 1))
  }

  /** @param path the trail's audit.jsonl @returns what isn't on record, in words, and what the trail tells of entries */
  async missing(host: string, path: string): Promise<{ missing: string[]; told: Map<string, State> }> {
    const rows = await rowsOf(path)
    this.rows += rows.length
    const found = new Map<string, number>()
    for (const what of rows.flatMap(namesOf)) found.set(what, (found.get(what) ?? 0) + 1)
    const missing = [...(this.#expected.get(host) ?? [])]
      .filter(([what, count]) => (found.get(what) ?? 0) < count)
      .map(([what, count]) => `${host}: ${count} × ${what} acknowledged, ${found.get(what) ?? 0} on record`)
    return { missing, told: retold(rows) }
  }
}

/** An entry as the trail tells it: `<jail> <ip>` → its state. */
export function tellingOf(jail: string, entries: readonly BlocklistEntry[]): Map<string, State> {
  return new Map(
    entries.map(entry => [
      `${jail} ${entry.ip}`,
      { active: entry.active !== false, pending: entry.pending === true }
    ])
  )
}

function namesOf({ what, jail, ip, after }: AuditRow): string[] {
  if (what.startsWith('whitelist-')) return [`${what} ${ip}`]
  const { reason } = (after ?? {}) as { reason?: string }
  const name = `${what} ${jail} ${ip}`
  return what === 'block' && reason != null ? [name, `reason ${reason} ${jail} ${ip}`] : [name]
}

/** Lets every row happen once more. */
function retold(rows: readonly AuditRow[]): Map<string, State> {
  const told = new Map<string, State>()
  for (const { ip, jail, after } of rows) {
    if (ip === undefined || jail === undefined || after === undefined) continue
    const name = `${jail} ${ip}`
    if (after === null) told.delete(name)
    else told.set(name, { active: true, pending: false, ...told.get(name), ...after })
  }
  return new Map([...told].map(([name, { active, pending }]) => [name, { active, pending }]))
}

/** All rows, oldest first. A line that a killed process left half written is none. */
async function rowsOf(path: string): Promise<AuditRow[]> {
  const texts = await Promise.all(
    trailFiles(path)
      .reverse()
      .map(file => readFile(file, 'utf8').catch(() => ''))
  )
  return texts
    .join('')
    .split('\n')
    .flatMap(line => readRow(line) ?? [])
}
