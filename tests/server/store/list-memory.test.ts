import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { address } from '../../../common/address.js'
import { serialise } from '../../../common/json-file.js'
import { listOfJail, serverName } from '../../../common/names.js'
import type { EntryChange } from '../../../server/store/entry-changes.js'
import { ownFolder } from '../../support/own-folder.js'
import { storeIn } from '../../support/store-in.js'

const [web1, sshd] = [serverName('web-1'), listOfJail('sshd')]
const ALICE = { kind: 'user', name: 'alice', from: '192.0.2.7' } as const

const ip = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.0/24', '2001:db8::1').map(address)
const change: fc.Arbitrary<EntryChange> = fc.record({
  ip,
  want: fc.constantFrom('block' as const, 'unblock' as const),
  source: fc.constant('manual')
})
/** What an old installation, or a hand, may leave: addresses twice, in other spellings, and what is none. */
const edited = fc.array(
  fc.record({
    ip: fc.constantFrom('10.0.0.1', '10.0.0.2', '2001:DB8:0::1', '10.0.0.7/24', 'nonsense', 'ä'),
    active: fc.boolean(),
    more: fc.constantFrom('x', ['{', ',\n'])
  }),
  { maxLength: 4 }
)
const step = fc.oneof(
  { arbitrary: fc.uniqueArray(change, { selector: one => one.ip, minLength: 1 }), weight: 4 },
  { arbitrary: edited.chain(list => fc.boolean().map(rows => serialise(list, rows))), weight: 1 }
)

t.test('a store that knows a list changes it as one that has to read it, to the byte', async t => {
  const dir = ownFolder(t)
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async steps => {
      run++
      const folder = (of: string) => join(dir, `${run}-${of}`)
      const known = storeIn(folder('known'))
      for (const one of steps) {
        const results = []
        for (const [of, store] of [
          ['known', known],
          ['read', storeIn(folder('read'))]
        ] as const) {
          const path = join(folder(of), 'archive', web1, 'blocklists', sshd)
          const told =
            typeof one === 'string'
              ? await writeFile(path, one).catch(() => undefined)
              : await store.lists.change(web1, sshd, one, ALICE)
          results.push({ told, text: await readFile(path, 'utf8').catch(() => '') })
        }
        t.strictSame(results[0], results[1])
      }
    }),
    { numRuns: 40 }
  )
})
