import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ownCommand } from '../../common/own-command.js'
import { ownFolder } from '../support/own-folder.js'

t.test('hints name the program as it is started here', async t => {
  const dir = ownFolder(t)
  const script = join(dir, 'checkout', 'dist', 'program', 'bin.js')
  mkdirSync(join(script, '..'), { recursive: true })
  writeFileSync(script, '')
  const bin = join(dir, 'bin')
  mkdirSync(bin)
  const checkout = join(dir, 'checkout')
  t.equal(ownCommand(script, { PATH: bin }, checkout), 'node dist/program/bin.js')
  t.equal(ownCommand(script, {}, bin), `node ${script}`)
  const installed = join(dir, 'node_modules', 'fail2ban-report', 'bin.js')
  mkdirSync(join(installed, '..'), { recursive: true })
  writeFileSync(installed, '')
  t.equal(ownCommand(installed, { PATH: bin, npm_command: 'exec' }, checkout), 'npx fail2ban-report')
  t.equal(ownCommand(script, { PATH: bin, npm_command: 'start' }, checkout), 'node dist/program/bin.js')
  writeFileSync(join(bin, 'fail2ban-report'), '')
  t.equal(ownCommand(script, { PATH: bin }, checkout), 'node dist/program/bin.js', 'another of that name')
  symlinkSync(script, join(dir, 'fail2ban-report'))
  t.equal(ownCommand(script, { PATH: `${bin}:${dir}` }, checkout), 'fail2ban-report', 'as npm link makes it')
})
