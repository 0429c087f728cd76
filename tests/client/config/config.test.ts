import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DEFAULT_FILES, readClientConfig } from '../../../client/config/config.js'
import { ownFolder } from '../../support/own-folder.js'

const OWN = `server = https://reports.example/Fail2Ban-Report/
username = web1
password = hunter2
uuid = 7f3a
`
/** What an existing installation's file looks like. */
const PHP = `#!/bin/bash
# --- Fail2Ban-Report client ---
CLIENT_USER="web1"
CLIENT_PASS='hunt$er2'
CLIENT_UUID="7f3a"
BASE_URL="https://reports.example/Fail2Ban-Report/endpoint"
ENDPOINT_URL="$BASE_URL/index.php"
UPDATE_URL="\${BASE_URL}/update.php"
DOWNLOAD_URL="$BASE_URL/download.php"   # lists
BACKSYNC_URL="$BASE_URL/backsync.php"
BASE="/opt/Fail2Ban-Report"
OUTPUT_JSON_DIR="$BASE/archive/fail2ban"
BLOCKLIST_DIR="$BASE/archive/blocklists"
CLIENT_LOG="/var/log/fail2ban-report-client.log"
`

async function file(t: Test, text: string, mode = 0o600): Promise<string> {
  const path = join(ownFolder(t), 'client.conf')
  await writeFile(path, text)
  await chmod(path, mode)
  return path
}
const read = (path: string | undefined, flags = {}, env = {}) => readClientConfig({ file: path, flags, env })

t.test('a file of ours: one server URL makes all four', async t => {
  const config = read(await file(t, OWN))
  const endpoint = 'https://reports.example/Fail2Ban-Report/endpoint'
  t.match(config, {
    username: 'web1',
    password: 'hunter2',
    uuid: '7f3a',
    urls: {
      index: `${endpoint}/index.php`,
      update: `${endpoint}/update.php`,
      download: `${endpoint}/download.php`,
      syncback: `${endpoint}/syncback.php`
    },
    log: '/var/log/fail2ban.log',
    state: '/var/lib/fail2ban-report',
    eventsDir: '/var/lib/fail2ban-report/events',
    blocklistDir: '/var/lib/fail2ban-report/blocklists',
    caFile: undefined,
    clientLog: undefined,
    metricsFile: undefined,
    firewall: 'auto',
    neverBlock: [],
    widest: { 4: 8, 6: 19 },
    interval: 300,
    timeout: 30_000,
    warnings: []
  })
})

t.test('all keys of a file of ours', async t => {
  const config = read(
    await file(
      t,
      `${OWN}log=/l\nstate=/s\nevents_dir=/e\nblocklist_dir=/b\nclient_log=/c\nmetrics_file=/m\nfirewall=ipset\nca_file=/ca\n` +
        'never_block="192.0.2.0/24, 2001:DB8::1"\nwidest4=16\nwidest6=32\ninterval=60\ntimeout=5\n'
    )
  )
  t.match(config, {
    log: '/l',
    state: '/s',
    eventsDir: '/e',
    blocklistDir: '/b',
    clientLog: '/c',
    metricsFile: '/m',
    firewall: 'ipset',
    caFile: '/ca',
    neverBlock: ['192.0.2.0/24', '2001:db8::1'],
    widest: { 4: 16, 6: 32 },
    interval: 60,
    timeout: 5000
  })
})

t.test("an existing client's config.env is understood", async t => {
  const config = read(await file(t, PHP))
  t.match(config, {
    username: 'web1',
    password: 'hunt$er2',
    uuid: '7f3a',
    urls: {
      index: 'https://reports.example/Fail2Ban-Report/endpoint/index.php',
      syncback: 'https://reports.example/Fail2Ban-Report/endpoint/backsync.php'
    },
    eventsDir: '/opt/Fail2Ban-Report/archive/fail2ban',
    blocklistDir: '/opt/Fail2Ban-Report/archive/blocklists',
    clientLog: '/var/log/fail2ban-report-client.log',
    log: '/var/log/fail2ban.log',
    warnings: []
  })
})

t.test('flags go over environment, environment over file', async t => {
  const path = await file(t, `${OWN}interval=60\nlog=/file\nstate=/file\n`)
  const env = { F2BR_LOG: '/env', F2BR_STATE: '/env', F2BR_PASSWORD: 'from-env' }
  t.match(read(path, { log: '/flag' }, env), {
    log: '/flag',
    state: '/env',
    interval: 60,
    password: 'from-env'
  })
})

t.test('environment alone is enough, and may name the file', async t => {
  const env = {
    F2BR_SERVER: 'https://reports.example',
    F2BR_USERNAME: 'web1',
    F2BR_PASSWORD: 'p',
    F2BR_UUID: 'u'
  }
  const none = await file(t, '')
  t.match(read(none, {}, env), { urls: { index: 'https://reports.example/endpoint/index.php' } })
  t.match(read(undefined, {}, { F2BR_CONFIG: await file(t, OWN) }), { username: 'web1' })
})

