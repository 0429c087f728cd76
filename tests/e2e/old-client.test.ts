import { readFile } from 'node:fs/promises'
import t from 'tap'
import { Installation, execute } from '../support/installation.js'
import { spawnSync } from 'node:child_process'

const missing = ['bash', 'curl', 'jq'].find(tool => spawnSync('which', [tool]).status !== 0)

// What existing clients do, in their own means: form fields, urlencoded download, file[] to backsync.php.
const CLIENT = `
set -euo pipefail
BASE=$1 USER=$2 PASS=$3 UUID=$4 DIR=$5
cd "$DIR"
say() { curl -sS -X POST "$@"; }
echo '[{"timestamp":"2026-03-01 10:00:00,123","action":"Ban","ip":"192.0.2.1","jail":"sshd"}]' > fail2ban-events-20260301.json
say -F "username=$USER" -F "password=$PASS" -F "uuid=$UUID" -F "file=@fail2ban-events-20260301.json" "$BASE/index.php" | jq -e .success >/dev/null
for list in $(say -d "username=$USER" -d "password=$PASS" -d "uuid=$UUID" "$BASE/update.php" | jq -r '.updates[]'); do
  say --fail -o "$list" -d "username=$USER" -d "password=$PASS" -d "uuid=$UUID" "$BASE/download.php?file=$list"
  jq '[.[] | select(.active != false or .pending != true) | .pending = false]' "$list" > "$list.new"
  mv "$list.new" "$list"
  say -F "username=$USER" -F "password=$PASS" -F "uuid=$UUID" -F "file[]=@$list" "$BASE/backsync.php" | jq -e .success >/dev/null
done
`

t.test(
  'a client of curl and jq, as existing installations have, completes the loop',
  { skip: missing !== undefined && `needs ${missing}` },
  async t => {
    const at = new Installation(t.testdir({ work: {} }))
    await at.serve(undefined, '--base-path', '/Fail2Ban-Report')
    t.teardown(() => at.stop())
    const { username, password, uuid } = await at.addHost('old-1')
    const cycle = async () => {
      const args = [`${at.url}/endpoint`, username, password, uuid, at.path('work')]
      const ended = await execute(['bash', '-c', CLIENT, 'client', ...args])
      t.equal(ended.code, 0, ended.err)
    }
    const block = (want: string, ip: string) =>
      at.cli([want, ip, '--server', 'old-1', '--jail', 'sshd', ...at.folders])
    await block('block', '203.0.113.1')
    await block('block', '203.0.113.2')
    await cycle()
    t.match(await at.list('old-1', 'sshd'), [
      { ip: '203.0.113.1', active: true, pending: false },
      { ip: '203.0.113.2', active: true, pending: false }
    ])
    await block('unblock', '203.0.113.1')
    await cycle()
    t.match(await at.list('old-1', 'sshd'), [{ ip: '203.0.113.2', active: true, pending: false }])
    t.equal((await at.list('old-1', 'sshd')).length, 1)
    t.strictSame(await at.index(), {})
    const day = await readFile(
      at.path('archive', 'old-1', 'fail2ban', 'fail2ban-events-20260301.json'),
      'utf8'
    )
    t.match(JSON.parse(day), [{ action: 'Ban', ip: '192.0.2.1', jail: 'sshd' }])
  }
)
