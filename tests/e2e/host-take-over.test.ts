import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { ufwHost } from '../client/firewall/ufw-host.js'
import { Installation, execute } from '../support/installation.js'
import { available, createNamespace, joinByVeth, type Namespace } from '../support/netns.js'
import { ownFolder } from '../support/own-folder.js'

const skip = available('ufw', 'iptables', 'ip6tables', 'nft', 'jq', 'curl', 'bash') ?? false

// What the old client does with what it fetches: `ufw deny from`, appended; what is blocked is no longer pending;
// back to backsync.php.
const OLD_CLIENT = `
set -euo pipefail
source "$1"
who=(-F "username=$CLIENT_USER" -F "password=$CLIENT_PASS" -F "uuid=$CLIENT_UUID")
for list in $(curl -sS "\${who[@]}" "$UPDATE_URL" | jq -r '.updates[]'); do
  curl -sS --fail -o "$BLOCKLIST_DIR/$list" "\${who[@]}" "$DOWNLOAD_URL?file=$list"
  for ip in $(jq -r '.[] | select(.active != false) | .ip' "$BLOCKLIST_DIR/$list"); do
    ufw status | grep -qw "$ip" || ufw deny from "$ip" >/dev/null
  done
  jq 'map(.pending = false)' "$BLOCKLIST_DIR/$list" > "$BLOCKLIST_DIR/new" && mv "$BLOCKLIST_DIR/new" "$BLOCKLIST_DIR/$list"
  curl -sS "\${who[@]}" -F "file[]=@$BLOCKLIST_DIR/$list" "$BACKSYNC_URL" | jq -e .success >/dev/null
done
`

// Counts datagrams by sender until its input ends.
const RECEIVER = `
import json, select, socket, sys
seen = {}
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(('::', 7777))
print('ready', flush=True)
while True:
    if sys.stdin in (ready := select.select([s, sys.stdin], [], [])[0]):
        break
    sender = s.recvfrom(99)[1][0].removeprefix('::ffff:')
    seen[sender] = seen.get(sender, 0) + 1
print(json.dumps(seen))
`
// Sends without a pause worth mentioning, from each address in turn.
const SENDER = `
import socket, sys, time
sockets = []
for address, to in (pair.split('>') for pair in sys.argv[1:]):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 0))
    sockets.append((s, to))
print('ready', flush=True)
while True:
    for s, to in sockets:
        try:
            s.sendto(b'x', (to, 7777))
        except OSError:
            pass
    time.sleep(0.002)
`

