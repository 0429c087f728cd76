import { counted } from '../../common/counted.js'
import { access, stat } from 'node:fs/promises'
import { constants, existsSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand, type RunCommand } from '../../common/command.js'
import { look, type Finding } from '../../common/findings.js'
import { JsonFiles, corruptCopies, namesIn, type SetAside } from '../../common/json-file.js'
import { DEFAULT_FILES, readClientConfig, type ClientConfig } from '../config/config.js'
import { LocalLists } from '../cycle/local-lists.js'
import { guardOf, ownAddresses } from '../cycle/protect.js'
import { serverAddresses } from '../cycle/server-addresses.js'
import { wantedOf } from '../cycle/wanted.js'
import { Fail2ban } from '../fail2ban/fail2ban.js'
import { chooseFirewall } from '../firewall/choose.js'
import { planFirewall } from '../firewall/plan.js'
import { UfwFirewall, type UfwPaths } from '../firewall/ufw.js'
import { ServerLink } from '../server-link.js'
import { addressesIn, copiedText } from '../whitelist/plain-text.js'
import type { Output } from './sync.js'

const SKEW_MS = 60_000
const STALE_LOCK_MS = 60_000

/**
 * Looks this host over: settings, log, state, locks, server, clock, authentication, firewall, drift. Changes nothing
 * but sets corrupt data aside.
 */
export async function checkClient(
  flags: Record<string, unknown>,
  output: Output,
  run: RunCommand = runCommand,
  ufwPaths: Partial<UfwPaths> = {}
): Promise<Finding[]> {
  if (flags.side !== 'client' && !isClient(flags, output.env)) {
    return [
      {
        level: 'warning',
        what: `no client here: neither ${DEFAULT_FILES.join(' nor ')} is there`,
        mend: 'save what "fail2ban-report client add" printed on the server, or give --config FILE'
      }
    ]
  }
  let config: Readonly<ClientConfig>
  try {
    const file = typeof flags.config === 'string' ? flags.config : undefined
    config = readClientConfig({ file, flags, env: output.env })
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    return [{ level: 'problem', what, mend: 'mend the setting named, or give --config FILE' }]
  }
  const setAside: Finding[] = []
  const onSetAside = ({ movedTo }: SetAside) => void setAside.push(corruptCopy(movedTo))
  const files = new JsonFiles({ clock: Date.now, onSetAside })
  const found = [
    ...config.warnings.map((warning): Finding => ({ level: 'warning', ...warning })),
    ...(await look('log', 'name it with --log, and let this user read it', () => checkLog(config))),
    ...(await checkFail2ban(config, run)),
    ...(await look('state', 'run as root, or choose another --state', () => checkState(config))),
    ...(await checkServer(config)),
    ...(await look('firewall', 'do what the message says, as root', () =>
      checkFirewall(config, files, run, ufwPaths)
    ))
  ]
  return [...found, ...setAside]
}

function isClient(flags: Record<string, unknown>, env: Output['env']): boolean {
  const named = flags.config ?? flags.server ?? env.F2BR_CONFIG ?? env.F2BR_SERVER
  return named !== undefined || DEFAULT_FILES.some(file => existsSync(file))
}

async function checkLog({ log }: ClientConfig): Promise<Finding> {
  await access(log, constants.R_OK)
  const { mtimeMs } = await stat(log)
  const days = (Date.now() - mtimeMs) / 86_400_000
  return days > 7
    ? {
        level: 'warning',
        what: `${log} has not changed for ${Math.floor(days)} days`,
        mend: 'is fail2ban running, and is this its logtarget?'
      }
    : { level: 'ok', what: `${log} can be read` }
}

/** With a firewall that is only played, fail2ban is left alone. */
async function checkFail2ban(config: ClientConfig, run: RunCommand): Promise<Finding[]> {
  if (config.firewall === 'dry-run') return []
  return look('fail2ban', 'run as root; else it is to answer "fail2ban-client ping"', () =>
    lookAtFail2ban(new Fail2ban(run, config.fail2ban))
  )
}

async function lookAtFail2ban(fail2ban: Fail2ban): Promise<Finding> {
  if ((await fail2ban.version()) === undefined) return { level: 'ok', what: 'fail2ban is not installed here' }
  if (await fail2ban.isRunning()) return { level: 'ok', what: 'fail2ban runs' }
  return {
    level: 'problem',
    what: 'fail2ban is installed and does not run: it bans nobody, and heeds no whitelist',
    mend: 'systemctl enable --now fail2ban; "fail2ban-client -t" says what is wrong with its settings'
  }
}

