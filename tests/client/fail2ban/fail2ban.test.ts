import t from 'tap'
import { Fail2ban } from '../../../client/fail2ban/fail2ban.js'
import { runCommand } from '../../../common/command.js'

t.test('the longer the list, the fewer removals at once', async t => {
  const runs: number[] = []
  const run = async (_: string, __: readonly string[], { input = '' } = {}) => {
    runs.push(input.split('delignoreip').length - 1)
    return { code: 0, stdout: '', stderr: '' }
  }
  const fail2ban = new Fail2ban(run, { config: '/c', socket: '' })
  const less = Array.from({ length: 150 }, (_, at) => `192.0.2.${at}`)
  await fail2ban.heed('sshd', less, less)
  t.same(runs.splice(0), [100, 50])
  await fail2ban.heed(
    'sshd',
    less,
    Array.from({ length: 20_000 }, () => 'x'.repeat(43))
  )
  t.same(runs, [22, 22, 22, 22, 22, 22, 18], 'each prints up to 1.5 MB')
})

t.test('a program is ended by the signal', async t => {
  const stop = new AbortController()
  const ended = runCommand('sleep', ['60'], { signal: stop.signal })
  stop.abort()
  await t.rejects(ended, { code: 'COMMAND', message: /stopped/ })
  await t.rejects(runCommand('sleep', ['60'], { signal: stop.signal }), { code: 'COMMAND' })
})
