import type { Command } from 'commander'
import { ProductError } from '../../common/errors.js'
import { look, type Finding } from '../../common/findings.js'
import { printable } from '../../common/names.js'
import { addFlags, type SettingTable } from '../../common/settings.js'
import type { Output } from './sync.js'

/** One side's looks. */
export type Check<T extends Output> = (flags: Record<string, unknown>, output: T) => Promise<Finding[]>

const MARKS = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' }

/**
 * `doctor`: finds what is wrong on either side and says how to mend it. Ends with 1 when there is a problem.
 * @param settings of both sides, as flags
 */
export function addDoctorCommand<T extends Output>(
  program: Command,
  output: T,
  checks: { server: Check<T>; client: Check<T> },
  settings: SettingTable
): void {
  const command = program
    .command('doctor')
    .description('find what is wrong with this installation, and how to mend it')
    .option('--config <FILE>', 'client.conf, or the config.env of an existing client [env: F2BR_CONFIG]')
    .option('--side <server|client|both>', 'what to look at', 'both')
  addFlags(command, settings)
    .option('--json', 'print JSON for machines instead of text')
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report doctor\n  fail2ban-report doctor --side client --json'
    )
    .action(async (flags: Record<string, unknown>) => {
      const side = String(flags.side)
      if (!['server', 'client', 'both'].includes(side)) {
        throw new ProductError('BAD_INPUT', '--side takes server, client or both')
      }
      const found: (Finding & { side: string })[] = []
      const mend =
        "do what the message says; for files that may not be used, run as root or as the server's user"
      for (const name of ['server', 'client'] as const) {
        if (side !== name && side !== 'both') continue
        const looks = await look('files', mend, () => checks[name](flags, output))
        found.push(...looks.map(finding => ({ side: name, ...finding })))
      }
      output.out(flags.json === true ? JSON.stringify(found, null, 2) : found.map(inWords).join('\n'))
      if (found.some(finding => finding.level === 'problem')) process.exitCode = 1
    })
}

function inWords(finding: Finding & { side: string }): string {
  const line = `${MARKS[finding.level]}  ${finding.side}: ${printable(finding.what, 500)}`
  return finding.mend === undefined ? line : `${line}\n         -> ${finding.mend}`
}