async function checkState({ state, blocklistDir, eventsDir }: ClientConfig): Promise<Finding[]> {
  const info = await stat(state).catch(() => undefined)
  if (info === undefined) return [{ level: 'ok', what: `${state} will be made by the first sync` }]
  await access(state, constants.W_OK)
  const found: Finding[] = [{ level: 'ok', what: `${state} can be written` }]
  for (const folder of [state, blocklistDir, eventsDir]) {
    const mode = (await stat(folder).catch(() => undefined))?.mode ?? 0
    if ((mode & 0o022) !== 0) {
      found.push({
        level: 'problem',
        what: `others can write to ${folder}, and so choose what this host blocks`,
        mend: `chmod go-w ${folder}`
      })
    }
    for (const copy of await corruptCopies(folder)) found.push(corruptCopy(join(folder, copy)))
    for (const name of (await namesIn(folder)).filter(item => item.endsWith('.lock'))) {
      const lock = await stat(join(folder, name)).catch(() => undefined)
      if (lock === undefined || Date.now() - lock.mtimeMs < STALE_LOCK_MS) continue
      found.push({
        level: 'warning',
        what: `an abandoned lock: ${join(folder, name)}`,
        mend: 'none needed: the next sync takes it over; rmdir removes it'
      })
    }
  }
  return found
}

function corruptCopy(path: string): Finding {
  return {
    level: 'warning',
    what: `a corrupt file was set aside: ${path}`,
    mend: 'the next sync fetches the list anew; delete the copy'
  }
}

/** A server that does not answer can't tell whether it knows this host either. */
async function checkServer(config: ClientConfig): Promise<Finding[]> {
  const seen = { answers: false }
  const found = await look('server', 'check the URL, the network, the certificate (--ca-file)', async () => {
    const found = await checkServerClock(config)
    seen.answers = true
    return found
  })
  if (!seen.answers) return found
  const mend = 'do what the message says; else compare with "fail2ban-report client list" on the server'
  return [...found, ...(await look('authentication', mend, () => checkAuthentication(config)))]
}

async function checkServerClock(config: ClientConfig): Promise<Finding[]> {
  const link = linkOf(config)
  try {
    const { status, headers } = await link.reach()
    const found: Finding[] =
      status === 405
        ? [{ level: 'ok', what: `${new URL(config.urls.update).host} answers` }]
        : [
            {
              level: 'problem',
              what: `the server answered ${status} where 405 is expected`,
              mend: 'is the base path in the URL right?'
            }
          ]
    const skew = Date.parse(headers.date ?? '') - Date.now()
    if (Math.abs(skew) > SKEW_MS) {
      found.push({
        level: 'warning',
        what: `clocks differ by ${Math.round(skew / 1000)} s`,
        mend: 'let both machines keep time by NTP'
      })
    }
    return found
  } finally {
    link.close()
  }
}

async function checkAuthentication(config: ClientConfig): Promise<Finding> {
  const link = linkOf(config)
  try {
    // A name no server has a copy of: right credentials get "not found", and nothing is handed out.
    await link.download('doctor.blocklist.json' as Parameters<ServerLink['download']>[0])
    return { level: 'ok', what: `the server knows this host as ${config.username}` }
  } finally {
    link.close()
  }
}

function linkOf(config: ClientConfig): ServerLink {
  const { urls, username, password, uuid, caFile, timeout } = config
  return new ServerLink({ urls, username, password, uuid, caFile, timeout, pauses: [] })
}

async function checkFirewall(
  config: ClientConfig,
  files: JsonFiles,
  run: RunCommand,
  ufwPaths: Partial<UfwPaths>
): Promise<Finding[]> {
  const dryRunFile = join(config.state, 'dry-run-firewall.json')
  const firewall = await chooseFirewall(config.firewall, { run, files, dryRunFile, ufwPaths })
  const inForce = await firewall.list()
  const lists = await new LocalLists(files, config.blocklistDir).all()
  const guard = guardOf(
    ownAddresses(),
    await serverAddresses(Object.values(config.urls)),
    config.neverBlock,
    config.widest,
    config.whitelist.enabled ? addressesIn(await copiedText(config.whitelist.path)) : []
  )
  const wanted = wantedOf(lists, guard, Date.now())
  const { add, remove } = planFirewall(wanted.block, inForce, wanted.ended)
  const found: Finding[] = [
    { level: 'ok', what: `${firewall.name} holds ${counted(inForce.own.size, 'block')} of ours` }
  ]
  if (add.length + remove.length > 0) {
    found.push({
      level: 'warning',
      what: `drift: ${add.length} to be blocked, ${remove.length} to be let in`,
      mend: 'fail2ban-report sync'
    })
  }
  if (firewall.name === 'nftables' || firewall.name === 'ipset')
    found.push(...(await checkUfwBeside(firewall.name, new UfwFirewall(run, ufwPaths))))
  return found
}

/** An address let in again stays out where ufw denies it too, and nobody takes that back. */
async function checkUfwBeside(used: string, ufw: UfwFirewall): Promise<Finding[]> {
  // Most hosts have no ufw.
  if (!(await ufw.active().catch(() => false))) return []
  const { own, alike, behind } = await ufw.list()
  const [denied] = [...own, ...alike, ...behind]
  if (denied === undefined) return []
  const count = own.size + alike.size + behind.size
  const what = `ufw denies ${counted(count, 'address', 'addresses')} (or networks) by itself, such as ${denied}: an unblock in ${used} does not let them in`
  const mend = 'ufw status numbered, and ufw delete what an earlier client left; or use firewall = ufw'
  return [{ level: 'warning', what, mend }]
}
