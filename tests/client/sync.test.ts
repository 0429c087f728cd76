import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readClientConfig } from '../../client/config/config.js'
import { syncOnce } from '../../client/sync.js'

t.test("a cycle's own failure is what the run fails with, whatever else fails behind it", async t => {
  const state = t.testdir()
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
