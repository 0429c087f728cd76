import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { CommandResult, RunCommand } from '../../../common/command.js'
import { ProductError } from '../../../common/errors.js'
import { JsonFiles } from '../../../common/json-file.js'
import { chooseFirewall, type FirewallKind } from '../../../client/firewall/choose.js'
import { tableText } from '../../../client/firewall/nft-table.js'
import { ownFolder } from '../../support/own-folder.js'

const ok = (stdout: string): CommandResult => ({ code: 0, stdout, stderr: '' })
const failed = (stderr: string): CommandResult => ({ code: 1, stdout: '', stderr })

const UFW_ON = `*filter
:INPUT DROP [0:0]
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -s 192.0.2.7/32 -j DROP
COMMIT
`
const RULES = ok('*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n')

/** What a program of the host answers; a program that is not there cannot be started. */
type Host = Record<string, CommandResult | undefined>
const nothing: Host = {
  nft: ok('table inet f2b-table {\n}\n'),
  ipset: ok(''),
  'iptables-save': RULES,
  'ip6tables-save': RULES
}
const ufwRules = (tuple: string) => `*filter\n### RULES ###\n${tuple}\n### END RULES ###\nCOMMIT\n`
const DENY =
  '\n### tuple ### deny any any 0.0.0.0/0 any 192.0.2.7 in\n-A ufw-user-input -s 192.0.2.7 -j DROP\n'

const cases: {
  name: string
  host: Host
  kind?: FirewallKind
  ufw?: string
  chosen?: string
  error?: RegExp
}[] = [
  { name: 'nftables is the first choice', host: nothing, chosen: 'nftables' },
  { name: 'ipset is taken where nft is missing', host: { ...nothing, nft: undefined }, chosen: 'ipset' },
  {
    name: 'ipset is taken where nft is not allowed',
    host: { ...nothing, nft: failed('Operation not permitted') },
    chosen: 'ipset'
  },
  {
    name: 'where nothing works the error says what to install',
    host: {},
    error: /install nftables .*install ipset and iptables/
  },
  {
    name: 'ufw that holds a block is kept to',
    host: { ...nothing, 'iptables-save': ok(UFW_ON) },
    ufw: DENY,
    chosen: 'ufw'
  },
  {
    name: 'ufw without a block is left alone',
    host: { ...nothing, 'iptables-save': ok(UFW_ON) },
    ufw: '',
    chosen: 'nftables'
  },
  { name: 'ufw that is off is left alone', host: nothing, ufw: DENY, chosen: 'nftables' },
  {
    name: 'blocks in nftables are kept to when somebody adds a rule to ufw',
    host: {
      ...nothing,
      nft: ok('table inet f2b-table {\n}\ntable inet fail2ban_report {\n}\n'),
      'iptables-save': ok(UFW_ON)
    },
    ufw: DENY,
    chosen: 'nftables'
  },
  {
    name: 'blocks in an ipset are kept to when nft is installed',
    host: { ...nothing, ipset: ok('fail2ban-report-4\nfail2ban-report-6\n') },
    chosen: 'ipset'
  },
  { name: 'a firewall asked for by name is given', kind: 'ipset', host: nothing, chosen: 'ipset' },
  { name: 'a dry run needs no tool', kind: 'dry-run', host: {}, chosen: 'dry-run' },
  {
    name: 'nftables by name without nft is an error',
    kind: 'nftables',
    host: {},
    error: /nftables does not work here; install nftables.*nft could not be started/
  },
  {
    name: 'ipset by name without ipset is an error',
    kind: 'ipset',
    host: { ...nothing, ipset: undefined },
    error: /install ipset and iptables/
  },
  {
    name: 'ufw by name that is off or missing is an error',
    kind: 'ufw',
    host: nothing,
    error: /install ufw|ufw is not active/
  }
]

for (const { name, host, kind = 'auto', ufw, chosen, error } of cases) {
  t.test(name, async t => {
    const folder = ownFolder(t)
    if (ufw !== undefined) {
      await mkdir(join(folder, 'ufw'))
      await writeFile(join(folder, 'ufw', 'ufw.conf'), 'ENABLED=yes\n')
      await writeFile(join(folder, 'ufw', 'user.rules'), ufwRules(ufw))
      await writeFile(join(folder, 'default'), 'IPV6=no\n')
    }
    const run: RunCommand = async program => {
      const answer = host[program]
      if (answer === undefined) throw new ProductError('COMMAND', `${program} could not be started`)
      return answer
    }
    const choice = chooseFirewall(kind, {
      run,
      isRoot: true,
      files: new JsonFiles({ clock: () => 0, onSetAside: () => undefined }),
      dryRunFile: join(folder, 'dry-run.json'),
      ufwPaths: {
        rules: join(folder, 'ufw'),
        defaults: join(folder, 'default'),
        lock: join(folder, 'ufw.lock')
      }
    })
    if (error === undefined) t.equal((await choice).name, chosen)
    else await t.rejects(choice, { code: 'FIREWALL', message: error })
  })
}

t.test('without root only a dry run can be had', async t => {
  const deps = {
    run: async () => ok(''),
    isRoot: false,
    files: new JsonFiles({ clock: () => 0, onSetAside: () => undefined }),
    dryRunFile: join(ownFolder(t), 'dry-run.json')
  }
  for (const kind of ['auto', 'nftables', 'ufw', 'ipset'] as const) {
    await t.rejects(chooseFirewall(kind, deps), { code: 'FIREWALL', message: /root/ }, kind)
  }
  t.equal((await chooseFirewall('dry-run', deps)).name, 'dry-run')
})

t.test('an empty table has no empty element list', async t => {
  t.notMatch(tableText(new Map()), /elements/)
})