t.test('secrets are no flags', async t => {
  const path = await file(t, OWN)
  t.match(read(path, { password: 'argv', uuid: 'argv' }), { password: 'hunter2', uuid: '7f3a' })
})

t.test('the password may be in a file of its own', async t => {
  const path = join(ownFolder(t, { secret: 'hunter3\n' }), 'secret')
  await chmod(path, 0o600)
  const conf = OWN.replace('password = hunter2', `password_file = ${path}`)
  await writeFile(`${path}.conf`, conf)
  t.match(read(`${path}.conf`), { password: 'hunter3', warnings: [] })
  await chmod(path, 0o644)
  t.match(read(`${path}.conf`).warnings, [
    { what: /holds the password and others can read it/, mend: /chmod 600/ }
  ])
  t.throws(() => read(undefined, { passwordFile: `${path}.none` }, { F2BR_CONFIG: `${path}.conf` }), {
    code: 'CONFIG',
    message: /password_file .*none can't be read \(ENOENT\)/
  })
})

t.test('what works but should be put right is a warning', async t => {
  t.match(read(await file(t, OWN, 0o640)).warnings, [{ what: /others can read it/, mend: /^chmod 600 .+/ }])
  t.match(read(await file(t, PHP, 0o644)).warnings, [{ what: /others can read it/, mend: /^chmod 600 .+/ }])
  t.strictSame(
    read(await file(t, OWN.replace(/password.*\n/, ''), 0o644), {}, { F2BR_PASSWORD: 'x' }).warnings,
    []
  )
  const plain = (server: string) => readClientConfig({ file: undefined, flags: { server }, env }).warnings
  const env = { F2BR_CONFIG: await file(t, OWN) }
  t.match(plain('http://reports.example'), [
    { what: /goes to reports\.example unencrypted/, mend: /use https/ }
  ])
  for (const server of [
    'http://127.0.0.1:8080',
    'http://[::1]:8080',
    'http://localhost/x',
    'https://reports.example'
  ]) {
    t.strictSame(plain(server), [], server)
  }
})

t.test('bad values are refused, with the name of the setting', async t => {
  const refused = async (text: string, message: RegExp) => {
    const path = await file(t, text)
    t.throws(() => read(path), { code: 'CONFIG', message }, text)
  }
  await refused(OWN.replace('web1', '../x'), /username.*letters, digits/)
  await refused(OWN.replace('https://', 'ftp://'), /server in .*: a URL that starts with https/)
  await refused(OWN.replace('reports', 'me:secret@reports'), /server in .*: no user name or password/)
  await refused(OWN.replace('Report/', 'Report/?a=b'), /server.*no \? or #/)
  await refused(`${OWN}firewall=pf\n`, /firewall in .*: one of auto, nftables, ufw, ipset, dry-run/)
  await refused(`${OWN}interval=0\n`, /interval in .*: a whole number from 1 to/)
  await refused(`${OWN}never_block=x\n`, /never_block in .*: addresses or networks/)
  await refused(
    `${OWN}intervall=5\n`,
    /intervall in .* line \d+: there is no such setting; the nearest is interval$/
  )
  await refused(OWN.replace(/uuid.*\n/, ''), /missing: uuid \(CLIENT_UUID\)/)
  await refused(OWN.replace('hunter2', '""'), /missing: password/)
  await refused(PHP.replace(/BACKSYNC_URL.*\n/, ''), /missing: server \(or all of ENDPOINT_URL/)
})

t.test('a file that is not there is an error; without --config the places looked at are named', async t => {
  t.throws(() => read('/nowhere/client.conf'), {
    code: 'CONFIG',
    message: /client\.conf can't be read \(ENOENT\)/
  })
  t.throws(
    () => readClientConfig({ file: undefined, flags: {}, env: {}, defaults: ['/nowhere/a', '/nowhere/b'] }),
    {
      code: 'CONFIG',
      message: /looked for \/nowhere\/a and \/nowhere\/b; give --config FILE/
    }
  )
  t.equal(DEFAULT_FILES.length, 2)
})

t.test('of the default files the first that exists counts', async t => {
  const dir = ownFolder(t, { 'b.conf': OWN, 'c.conf': PHP })
  const defaults = ['a', 'b', 'c'].map(name => join(dir, `${name}.conf`))
  t.match(readClientConfig({ flags: {}, env: {}, defaults }), { password: 'hunter2' })
})

t.test("the configuration can't be changed, and no error holds a secret", async t => {
  const config = read(await file(t, OWN))
  t.ok([config, config.urls, config.widest, config.neverBlock].every(item => Object.isFrozen(item)))
  const path = await file(t, `${OWN}PASS="sec$ret"\n`)
  try {
    read(path)
    t.fail('refused')
  } catch (error) {
    t.notMatch(String(error), /hunter2|\$ret/)
  }
})
