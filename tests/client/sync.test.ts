import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readClientConfig } from '../../client/config/config.js'
import { ClientBus } from '../../client/bus.js'
import { syncOnce } from '../../client/sync.js'
import { oneHost } from '../support/one-host.js'
import { ownFolder } from '../support/own-folder.js'

t.test("a cycle's own failure is what the run fails with, whatever else fails behind it", async t => {
  const state = ownFolder(t)
  const log = join(state, 'fail2ban.log')
  await writeFile(log, '')
  const config = readClientConfig({
    flags: { server: 'http://127.0.0.1:9', username: 'web-1', state, log, firewall: 'dry-run' },
    env: { F2BR_PASSWORD: 'secret', F2BR_UUID: '00000000-0000-4000-8000-000000000000' }
  })
  await mkdir(join(state, 'dry-run-firewall.json'))
  await mkdir(join(state, 'commands.json'))
  const told: string[] = []
  // Already stopped: the server is not waited for.
  const parts = {
    signal: AbortSignal.abort(),
    report: (_: string, fields: { event: string; message?: unknown }) =>
      void told.push(String(fields.message))
  }
  await t.rejects(syncOnce(config, parts), { message: /dry-run-firewall\.json/ })
  t.ok(
    told.some(message => message.includes('commands.json')),
    told.join('\n')
  )
})

t.test(
  'the whitelist is fetched before the firewall is touched, and fail2ban is seen to at the end',
  async t => {
    const at = await oneHost(ownFolder(t))
    t.teardown(() => at.stop())
    const config = readClientConfig({
      file: at.path('client.conf'),
      flags: { state: at.path('state'), log: at.path('fail2ban.log'), firewall: 'dry-run' },
      env: {}
    })
    const bus = new ClientBus()
    const seen: string[] = []
    for (const name of ['sync_start', 'sync_complete'] as const) bus.on(name, () => seen.push(name))
    await syncOnce(config, { bus, report: () => undefined, onStep: name => seen.push(name) })
    t.same(seen, [
      ...['events', 'asked', 'sync_start', 'downloaded', 'applied', 'settled', 'synced-back'],
      'sync_complete'
    ])
  }
)

t.test('a state folder that can not be made is told of, at once', async t => {
  const config = (state: string) =>
    readClientConfig({
      flags: {
        server: 'http://127.0.0.1:9',
        username: 'web-1',
        state,
        log: '/dev/null',
        firewall: 'dry-run'
      },
      env: { F2BR_PASSWORD: 'secret', F2BR_UUID: '00000000-0000-4000-8000-000000000000' }
    })
  const dir = ownFolder(t, { file: '' })
  for (const state of ['/proc/no/such/folder', join(dir, 'file'), join(dir, 'file', 'below')]) {
    const parts = { report: () => undefined }
    await t.rejects(
      syncOnce(config(state), parts),
      { code: 'CONFIG', message: /--state .* can't be made/ },
      state
    )
  }
})
