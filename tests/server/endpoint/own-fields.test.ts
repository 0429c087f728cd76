import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { asBody, asFields, endpointApp, WEB1, type EndpointApp, type Form } from '../../support/endpoint.js'
import { ownFolder } from '../../support/own-folder.js'

const ACTOR = { kind: 'cli' as const, name: 'root', from: 'cli' }
const SERVER = WEB1.username as never
const basic = (password = WEB1.password) => ({
  authorization: `Basic ${Buffer.from(`${WEB1.username}:${password}`).toString('base64')}`,
  'x-client-uuid': WEB1.uuid
})
const told = (result: string, hash: string, message?: string) =>
  JSON.stringify({ result, hash, time: '2026-03-01T12:00:00+00:00', message })
const host = async (at: EndpointApp) =>
  JSON.parse(await readFile(at.path('archive', WEB1.username, 'host.json'), 'utf8')) as Record<
    string,
    unknown
  >

t.test('an old client sees none of it', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  await at.app.store.commands.add(SERVER, 'health', {}, ACTOR)
  for (const form of [asBody(), asFields()])
    t.same((await at.post('update.php', form)).json(), { success: true, updates: [] })
  t.equal((await at.app.store.commands.list(SERVER))[0]?.state, 'pending')
})

t.test('a client that tells of its whitelist is told which one holds', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const poll = async (field: string) =>
    (await at.post('update.php', asBody({ whitelist: field }))).json<{ whitelist?: string }>().whitelist
  const plain = async () =>
    (await at.app.inject({ url: '/api/v1/whitelist/plain', headers: basic() })).headers.etag as string
  const empty = await poll(told('unchanged', ''))
  t.equal(`"${empty}"`, await plain())
  await at.app.store.whitelist.add(
    [{ ip: '192.0.2.1' as never, description: '', expires: '2026-03-01T13:00:00+00:00', servers: [] }],
    ACTOR
  )
  const full = await poll(told('success', empty ?? ''))
  t.not(full, empty)
  t.equal(`"${full}"`, await plain())
  t.match((await host(at)).whitelist, { result: 'success', hash: empty })
  at.clock.now += 1000
  await poll(told('success', full ?? ''))
  t.match((await host(at)).whitelist, {
    result: 'unchanged',
    hash: full,
    at: '2026-03-01T12:00:01.000+00:00'
  })
  await poll(told('fail', full ?? '', 'no \u001b[2J fail2ban'))
  t.match((await host(at)).whitelist, { result: 'fail', message: 'no \ufffd[2J fail2ban' })
  at.clock.now += 3_600_000
  t.not(await poll(told('success', full ?? '')), full, 'an end that came is a change')
  for (const bad of ['', '{', '{"result":"x"}', told('success', 'ZZ'), 'x'.repeat(9000)])
    t.equal(await poll(bad), undefined, bad.slice(0, 20))
  await writeFile(at.path('archive', 'whitelist.json'), '[{')
  t.equal(await poll(told('success', '')), undefined, 'a corrupt whitelist keeps nobody from the lists')
})

t.test('commands go to who takes them, and come back by report', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const { id } = await at.app.store.commands.add(SERVER, 'jail_status', { jail: 'sshd' }, ACTOR)
  const poll = async () => (await at.post('update.php', asBody({ commands: 'health' }))).json<object>()
  t.same(await poll(), {
    success: true,
    updates: [],
    commands: [{ id, type: 'jail_status', params: { jail: 'sshd' } }]
  })
  t.same(await poll(), { success: true, updates: [], commands: [] })
  const report = (payload: object, headers: Record<string, string> = basic()) =>
    at.app.inject({ method: 'POST', url: '/api/v1/report', payload, headers })
  const outcome = { id, state: 'completed', output: 'fine' }
  t.equal((await report({ commands: [outcome] }, {})).statusCode, 401)
  t.equal((await report({ commands: [outcome] }, basic('wrong'))).statusCode, 403)
  for (const bad of [
    { commands: [{ id }] },
    { commands: [{ ...outcome, state: 'pending' }] },
    { whitelist: {} }
  ])
    t.equal((await report(bad)).statusCode, 400, JSON.stringify(bad))
  t.same((await report({ commands: [outcome] })).json(), { success: true })
  t.match(await at.app.store.commands.find(id), { command: { state: 'completed', output: 'fine' } })
  t.equal((await report({ whitelist: { result: 'success', hash: '' } })).statusCode, 200)
  t.match((await host(at)).whitelist, { result: 'success' })
})

t.test('a sync-back is on record at once, a poll with nothing new once a minute', async t => {
  const at = await endpointApp(ownFolder(t))
  t.teardown(() => at.app.close())
  const seen = async () => (await host(at)).lastSync
  await at.post('update.php', asBody())
  const first = await seen()
  at.clock.now += 20_000
  await at.post('update.php', asBody())
  t.equal(await seen(), first)
  const form = [...asFields(), ['file[]', '[]', 'sshd.blocklist.json']] as Form
  t.equal((await at.post('syncback.php', form)).statusCode, 200)
  t.equal(await seen(), '2026-03-01T12:00:20.000+00:00')
})
