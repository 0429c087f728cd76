#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { ProductError, deniedFile, wordsOf } from '../common/errors.js'
import { HELP_STYLE } from '../common/help-style.js'
import { refuseUnknownEnv, setsAnything } from '../common/settings.js'
import { ownVersion } from '../common/package-root.js'
import type { Terminal } from '../server/cli/context.js'
// The one file that knows both sides: it puts their commands together. Neither side imports the other. Only what
// the command at hand needs is loaded: cron starts a cycle every few minutes on every host.

const USAGE = 2
const BUSY = 75

async function main(): Promise<void> {
  process.stdout.on('error', outputFailed)
  // Nobody is left to tell.
  process.stderr.on('error', () => undefined)
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
    .configureHelp(HELP_STYLE)
    .showHelpAfterError('(--help shows what is possible)')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report demo\n  fail2ban-report serve\n  fail2ban-report client add web-1 --server-url https://reports.example\n  fail2ban-report block 203.0.113.9 --server web-1 --jail sshd\n  fail2ban-report sync'
    )
  program.hook('preAction', () => checkEnvironment(terminal.env))
  await addCommands(program, terminal, process.argv[2] ?? '')
  try {
    await program.parseAsync(process.argv)
  } catch (error) {
    process.exitCode = exitCodeOf(error)
    if (!(error instanceof CommanderError)) terminal.err(`error: ${explained(error, process.argv[2])}`)
  }
}

/** Adds the command named, or all of them for help and mistakes. */
async function addCommands(program: Command, terminal: Terminal, word: string): Promise<void> {
  const groups: Record<string, () => Promise<void>> = {
    serve: async () => (await import('../server/cli/serve.js')).addServeCommand(program, terminal),
    sync: async () => (await import('./cli/sync.js')).addSyncCommand(program, terminal),
    user: async () => (await import('../server/cli/users.js')).addUserCommands(program, terminal),
    client: async () => {
      ;(await import('../server/cli/clients.js')).addClientCommands(program, terminal)
      ;(await import('./cli/install-action.js')).addInstallAction(program, terminal)
    },
    block: async () => (await import('../server/cli/blocking.js')).addBlockingCommands(program, terminal),
    whitelist: async () =>
      (await import('../server/cli/whitelist.js')).addWhitelistCommands(program, terminal),
    key: async () => (await import('../server/cli/keys.js')).addKeyCommands(program, terminal),
    command: async () => (await import('../server/cli/commands.js')).addCommandCommands(program, terminal),
    audit: async () => (await import('../server/cli/audit.js')).addAuditCommand(program, terminal),
    backup: async () => (await import('../server/cli/backup.js')).addBackupCommands(program, terminal),
    export: async () => (await import('../server/cli/export.js')).addExportCommand(program, terminal),
    'import-htaccess': async () =>
      (await import('../server/cli/import-htaccess.js')).addImportHtaccess(program, terminal),
    import: async () => (await import('../server/cli/import.js')).addImportCommand(program, terminal),
    health: async () => (await import('../server/cli/health.js')).addHealthCommand(program, terminal),
    status: async () => (await import('../server/cli/status.js')).addStatusCommand(program, terminal),
    doctor: async () => {
      const { checkServer: server } = await import('../server/cli/doctor.js')
      const { checkClient: client } = await import('./cli/doctor.js')
      const { addDoctorCommand } = await import('./cli/doctor-command.js')
      const { FOLDER_SETTINGS } = await import('../server/config.js')
      const { SYNC_SETTINGS } = await import('./config/config.js')
      addDoctorCommand(program, terminal, { server, client }, { ...FOLDER_SETTINGS, ...SYNC_SETTINGS })
    },
    install: async () => {
      const { serverService: server } = await import('../server/cli/service.js')
      const { clientService: client } = await import('./cli/service.js')
      const { addInstallCommands } = await import('./cli/install-commands.js')
      addInstallCommands(program, terminal, { server: server(terminal), client: client(terminal) })
    },
    demo: async () => (await import('../server/cli/demo.js')).addDemoCommand(program, terminal)
  }
  const group =
    {
      unblock: 'block',
      list: 'block',
      'whitelist-sync': 'sync',
      uninstall: 'install',
      restore: 'backup'
    }[word] ?? word
  const wanted = Object.hasOwn(groups, group) ? [group] : Object.keys(groups)
  for (const name of wanted) await groups[name]?.()
}

async function checkEnvironment(env: Terminal['env']): Promise<void> {
  if (!setsAnything(env)) return
  const { SERVE_SETTINGS } = await import('../server/config.js')
  const { SYNC_SETTINGS } = await import('./config/config.js')
  refuseUnknownEnv(env, [SERVE_SETTINGS, SYNC_SETTINGS], ['config', 'serverConfig'])
}

/**
 * A reader that went away (`| head`) is no failure, and the work goes on to its end. What could not be written for
 * another reason, such as a full disk, is.
 */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return
  process.exitCode = 1
  process.stderr.write(`error: the output could not be written (${error.code ?? error.message})\n`)
}

/** What went wrong; where the system did not let this user do it, who may. @param word the command */
function explained(error: unknown, word = ''): string {
  const what = wordsOf(error)
  if (deniedFile(error) === undefined || process.getuid?.() === 0 || what.includes('as root')) return what
  const host = ['sync', 'whitelist-sync'].includes(word)
  return `${what}; run it as ${host ? 'root' : "root, or as the server's user"}`
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
  if (!(error instanceof ProductError)) return 1
  if (error.code === 'BUSY') return BUSY
  return ['CONFIG', 'BAD_INPUT', 'BAD_ADDRESS', 'BAD_NAME', 'FILE_NAME'].includes(error.code) ? USAGE : 1
}

await main()
