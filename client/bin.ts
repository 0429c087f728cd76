#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { ProductError, messageOf } from '../common/errors.js'
import { ownVersion } from '../common/version.js'
import { addBlockingCommands } from '../server/cli/blocking.js'
import { addClientCommands } from '../server/cli/clients.js'
import { addDemoCommand } from '../server/cli/demo.js'
import { checkServer } from '../server/cli/doctor.js'
import { addServeCommand } from '../server/cli/serve.js'
import { addStatusCommand } from '../server/cli/status.js'
import { addUserCommands } from '../server/cli/users.js'
import { checkClient } from './cli/doctor.js'
import { addDoctorCommand } from './cli/doctor-command.js'
import { addSyncCommand } from './cli/sync.js'

// The one file that knows both sides: it puts their commands together. Neither side imports the other.

const USAGE = 2
const BUSY = 75

async function main(): Promise<void> {
  const terminal = {
    out: (text: string) => void process.stdout.write(text + '\n'),
    err: (text: string) => void process.stderr.write(text + '\n'),
    input: process.stdin,
    screen: process.stderr,
    env: process.env
  }
  const program = new Command('fail2ban-report')
    .description(
      'one server shows what fail2ban does on every host; a block made there reaches their firewalls'
    )
    .version(ownVersion())
    .exitOverride()
    .showHelpAfterError('(--help shows what is possible)')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report demo\n  fail2ban-report serve\n  fail2ban-report client add web-1 --server-url https://reports.example\n  fail2ban-report block 203.0.113.9 --server web-1 --jail sshd\n  fail2ban-report sync'
    )
  addServeCommand(program, terminal)
  addSyncCommand(program, terminal)
  addUserCommands(program, terminal)
  addClientCommands(program, terminal)
  addBlockingCommands(program, terminal)
  addStatusCommand(program, terminal)
  addDoctorCommand(program, terminal, { server: checkServer, client: checkClient })
  addDemoCommand(program, terminal)
  try {
    await program.parseAsync(process.argv)
  } catch (error) {
    process.exitCode = exitCodeOf(error)
    if (!(error instanceof CommanderError)) terminal.err(`error: ${messageOf(error)}`)
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
  if (!(error instanceof ProductError)) return 1
  if (error.code === 'BUSY') return BUSY
  return ['CONFIG', 'BAD_INPUT', 'BAD_ADDRESS', 'BAD_NAME', 'FILE_NAME'].includes(error.code) ? USAGE : 1
}

await main()