async function python(where: Namespace, code: string, ...args: string[]): Promise<ChildProcess> {
  const [nsenter, ...words] = [...where.prefix, 'python3', '-I', '-c', code, ...args] as [string, ...string[]]
  const child = spawn(nsenter, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

t.test(
  'a host of the bash client is moved to ours with its config.env and keeps its state',
  { skip },
  async t => {
    const at = new Installation(ownFolder(t, { ufw: {}, lists: {}, events: {} }))
    const [server, attacker] = [await createNamespace('server'), await createNamespace('attacker')]
    const { host, ufw, paths } = await ufwHost(at.path('ufw'))
    const helpers: ChildProcess[] = []
    t.teardown(async () => {
      for (const one of helpers) one.kill('SIGKILL')
      await at.stop()
      await Promise.all([server, attacker, host].map(one => one.destroy()))
    })
    await joinByVeth(server, ['10.77.0.1/24'], host, ['10.77.0.2/24'])
    const bad = (last: number) => `203.0.113.${last}`
    await joinByVeth(attacker, [...[1, 2, 3, 4, 50].map(last => `${bad(last)}/24`), '2001:db8::1/64'], host, [
      '203.0.113.254/24',
      '2001:db8::fe/64'
    ])
    await at.serve(server, '--host', '10.77.0.1')
    const { username, password, uuid } = await at.addHost('old-1')
    const change = (want: string, ...ips: string[]) =>
      at.cli([want, ...ips, '--server', 'old-1', '--jail', 'sshd', ...at.folders])
    const config = at.path('config.env')
    const endpoint = (name: string) => `${at.url}/endpoint/${name}.php`
    await writeFile(
      config,
      [
        ...[`CLIENT_USER="${username}"`, `CLIENT_PASS="${password}"`, `CLIENT_UUID="${uuid}"`],
        ...[`ENDPOINT_URL="${endpoint('index')}"`, `UPDATE_URL="${endpoint('update')}"`],
        ...[`DOWNLOAD_URL="${endpoint('download')}"`, `BACKSYNC_URL="${endpoint('backsync')}"`],
        ...[`OUTPUT_JSON_DIR="${at.path('events')}"`, `BLOCKLIST_DIR="${at.path('lists')}"`],
        `CLIENT_LOG="${at.path('client.log')}"`
      ].join('\n'),
      { mode: 0o600 }
    )
    const line = (ip: string) =>
      `2026-03-01 10:00:00,123 fail2ban.actions        [812]: NOTICE  [sshd] Ban ${ip}\n`
    await writeFile(at.path('fail2ban.log'), line('192.0.2.1') + line('192.0.2.2'))
    await writeFile(
      at.path('events', 'fail2ban-events-20260301.json'),
      '[{"timestamp":"2026-03-01 10:00:00,123","action":"Ban","ip":"192.0.2.1","jail":"sshd"}]'
    )
    const oldCycle = async () => {
      const ended = await execute([...host.prefix, 'bash', '-c', OLD_CLIENT, 'client', config])
      t.equal(ended.code, 0, ended.err)
    }

    // Under the old client: two blocks and an IPv6 one, then a service is opened, then two more behind it.
    await ufw('--force', 'enable')
    await change('block', bad(1), bad(2), '2001:db8::1')
    await oldCycle()
    await ufw('allow', '7777/udp')
    await change('block', bad(3), bad(4))
    await oldCycle()
    // Asked for, and not yet fetched when the host changes over.
    await change('unblock', bad(2), bad(4))

    const receiver = await python(host, RECEIVER)
    const senders = [1, 3, 50].map(last => `${bad(last)}>203.0.113.254`)
    helpers.push(receiver, await python(attacker, SENDER, ...senders, '2001:db8::1>2001:db8::fe'))

    const sync = async () => {
      const flags = ['--config', config, '--state', at.path('state'), '--log', at.path('fail2ban.log')]
      const ended = await at.cli(['sync', ...flags, '--json'], { where: host })
      t.equal(ended.code, 0, ended.err)
      return JSON.parse(ended.out) as Record<string, unknown>
    }
    const status = () => ufw('status')
    t.match(await sync(), { added: 1, notInForce: 0, downloaded: ['sshd.blocklist.json'] })
    const first = await status()
    t.match(first, /DENY +203\.0\.113\.1\b/)
    t.match(first, /DENY +2001:db8::1\b/)
    t.match(
      first,
      /DENY +203\.0\.113\.3 +# fail2ban-report/,
      'one that was behind the open service is ahead of it'
    )
    t.notMatch(first, /203\.0\.113\.2\b/, 'an unblock that waited is carried out')
    t.notMatch(first, /203\.0\.113\.4\b/, 'also of a rule behind one that accepts')
    t.notMatch(await host.exec('nft', 'list', 'ruleset'), /fail2ban_report/, 'it stays with ufw')
    t.match(
      (await at.list('old-1', 'sshd')).map(({ ip, active, pending }) => ({ ip, active, pending })),
      [bad(1), '2001:db8::1', bad(3)].map(ip => ({ ip, active: true, pending: false }))
    )
    t.equal((await at.list('old-1', 'sshd')).length, 3)
    const day = await readFile(
      at.path('archive', 'old-1', 'fail2ban', 'fail2ban-events-20260301.json'),
      'utf8'
    )
    t.same(
      (JSON.parse(day) as { ip: string }[]).map(one => one.ip),
      ['192.0.2.1', '192.0.2.2'],
      'what the old client had read is there once'
    )

    const rules = await readFile(`${paths.rules}/user.rules`, 'utf8')
    t.match(await sync(), { added: 0, removed: 0, newEvents: 0, downloaded: [] })
    t.equal(await readFile(`${paths.rules}/user.rules`, 'utf8'), rules, 'a second cycle changes nothing')

    receiver.stdin!.end()
    const [told] = (await once(receiver.stdout!, 'data')) as [Buffer]
    const seen = JSON.parse(told.toString()) as Record<string, number>
    t.ok((seen[bad(50)] ?? 0) > 100, `others reach the service: ${JSON.stringify(seen)}`)
    t.equal(seen[bad(1)], undefined, 'not one packet of a blocked address came through')
    t.equal(seen['2001:db8::1'], undefined, 'nor of an IPv6 one')

    await change('unblock', bad(1), bad(3), '2001:db8::1')
    await sync()
    t.notMatch(await status(), /203\.0\.113|2001:db8/, 'nothing of the old client is left behind')
    t.strictSame(await at.list('old-1', 'sshd'), [])
  }
)
