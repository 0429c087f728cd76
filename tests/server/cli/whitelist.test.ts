import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addWhitelistCommands } from '../../../server/cli/whitelist.js'
import { commands } from '../../support/terminal.js'
import { ownFolder } from '../../support/own-folder.js'

const END = '2999-01-31T12:00:00.000+00:00'

async function whitelist(t: Test, entries: object[]) {
  const dir = ownFolder(t, { archive: { 'web-1': {}, 'db-1': {} }, settings: {} })
  const file = join(dir, 'archive', 'whitelist.json')
  const write = (entries: object[]) => writeFile(file, JSON.stringify(entries))
  await mkdir(join(dir, 'archive'), { recursive: true })
  await write(entries)
  const run = commands(dir, addWhitelistCommands)
  return {
    run,
    write,
    take: async (text: string, ...flags: string[]) => {
      await writeFile(join(dir, 'list.txt'), text)
      return run(['whitelist', 'import', join(dir, 'list.txt'), ...flags])
    },
    stored: async () => JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>[],
    export: async () => (await run(['whitelist', 'export'])).out
  }
}

const ENTRIES = [
  { ip: '192.0.2.10', description: 'office; [x] #2', addedBy: 'alice', expires: null, servers: [] },
  { ip: '192.0.2.11', description: 'pentest', addedBy: 'alice', expires: END, servers: ['web-1'] },
  { ip: '2001:db8::/48', description: '', addedBy: 'alice', expires: null, servers: ['db-1', 'web-1'] },
  { ip: '192.0.2.12', description: '[hosts=odd]', addedBy: 'alice', expires: '2020-01-01', servers: [] },
  // Of hosts that are gone.
  { ip: '192.0.2.13', description: 'old', addedBy: 'alice', expires: null, servers: ['gone-1'] }
]

t.test('what export wrote, import takes as it was: hosts, ends, descriptions', async t => {
  const at = await whitelist(t, ENTRIES)
  const text = await at.export()
  t.match(text, '192.0.2.11 # [hosts=web-1 ends=2999-01-31T12:00:00.000+00:00] pentest\n')
  t.match(text, '192.0.2.10 # [hosts=all ends=never] office; [x] #2\n')
  t.match(text, /^2001:db8::\/48 # \[hosts=db-1,web-1 ends=never\]$/m)
  const again = await at.take(text)
  t.equal(again.error, undefined)
  t.equal(again.out.match(/is on the whitelist already; nothing changed/g)?.length, ENTRIES.length)
  t.strictSame(await at.stored(), ENTRIES, 'not even who added them')

  await at.write([])
  const kept = text.split('\n').filter(line => !line.includes('gone-1'))
  t.equal((await at.take(kept.join('\n'))).error, undefined)
  t.match(
    (await at.stored()).map(({ ip, description, servers }) => [ip, description, servers]),
    ENTRIES.slice(0, -1).map(({ ip, description, servers }) => [ip, description, servers])
  )
  t.match((await at.stored())[1], { expires: END })
  const stranger = await at.take(text)
  t.match(stranger.error, { message: /there is no host gone-1/ }, 'a host that nobody knows is refused')
  t.equal((await at.stored()).length, ENTRIES.length - 1)
})

t.test('what a line does not say, an entry keeps; a new one holds everywhere', async t => {
  const at = await whitelist(t, ENTRIES)
  const plain = await at.take('192.0.2.11\n198.51.100.1 # new\n')
  t.equal(plain.error, undefined)
  const entry = async (ip: string) => (await at.stored()).find(one => one.ip === ip)
  t.strictSame(await entry('192.0.2.11'), ENTRIES[1], 'an address alone changes nothing')
  t.match(await entry('198.51.100.1'), { description: 'new', expires: null, servers: [] })
  await at.take('192.0.2.11 # other words')
  t.match(await entry('192.0.2.11'), { description: 'other words', expires: END, servers: ['web-1'] })
  await at.take('192.0.2.11 # [hosts=all]')
  t.match(await entry('192.0.2.11'), { expires: END, servers: [] }, 'what is said counts')
  await at.take('192.0.2.11 # [ends=never] x', '--server', 'db-1')
  t.match(await entry('192.0.2.11'), { expires: null, servers: ['db-1'] }, 'a flag counts for every line')
  await at.take('192.0.2.11 # [ours] x')
  t.match(await entry('192.0.2.11'), { description: '[ours] x', servers: ['db-1'] })
})

t.test('bounds that are not understood are refused, with their line', async t => {
  const at = await whitelist(t, ENTRIES)
  for (const bounds of [
    'hosts=',
    'hosts=we b',
    'hosts=../x',
    'ends=tomorrow',
    'ends=',
    'hosts=all since=x'
  ]) {
    const { error } = await at.take(`192.0.2.10\n192.0.2.11 # [${bounds}] x\n`)
    t.match(error, { code: 'BAD_INPUT', message: /line 2: 192\.0\.2\.11.*nothing was taken/ }, bounds)
  }
  t.strictSame(await at.stored(), ENTRIES)
})

t.test('an entry whose hosts can’t be written stays behind, and is named', async t => {
  const at = await whitelist(t, [{ ip: '192.0.2.1', servers: ['a b'] }, { ip: 'nonsense' }])
  t.equal(await at.export(), '# left out: 192.0.2.1\n# left out: nonsense\n')
})
