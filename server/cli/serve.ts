import type { Command } from 'commander'
import { addFlags } from '../../common/settings.js'
import { SERVE_SETTINGS, readServerConfig } from '../config.js'
import { serve } from '../main.js'
import type { Terminal } from './context.js'

/** `serve`: runs the server until it is told to stop. */
export function addServeCommand(program: Command, terminal: Terminal): void {
  addFlags(program.command('serve'), SERVE_SETTINGS)
    .description('run the server')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report serve\n  fail2ban-report serve --port 9000 --base-path /Fail2Ban-Report --trust-proxy 127.0.0.1\n  F2BR_PORT=9000 fail2ban-report serve'
    )
    .action(async (flags: Record<string, unknown>) => {
      await serve(readServerConfig({ flags, env: terminal.env }), line => terminal.err(line))
    })
}
