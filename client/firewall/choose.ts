import type { RunCommand } from '../../common/command.js'
import { ProductError, messageOf } from '../../common/errors.js'
import type { JsonFiles } from '../../common/json-file.js'
import { DryRunFirewall } from './dry-run.js'
import { IpsetFirewall } from './ipset.js'
import { NftablesFirewall } from './nftables.js'
import type { Firewall } from './types.js'
import { UfwFirewall, type UfwPaths } from './ufw.js'

/** Values of the setting `firewall`. */
export const FIREWALL_KINDS = ['auto', 'nftables', 'ufw', 'ipset', 'dry-run'] as const
export type FirewallKind = (typeof FIREWALL_KINDS)[number]

/** What choosing needs from outside. */
export interface FirewallDeps {
  run: RunCommand
  /** True when this process may change the firewall; by default when it runs as root. */
  isRoot?: boolean
  files: JsonFiles
  /** The file that stands for the firewall in a dry run. */
  dryRunFile: string
  ufwPaths?: Partial<UfwPaths>
}

const INSTALL = {
  nftables: 'install nftables (the command nft)',
  ufw: 'install ufw and enable it',
  ipset: 'install ipset and iptables'
} as const

/**
 * Gives the firewall of a kind, having made sure that its tools work. `auto` stays with the firewall that is already
 * in use: our table in nftables, an active ufw that holds blocks of ours or alike, our sets in ipset. Thus no block is
 * left behind in another one. Else it takes nftables, else ipset.
 * @throws ProductError FIREWALL saying what to install or that root is needed
 */
export async function chooseFirewall(kind: FirewallKind, deps: FirewallDeps): Promise<Firewall> {
  if (kind === 'dry-run') return new DryRunFirewall(deps.files, deps.dryRunFile)
  if (!(deps.isRoot ?? process.getuid?.() === 0)) {
    throw new ProductError('FIREWALL', 'only root can change it; run with sudo, or try it out with dry-run')
  }
  const nftables = new NftablesFirewall(deps.run)
  const ufw = new UfwFirewall(deps.run, deps.ufwPaths)
  const ipset = new IpsetFirewall(deps.run)
  const looks = {
    nftables: () => nftables.installed(),
    ufw: () => ufw.active(),
    ipset: () => ipset.installed()
  }
  if (kind !== 'auto') {
    const { works, inUse, why } = await look(looks[kind])
    if (kind === 'ufw' && works && !inUse) {
      throw new ProductError(
        'FIREWALL',
        'ufw is not active, and blocks nothing; run "ufw enable", or choose another'
      )
    }
    if (works) return { nftables, ufw, ipset }[kind]
    throw new ProductError('FIREWALL', `${kind} does not work here; ${INSTALL[kind]} (${why})`)
  }
  const inNftables = await look(looks.nftables)
  if (inNftables.inUse) return nftables
  if ((await look(looks.ufw)).inUse && (await look(() => holdsBlocks(ufw))).inUse) return ufw
  const inIpset = await look(looks.ipset)
  if (inIpset.inUse) return ipset
  if (inNftables.works) return nftables
  if (inIpset.works) return ipset
  throw new ProductError(
    'FIREWALL',
    `none works here; ${INSTALL.nftables}, or ${INSTALL.ipset} (${inNftables.why}; ${inIpset.why})`
  )
}

// A tool that answers is there and may be used; the answer tells whether the firewall is in use.
async function look(ask: () => Promise<boolean>): Promise<{ works: boolean; inUse: boolean; why: string }> {
  try {
    return { works: true, inUse: await ask(), why: '' }
  } catch (error) {
    return { works: false, inUse: false, why: messageOf(error) }
  }
}

/** The old client appended its denials: most hosts have them behind a rule that accepts. */
async function holdsBlocks(ufw: UfwFirewall): Promise<boolean> {
  const { own, alike, behind } = await ufw.list()
  return own.size + alike.size + behind.size > 0
}
