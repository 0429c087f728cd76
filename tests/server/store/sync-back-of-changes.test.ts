import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { serialise } from '../../../common/json-file.js'
import { changedRows, changedText, type RowChanges } from '../../../common/list-text.js'
import { listOfJail, serverName } from '../../../common/names.js'
import { sha256 } from '../../../common/sha256.js'
import type { BlocklistEntry } from '../../../common/shapes.js'
import type { SyncBackMode, UploadedList } from '../../../server/store/blocklists.js'
import { ownFolder } from '../../support/own-folder.js'
import { storeIn } from '../../support/store-in.js'

const [web1, sshd] = [serverName('web-1'), listOfJail('sshd')]
const HOST = { kind: 'client', name: 'web-1', from: '192.0.2.7' } as const

/** Addresses twice, in other spellings, and what is none: what old lists and other hands leave. */
const entry: fc.Arbitrary<BlocklistEntry> = fc.record(
  {
    ip: fc.constantFrom(
      '10.0.0.1',
      '10.0.0.2',
      '10.0.0.3',
      '2001:db8::1',
      '2001:DB8:0::1',
      '10.0.0.7/24',
      'none'
    ),
    jail: fc.constant('sshd'),
    active: fc.boolean(),
    pending: fc.boolean(),
    expires: fc.constantFrom(null, '2020-01-01T00:00:00+00:00', '2040-01-01T00:00:00+00:00'),
    lastModified: fc.constantFrom('2020-01-01', '2026-02-01T00:00:00+00:00', '2030-01-01', 'nonsense')
  },
  { requiredKeys: ['ip'] }
)
const list = fc.oneof(
  { arbitrary: fc.uniqueArray(entry, { selector: one => one.ip, maxLength: 6 }), weight: 2 },
  { arbitrary: fc.array(entry, { maxLength: 6 }), weight: 1 }
)
/** What becomes of each entry: it stays, goes, or is changed in some fields; and what comes behind them. */
const wishes = fc.record({
  each: fc.array(
    fc.oneof(
      { arbitrary: fc.constant('stay' as const), weight: 3 },
      { arbitrary: fc.constant('go' as const), weight: 1 },
      {
        arbitrary: fc.record({ pending: fc.boolean(), active: fc.boolean() }, { requiredKeys: [] }),
        weight: 3
      },
      { arbitrary: entry, weight: 1 }
    ),
    { minLength: 6, maxLength: 6 }
  ),
  more: fc.oneof(
    { arbitrary: fc.constant([]), weight: 3 },
    { arbitrary: fc.array(entry, { maxLength: 2 }), weight: 1 }
  )
})

t.test('a sync-back comes to the same by changes and as a whole list', async t => {
  const dir = ownFolder(t)
  const seen = { merge: 0, overwrite: 0 }
  await fc.assert(
    fc.asyncProperty(
      list,
      wishes,
      fc.constantFrom('merge' as const, 'overwrite' as const),
      async (rows, { each, more }, mode) => {
        const folder = join(dir, `${mode}-${seen[mode]++}`)
        const changes = changesOf(rows, each, more)
        const byChanges = await syncedBack(join(folder, 'changes'), rows, mode, known => ({
          entries: changedRows(known, changes)!,
          made: { of: known, changes: { ...changes, result: resultOf(rows, changes), bytes: 0 } }
        }))
        const whole = await syncedBack(join(folder, 'whole'), rows, mode, () => ({
          entries: JSON.parse(textOf(rows, changes)) as BlocklistEntry[]
        }))
        t.strictSame(byChanges, whole)
      }
    ),
    { numRuns: 100 }
  )

  async function syncedBack(
    folder: string,
    rows: BlocklistEntry[],
    mode: SyncBackMode,
    upload: (known: BlocklistEntry[]) => Omit<UploadedList, 'text'>
  ) {
    const store = storeIn(folder)
    const at = (...path: string[]) => join(folder, 'archive', ...path)
    await mkdir(at(web1, 'blocklists'), { recursive: true })
    await writeFile(at(web1, 'blocklists', sshd), serialise(rows, true))
    await store.lists.handOut(web1, sshd, () => Promise.resolve(), HOST)
    const known = await store.lists.read(web1, sshd)
    const made = upload(known.value)
    const outcome = await store.lists
      .syncBack(web1, sshd, { ...made, text: serialise(made.entries, true) }, mode, HOST)
      .catch((error: unknown) => String(error))
    const read = (...path: string[]) => readFile(at(...path), 'utf8').catch(() => '')
    const text = await read(web1, 'blocklists', sshd)
    t.equal(await store.lists.hash(web1, sshd), sha256(text), 'and its hash is known')
    const trail = (await read(web1, 'audit.jsonl')).trimEnd().split('\n')
    return {
      ...{ outcome, text, index: await read('update.json') },
      ...{ handOvers: await read(web1, 'handover.json'), gone: await read(web1, 'gone.json') },
      audit: trail.map(row => JSON.stringify({ ...(JSON.parse(row) as object), id: '' })).sort()
    }
  }
})

function changesOf(
  rows: readonly BlocklistEntry[],
  each: readonly ('stay' | 'go' | Partial<BlocklistEntry>)[],
  more: readonly BlocklistEntry[]
): RowChanges<BlocklistEntry> {
  const set = rows.flatMap((row, place) => {
    const wish = each[place] ?? 'stay'
    return typeof wish === 'string' ? [] : [[place, { ...row, ...wish }] as const]
  })
  const fresh = more.map((row, nr) => [rows.length + nr, row] as const)
  return { set: [...set, ...fresh], gone: rows.flatMap((_, place) => (each[place] === 'go' ? [place] : [])) }
}

function textOf(rows: readonly BlocklistEntry[], changes: RowChanges<BlocklistEntry>): string {
  return changedText(serialise(rows, true), rows.length, changes)!
}

const resultOf = (...what: Parameters<typeof textOf>) => sha256(textOf(...what))
