import { spawnSync } from 'node:child_process'
import { execute, type Ended } from './installation.js'

const missing = ['bash', 'curl', 'jq'].find(tool => spawnSync('which', [tool]).status !== 0)
/** Why the client of existing installations can't run here, or false. */
export const NO_OLD_CLIENT = missing === undefined ? false : `needs ${missing}`

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

/**
 * One cycle of a client as existing installations have it.
 * @param base the URL of the server's endpoint folder @param work a folder of the client's own
 * @param ca PEM file of the authority that signed the server's certificate
 */
export function oldClientCycle(
  base: string,
  { username, password, uuid }: { username: string; password: string; uuid: string },
  work: string,
  ca?: string
): Promise<Ended> {
  const env = ca === undefined ? [] : ['env', `CURL_CA_BUNDLE=${ca}`]
  return execute([...env, 'bash', '-c', CLIENT, 'client', base, username, password, uuid, work])
}
