import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addAuditCommand } from '../../../server/cli/audit.js'
import { addCommandCommands } from '../../../server/cli/commands.js'
import { addKeyCommands } from '../../../server/cli/keys.js'
import { commands } from '../../support/terminal.js'
import { ownFolder } from '../../support/own-folder.js'

function start(t: Test) {
  const dir = ownFolder(t)
  mkdirSync(join(dir, 'archive', 'web-1'), { recursive: true })
  const run = commands(dir, (program, terminal) => {
    addKeyCommands(program, terminal)
    addCommandCommands(program, terminal)
    addAuditCommand(program, terminal)
  })
  return { dir, run }
}

t.test('a key is made, shown once, listed without its secret, removed', async t => {
  const { dir, run } = start(t)
  const made = await run(['key', 'add', 'ci', '--role', 'write', '--server', 'web-1', '--json'])
  const { secret } = JSON.parse(made.out) as { secret: string }
  t.match(secret, /^f2br_[\w-]{43}$/)
  t.equal(statSync(join(dir, 'settings', 'api-keys.json')).mode & 0o777, 0o600)
  const listed = await run(['key', 'list'])
  t.match(listed.out, /^ci +write +web-1 /m)
  t.notMatch(listed.out, secret.slice(5))
  for (const words of [
    ['key', 'add', 'ci'],
    ['key', 'add', '../x'],
    ['key', 'add', 'b', '--role', 'root'],
    ['key', 'add', 'b', '--server', '../x'],
    ['key', 'add', 'b', '--server', 'nobody'],
    ['key', 'remove', 'nobody']
  ])
    t.ok((await run(words)).error, words.join(' '))
  t.equal((await run(['key', 'remove', 'ci'])).error, undefined)
  t.match((await run(['key', 'list'])).out, 'No keys yet.')
  const trail = (await run(['audit'])).out
  t.match(trail, /key-removed +ci[\s\S]*key-added +ci/)
  t.notMatch(trail, secret.slice(5))
})

t.test('a command is given, listed and shown', async t => {
  const { run } = start(t)
  const words = ['command', 'add', 'unban_ip', '--server', 'web-1', '--jail', 'sshd', '--ip', '203.0.113.9']
  const { id } = JSON.parse((await run([...words, '--json'])).out) as { id: string }
  t.match((await run(['command', 'list'])).out, /unban_ip 203\.0\.113\.9 sshd +pending/)
  t.match((await run(['command', 'show', id])).out, /^unban_ip 203\.0\.113\.9 sshd on web-1: pending\ngiven /)
  t.match((await run(['audit', '--server', 'web-1'])).out, 'command-added')
  for (const bad of [
    ['command', 'add', 'rm', '--server', 'web-1'],
    ['command', 'add', 'health', '--server', 'nobody'],
    ['command', 'add', 'health', '--server', 'web-1', '--jail', 'sshd'],
    ['command', 'add', 'ban_ip', '--server', 'web-1', '--jail', 'sshd', '--ip', '127.0.0.1'],
    ['command', 'add', 'jail_status', '--server', 'web-1', '--jail', '-x'],
    ['command', 'show', 'web-1~0000000000']
  ])
    t.ok((await run(bad)).error, bad.join(' '))
  t.equal((JSON.parse((await run(['command', 'list', '--json'])).out) as []).length, 1)
})
