import { chmod, mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { replaceDurably } from '../../common/durable-file.js'
import { ProductError, systemCode } from '../../common/errors.js'
import { packageRoot } from '../../common/package-root.js'
import { addFlags } from '../../common/settings.js'
import { readClientConfig, SYNC_SETTINGS, type ClientConfig } from '../config/config.js'
import type { Output } from './sync.js'

/** The shipped action. */
const SHIPPED = join(packageRoot(), 'client/fail2ban/action.d/fail2ban-report.conf')
const NAME = 'fail2ban-report'
const CURL = '/etc/fail2ban-report/callback.curl'

/** A file of the host as it should be. */
interface Wanted {
  path: string
  text: string
  mode: number
}

/** `client install-action`: puts fail2ban's action in place, on the host. */
export function addInstallAction(program: Command, output: Output): void {
  const client = program.commands.find(command => command.name() === 'client')
  if (client === undefined) return
  addFlags(
    client
      .command('install-action')
      .description("on a host: install fail2ban's action that tells the server of bans as they happen")
      .option('--config <FILE>', 'client.conf [env: F2BR_CONFIG]')
      .option('--fail2ban <DIR>', "fail2ban's own configuration", '/etc/fail2ban')
      .option('--curl-file <FILE>', "file of curl's settings, with the secret", CURL)
      .option('--dry-run', 'only say what would be written'),
    { server: SYNC_SETTINGS.server }
  )
    .addHelpText(
      'after',
      '\nExamples:\n  fail2ban-report client install-action --dry-run\n  fail2ban-report client install-action'
    )
    .action(async (flags: Record<string, unknown>) => {
      const file = typeof flags.config === 'string' ? flags.config : undefined
      const { server } = flags
      const config = readClientConfig({
        file,
        flags: server === undefined ? {} : { server },
        env: output.env
      })
      const wanted = await wantedFiles(config, String(flags.fail2ban), String(flags.curlFile))
      for (const one of wanted) output.out(await put(one, flags.dryRun === true))
      output.out(
        `Add it to your jails in jail.local, then "fail2ban-client reload":\n\naction = %(action_)s\n         ${NAME}`
      )
    })
}

/** Where the action's files lie unless flags say otherwise. @param fail2ban its folder of settings */
export function actionFiles(fail2ban: string, curl = CURL): [action: string, local: string, curl: string] {
  const at = (end: string) => join(fail2ban, 'action.d', `${NAME}.${end}`)
  return [at('conf'), at('local'), curl]
}

async function wantedFiles(
  config: Readonly<ClientConfig>,
  fail2ban: string,
  curl: string
): Promise<Wanted[]> {
  if (config.callbackSecret === '') {
    throw new ProductError(
      'CONFIG',
      `callback_secret is missing; make one on the server with "fail2ban-report client edit ${config.username} --renew-callback" and add it to the configuration`
    )
  }
  const server = config.urls.update.replace(/\/endpoint\/update\.php$/, '')
  if (server === config.urls.update) {
    throw new ProductError(
      'CONFIG',
      "--server is needed: the server's URL can't be told from that of update.php"
    )
  }
  const values = { server, host: config.username, curl }
  for (const [name, value] of Object.entries(values)) {
    // They stand in a shell's command line and in an INI file.
    if (!/^[\w:/.[\]~@+-]+$/.test(value)) {
      throw new ProductError(
        'CONFIG',
        `${name}: only letters, digits and : / . - _ ~ @ + [ ] can stand in it`
      )
    }
  }
  const init = Object.entries(values).map(([name, value]) => `${name} = ${value}\n`)
  const secret = [
    `header = "X-Callback-Secret: ${quoted(config.callbackSecret)}"\n`,
    ...(config.caFile === undefined ? [] : [`cacert = "${quoted(config.caFile)}"\n`])
  ]
  const shipped = await readFile(SHIPPED, 'utf8')
  const [action, local, settings] = actionFiles(fail2ban, curl)
  return [
    { path: action, text: shipped, mode: 0o644 },
    { path: local, text: `[Init]\n${init.join('')}`, mode: 0o644 },
    { path: settings, text: secret.join(''), mode: 0o600 }
  ]
}

/** Text within quotes of curl's settings file. */
function quoted(text: string): string {
  return text.replaceAll(/["\\]/g, '\\$&')
}

/** Writes a file that is not as it should be. @returns what was done, in words */
async function put({ path, text, mode }: Wanted, dryRun: boolean): Promise<string> {
  try {
    const known = await readFile(path, 'utf8').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    })
    if (known === text) {
      if (!dryRun) await chmod(path, mode)
      return `unchanged ${path}`
    }
    if (dryRun) return `would write ${path}`
    await mkdir(dirname(path), { recursive: true })
    await replaceDurably(path, text, { mode })
    return `written ${path}`
  } catch (error) {
    throw new ProductError('DISK', `${path} (${systemCode(error) ?? 'unknown error'}); run it as root`, error)
  }
}
