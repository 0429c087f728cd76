import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { runCommand, type RunCommand } from '../../common/command.js'
import { ProductError } from '../../common/errors.js'
import { printable } from '../../common/names.js'
import { placeFiles, removeFiles, type Placing } from '../../common/placed-files.js'
import type { Service, SystemStep, TakenBack } from '../../common/service-plan.js'
import type { Output } from './sync.js'

type Flags = Record<string, unknown>

const WORDS = { new: 'new', renewed: 'renewed', same: 'as it is', removed: 'removed', kept: 'kept: edited' }

/** `install` and `uninstall`: the services of either side. @param sides what each side needs */
export function addInstallCommands(
  program: Command,
  output: Output,
  sides: { server: Service; client: Service },
  run: RunCommand = runCommand
): void {
  const sideOf = (side: string): Service => {
    if (side === 'server' || side === 'client') return sides[side]
    throw new ProductError('BAD_INPUT', 'which side: server or client')
  }
  common(program.command('install <server|client>'), 'put the files')
    .description('put the services of the server or of this host in place; nothing is started')
    .option('--user <NAME>', 'server: the user it runs as, made where it is fail2ban-report')
    .option('--archive <DIR>', 'server: where its data is, for one that is used in place')
    .option('--download <DIR>', 'server: folder of lists being handed out')
    .option('--temp <DIR>', 'server: folder of uploads being checked')
    .option('--settings <DIR>', 'server: where its settings are')
    .option(
      '--by <timer|watch|cron>',
      'client: every 5 minutes by systemd, all the time, or every 5 minutes by cron'
    )
    .option('--config <FILE>', 'client: client.conf, or the config.env of an existing client')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report install server\n  fail2ban-report install client --by watch\n  fail2ban-report install client --config /opt/Fail2Ban-Report/Settings/config.env --dry-run'
    )
    .action(async (side: string, flags: Flags) => {
      const service = sideOf(side)
      refuseOthers(side, flags)
      const plan = service.plan(flags)
      const { prefix, write } = where(flags)
      const wanted = plan.files.map(file => file.path)
      const obsolete = service.paths.filter(path => !wanted.includes(path))
      // Before its file goes, a unit that was chosen earlier ends.
      const ends = service.units.filter(unit => obsolete.includes(unitPath(unit)))
      await placeFiles(prefix, plan.files, obsolete, false)
      const before = await runSteps(prefix === '/' ? stopsOf(ends) : [], write, run)
      const files = await placeFiles(prefix, plan.files, obsolete, write)
      const after = await runSteps(prefix === '/' ? plan.steps : [], write, run)
      show(flags, output, { files, steps: [...before, ...after], next: plan.next, warnings: plan.warnings })
    })
  common(program.command('uninstall <server|client>'), 'take the files away')
    .description(
      'stop the services and take their files away, and the whitelist out of fail2ban; data, settings and edited files stay'
    )
    .option('--firewall', 'client: also take all blocks of this product out of the firewall')
    .option('--config <FILE>', 'client: its configuration, where that is not at one of its usual places')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report uninstall server\n  fail2ban-report uninstall client --firewall'
    )
    .action(async (side: string, flags: Flags) => {
      const service = sideOf(side)
      if (flags.firewall === true && service.takeBack === undefined) {
        throw new ProductError('BAD_INPUT', '--firewall: the server has nothing in the firewall')
      }
      refuseOthers(side, flags)
      const { prefix, write } = where(flags)
      const here = prefix === '/'
      if (flags.firewall === true && !here) {
        throw new ProductError(
          'BAD_INPUT',
          '--firewall is about this machine, and --prefix leaves it alone: choose one of them'
        )
      }
      // Stopped first: a service that still ran would put its blocks back.
      const before = await runSteps(here ? stopsOf(service.units) : [], write, run)
      const files = await removeFiles(prefix, service.paths, write)
      const reload = [{ program: 'systemctl', args: ['daemon-reload'] }]
      const after = await runSteps(here ? reload : [], write, run)
      const taken = here ? await service.takeBack?.(flags, write) : undefined
      show(flags, output, {
        files,
        steps: [...before, ...after],
        ...(taken ?? { next: [], warnings: [] })
      })
    })
}

/** Flags of `install` that mean something for one side only. */
const OF_SIDE: Record<string, readonly string[]> = {
  server: ['user', 'archive', 'download', 'temp', 'settings'],
  client: ['by', 'config']
}

/** @throws ProductError BAD_INPUT for a flag of the other side: it would do nothing */
function refuseOthers(side: string, flags: Flags): void {
  for (const [other, names] of Object.entries(OF_SIDE)) {
    const given = names.find(name => flags[name] !== undefined)
    if (other === side || given === undefined) continue
    throw new ProductError('BAD_INPUT', `--${given} is for the ${other}'s side`)
  }
}

const unitPath = (unit: string) => `/etc/systemd/system/${unit}`

function stopsOf(units: readonly string[]): SystemStep[] {
  return units
    .filter(unit => existsSync(unitPath(unit)))
    .map(unit => ({ program: 'systemctl', args: ['disable', '--now', unit] }))
}

function common(command: Command, doing: string): Command {
  return command
    .option('--prefix <DIR>', `${doing} below this folder and touch nothing else, as for a package`)
    .option('--dry-run', 'only tell what would be done')
    .option('--json', 'print JSON for machines instead of text')
}

function where(flags: Flags): { prefix: string; write: boolean } {
  const prefix = typeof flags.prefix === 'string' ? resolve(flags.prefix) : '/'
  return { prefix, write: flags.dryRun !== true }
}

/** @returns the steps in words; those that could not be run say why @throws ProductError COMMAND when one fails */
async function runSteps(steps: readonly SystemStep[], write: boolean, run: RunCommand): Promise<string[]> {
  const told: string[] = []
  for (const { program, args } of steps) {
    const words = [program, ...args].join(' ')
    if (program === 'systemctl' && !existsSync('/run/systemd/system')) {
      told.push(`${words} (left out: systemd does not run here)`)
      continue
    }
    told.push(words)
    if (!write) continue
    const { code, stderr } = await run(program, args)
    if (code !== 0) throw new ProductError('COMMAND', `${words}: ${printable(stderr.trim(), 300)}`)
  }
  return told
}

function show(
  flags: Flags,
  output: Output,
  result: { files: Placing[]; steps: string[]; next: string[]; warnings: string[] } & Partial<TakenBack>
): void {
  for (const warning of result.warnings) output.err(`warning: ${warning}`)
  if (flags.json === true) {
    output.out(JSON.stringify({ dryRun: flags.dryRun === true, ...result }, null, 2))
    return
  }
  const lines = [
    ...(flags.dryRun === true ? ['Nothing is done; this is what would be:'] : []),
    ...result.files.map(({ path, what }) => `${WORDS[what].padEnd(12)}  ${path}`),
    ...(result.files.length === 0 ? ['Nothing is installed.'] : []),
    ...result.steps.map(step => `run           ${step}`),
    ...(result.cleared === undefined
      ? []
      : [`firewall      cleared: ${result.cleared.join(', ') || 'none works here'}`]),
    ...(result.withdrawn === true ? ["fail2ban      no longer heeds this product's whitelist"] : []),
    ...(result.next.length === 0 ? [] : ['', 'Next:', ...result.next.map(line => `  ${line}`)])
  ]
  output.out(lines.join('\n'))
}
