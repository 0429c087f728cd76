import { readdir, readFile, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { serialise } from '../../../common/json-file.js'
import { CHANGES_HEADER, CHANGES_TYPE, type ListChanges } from '../../../common/list-changes.js'
import { sha256 } from '../../../common/sha256.js'
import { address } from '../../../common/address.js'
import { listName, serverName } from '../../../common/names.js'
import type { BlocklistEntry } from '../../../common/shapes.js'
import { gone } from '../../support/gone.js'
import { asBody, asFields, endpointApp, WEB1 } from '../../support/endpoint.js'
import { ownFolder } from '../../support/own-folder.js'

const ACTOR = { kind: 'cli' as const, name: 'root', from: 'cli' }
const [SERVER, SSHD] = [serverName(WEB1.username), listName('sshd.blocklist.json')]
const LIST = `archive/${WEB1.username}/blocklists/${SSHD}`

/** A server whose host holds a list of ten blocks; two more were asked for since and are handed out. */
async function handedOut(t: Test) {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const block = (...ips: string[]) =>
    at.app.store.lists.change(
      SERVER,
      SSHD,
      ips.map(ip => ({ ip: address(ip), want: 'block' as const, source: 'test' })),
      ACTOR
    )
  const list = () => readFile(at.path(LIST), 'utf8')
  await block(...Array.from({ length: 10 }, (_, n) => `192.0.2.${n}`))
  const held = serialise(
    (JSON.parse(await list()) as BlocklistEntry[]).map(entry => ({ ...entry, pending: false })),
    true
  )
  await at.post('update.php', asBody({ have: '' }))
  await at.post('syncback.php', [...asFields(), ['file[]', held, SSHD]])
  await block('203.0.113.1', '203.0.113.2')
  const offer = () => at.post('update.php', asBody({ have: `${SSHD}=${sha256(held)}` }))
  t.same((await offer()).json(), { success: true, updates: [SSHD], restore: [] })
  const download = (more: Record<string, string> = {}) => at.post(`download.php?file=${SSHD}`, asBody(more))
  const back = (changes: unknown, name = `${SSHD}.changes`) =>
    at.post('syncback.php', [
      ...asFields(),
      ['file[]', typeof changes === 'string' ? changes : JSON.stringify(changes), name]
    ])
  /** What a client sends that found both new blocks in force. */
  const settled = async (): Promise<ListChanges> => {
    const text = await list()
    const entries = JSON.parse(text) as BlocklistEntry[]
    const set = [10, 11].map(place => [place, { ...entries[place]!, pending: false }] as const)
    const result = serialise([...entries.slice(0, 10), ...set.map(([, row]) => row)], true)
    const bytes = Buffer.byteLength(result)
    return { base: sha256(text), result: sha256(result), bytes, set, gone: [] }
  }
  return { at, block, list, held, offer, download, back, settled }
}

t.test('a client that tells what it holds downloads what changed; the copy is gone then', async t => {
  const { at, held, list, download } = await handedOut(t)
  const reply = await download({ base: sha256(held) })
  t.match(reply.headers['content-type'], new RegExp(`^${CHANGES_TYPE.replace('+', '[+]')}`))
  t.equal(reply.headers[CHANGES_HEADER], 'taken')
  const { set, ...rest } = reply.json<ListChanges>()
  const text = await list()
  t.strictSame(
    set.map(([place, { ip, pending }]) => [place, ip, pending]),
    [
      [10, '203.0.113.1', true],
      [11, '203.0.113.2', true]
    ]
  )
  t.strictSame(rest, { gone: [], result: sha256(text), bytes: text.length })
  await gone(at.path('download', WEB1.username, 'blocklists', SSHD))
  t.equal((await download({ base: sha256(held) })).statusCode, 404)
})

t.test('any other client gets the file as it is', async t => {
  const { list, download, offer } = await handedOut(t)
  const plain = await download()
  t.equal(plain.body, await list())
  t.equal(plain.headers['content-type'], 'application/json')
  t.equal(plain.headers[CHANGES_HEADER], undefined, 'an old client sees none of it')
  await offer()
  const empty = await download({ base: '' })
  t.equal(empty.body, await list(), 'and so does a host without a copy')
  t.equal(empty.headers[CHANGES_HEADER], 'taken', 'which may send changes back')
})

t.test('a client that does not say what it holds is handed out whole lists', async t => {
  const { at, list, held, download } = await handedOut(t)
  await at.post('update.php', asBody())
  t.equal((await download({ base: sha256(held) })).body, await list())
})

t.test('a copy that another hand replaced is delivered as it lies there', async t => {
  const { at, held, download } = await handedOut(t)
  await writeFile(at.path('download', WEB1.username, 'blocklists', SSHD), '[]')
  t.equal((await download({ base: sha256(held) })).body, '[]')
})

t.test('what a client changed is taken back as its whole list would be', async t => {
  const { at, list, back, settled } = await handedOut(t)
  const changes = await settled()
  const reply = await back(changes)
  t.same(reply.json(), { success: true, message: 'All files processed successfully.', files: [SSHD] })
  t.equal(sha256(await list()), changes.result)
  t.same(JSON.parse(await readFile(at.path('archive/update.json'), 'utf8')), {})
  const trail = await readFile(at.path('archive', WEB1.username, 'audit.jsonl'), 'utf8')
  t.match(
    trail
      .trimEnd()
      .split('\n')
      .slice(-2)
      .map(row => JSON.parse(row) as object),
    [
      { what: 'in-force', ip: '203.0.113.1' },
      { what: 'in-force', ip: '203.0.113.2' }
    ]
  )
})

t.test(
  'changes of another version, or that make another than they say, are wanted whole; nothing changes',
  async t => {
    const { at, block, list, back, settled } = await handedOut(t)
    const fine = await settled()
    const whole = { success: true, message: 'All files processed successfully.', files: [], whole: [SSHD] }
    const unfit: Partial<ListChanges>[] = [
      { base: sha256('') },
      { result: sha256('') },
      { bytes: fine.bytes - 1 },
      { set: fine.set.slice(1) },
      { set: [...fine.set, [14, { ip: '203.0.113.9' }]] },
      { set: [fine.set[1]!, fine.set[0]!] },
      { set: [...fine.set, fine.set[1]!] },
      { gone: [0] },
      { gone: [12] },
      { gone: [3, 3] },
      { gone: [10] }
    ]
    const before = await list()
    for (const change of unfit) {
      const reply = await back({ ...fine, ...change })
      t.equal(reply.statusCode, 200)
      t.same(reply.json(), whole, JSON.stringify(change).slice(0, 60))
    }
    t.same(
      (await back({ ...fine, set: [] }, 'other.blocklist.json.changes')).json<{ whole: string[] }>().whole,
      ['other.blocklist.json']
    )
    t.equal(await list(), before)
    await block('203.0.113.3')
    t.same((await back(fine)).json(), whole, 'a block came between')
    t.match(JSON.parse(await list()), { length: 13 })
    t.same(JSON.parse(await readFile(at.path('archive/update.json'), 'utf8')), {
      [WEB1.username]: { [SSHD]: true }
    })
    t.strictSame(await readdir(at.path('temp', WEB1.username)), [])
  }
)

t.test('hostile changes are refused, and nothing changes', async t => {
  const { at, list, back, settled } = await handedOut(t)
  const fine = await settled()
  const row = (more: object) => ({ ...fine, set: [[10, { ...fine.set[0]![1], ...more }], fine.set[1]] })
  const before = await list()
  const { base, ...baseless } = fine
  t.ok(base)
  const bad: [unknown, RegExp][] = [
    ['{', /Invalid JSON/],
    ['[]', /must be object/],
    [baseless, /lack their base/],
    [{ ...fine, base: '../x' }, /base must match/],
    [{ ...fine, bytes: -1 }, /bytes must be/],
    [{ ...fine, bytes: 1024 * 1024 + 1 }, /too large/],
    [{ ...fine, gone: ['0'] }, /must be integer/],
    [{ ...fine, gone: Array.from({ length: 5001 }, (_, n) => n) }, /more than 5000/],
    [{ ...fine, set: Array.from({ length: 5001 }, (_, n) => [n, { ip: '192.0.2.1' }]) }, /more than 5000/],
    [{ ...fine, set: [[10]] }, /fewer than 2/],
    [{ ...fine, set: [[10, {}]] }, /ip/],
    [row({ jail: 'nginx' }), /entry 1: jail nginx/],
    [row({ active: 'yes' }), /active must be boolean/],
    [row({ lastModified: '9999-12-31T23:59:59-12:00' }), /year 9999/],
    [`{"base":${'['.repeat(40)}`, /deeper/]
  ]
  for (const [changes, message] of bad) {
    const reply = await back(changes)
    t.equal(reply.statusCode, 400, String(message))
    t.match(reply.json(), { success: false, errors: [{ file: `${SSHD}.changes`, message }] })
  }
  // What is no address gets in by changes as little as by a whole list.
  const entries = JSON.parse(before) as BlocklistEntry[]
  const rows = [...entries.slice(0, 10), { ...entries[10]!, ip: 'x; rm -rf /' }, entries[11]!]
  const text = serialise(rows, true)
  const reply = await back({
    ...{ base: fine.base, result: sha256(text), bytes: Buffer.byteLength(text) },
    ...{ set: [[10, rows[10]]], gone: [] }
  })
  t.match(reply.json(), { errors: [{ message: /entry 11: ip is no IPv4/ }] })
  for (const name of ['.changes', 'sshd.changes']) t.match((await back(fine, name)).statusCode, 400, name)
  t.equal(await list(), before)
  t.strictSame(await readdir(at.path('temp', WEB1.username)), [])
})

t.test('with syncback=overwrite, changes overwrite as a whole list does', async t => {
  const { at, list, back, settled } = await handedOut(t)
  const changes = await settled()
  Object.assign(at.app.config, { syncback: 'overwrite' })
  t.equal((await back(changes)).statusCode, 200)
  t.equal(sha256(await list()), changes.result)
})
