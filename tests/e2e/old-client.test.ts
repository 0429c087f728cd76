import { readFile } from 'node:fs/promises'
import t from 'tap'
import { Installation } from '../support/installation.js'
import { NO_OLD_CLIENT, oldClientCycle } from '../support/old-client.js'
import { ownFolder } from '../support/own-folder.js'

t.test(
  'a client of curl and jq, as existing installations have, completes the loop',
  { skip: NO_OLD_CLIENT },
  async t => {
    const at = new Installation(ownFolder(t, { work: {} }))
    await at.serve(undefined, '--base-path', '/Fail2Ban-Report')
    t.teardown(() => at.stop())
    const who = await at.addHost('old-1')
    const cycle = async () => {
      const ended = await oldClientCycle(`${at.url}/endpoint`, who, at.path('work'))
      t.equal(ended.code, 0, ended.err)
    }
    const block = (want: string, ip: string) =>
      at.cli([want, ip, '--server', 'old-1', '--jail', 'sshd', ...at.folders])
    await block('block', '203.0.113.1')
    await block('block', '203.0.113.2')
    await cycle()
    t.match(await at.list('old-1', 'sshd'), [
      { ip: '203.0.113.1', active: true, pending: false },
      { ip: '203.0.113.2', active: true, pending: false }
    ])
    await block('unblock', '203.0.113.1')
    await cycle()
    t.match(await at.list('old-1', 'sshd'), [{ ip: '203.0.113.2', active: true, pending: false }])
    t.equal((await at.list('old-1', 'sshd')).length, 1)
    t.strictSame(await at.index(), {})
    const day = await readFile(
      at.path('archive', 'old-1', 'fail2ban', 'fail2ban-events-20260301.json'),
      'utf8'
    )
    t.match(JSON.parse(day), [{ action: 'Ban', ip: '192.0.2.1', jail: 'sshd' }])
  }
)
